/** Options of the commands that check who made a bundle, and the policy of this machine. */
import { stat } from 'node:fs/promises'
import { StowageError } from '../errors.js'
import type { SignatureReport } from '../signature/check.js'
import { shortName } from '../signature/key-name.js'
import type { KnownRelease } from '../signature/release.js'
import type { Trust } from '../signature/trust.js'
import { number, value, type Values, values } from './command.js'

export const TRUST_OPTIONS = {
  key: values('Take it only if it is signed by this public key, or another that is given', { takes: 'path' }),
  threshold: number('Take it only if so many of the keys that are given have signed it (default 1)'),
  signature: values('A file with a signature of it, which is neither in it nor beside it; may be repeated', {
    takes: 'path',
  }),
  'trusted-root': value("Trust certificates of sigstore by this trusted_root.json; with the certificate's identity", {
    takes: 'path',
  }),
  'certificate-identity': value('With --trusted-root: whom the certificate must name', { valueName: 'IDENTITY' }),
  'certificate-oidc-issuer': value('With --trusted-root: who must have vouched for that', { valueName: 'URL' }),
  'not-older-than': value(
    'Take it only if its serial number is no lower than this number, or that of a bundle or a receipt',
    { takes: 'path', valueName: 'NUMBER|FILE' },
  ),
} as const

/** What the options ask for, together with the policy of this machine; the latter cannot be given up. */
export interface TrustSettings {
  readonly trust: Trust | undefined
  /** Where the policy has receipts kept. */
  readonly receipts: string | undefined
}

/** Reads the keys, the policy and the receipts. Throws INVALID_ARGUMENT, KEY_INVALID, FILE_NOT_FOUND. */
export async function readTrustOptions(options: Values<typeof TRUST_OPTIONS>): Promise<TrustSettings> {
  const { readPolicy } = await import('../signature/policy.js')
  const policy = await readPolicy()
  const requirement = await requirementOf(options)
  const requirements = [...(policy?.requirement ? [policy.requirement] : []), ...(requirement ? [requirement] : [])]
  const notOlderThan = await knownReleases(options['not-older-than'], policy?.receipts)
  const { signature: signatures } = options
  if (signatures.length > 0 && requirements.length === 0)
    throw new StowageError('INVALID_ARGUMENT', '--signature says nothing without --key: anyone can sign', {
      hint: 'Give the public key that it should be by: --key FILE.pub.',
    })
  const asked = requirements.length > 0 || notOlderThan.length > 0
  return { trust: asked ? { requirements, signatures, notOlderThan } : undefined, receipts: policy?.receipts }
}

/** What the policy of this machine asks of the bundles that a command reads; undefined if it asks nothing. */
export async function policyTrust(): Promise<Trust | undefined> {
  const { readPolicy } = await import('../signature/policy.js')
  const requirement = (await readPolicy())?.requirement
  return requirement && { requirements: [requirement] }
}

/** Who signed it, a line for each signature; nothing if there is none and none was asked for. */
export function signatureText({ signatures, signedBy }: SignatureReport, keys: Trust | undefined): string {
  const lines = signatures
    .filter(({ status }) => status !== 'valid')
    .map(({ files: [file], keyId, status, reason }) => {
      const by = keyId === undefined ? '' : ` by ${shortName(keyId)}`
      return status === 'unchecked'
        ? `Signed${by}, which was not checked: give the public key with --key (${file})`
        : `Not counted: ${file}: ${reason ?? status}`
    })
  const names = signedBy.map(by => {
    const source = keys?.requirements.flatMap(each => each.keys).find(({ id }) => id === by)?.source
    return `${shortName(by)}${source === undefined ? '' : ` (${source})`}`
  })
  const valid = names.length > 0 ? [`Signed by ${names.join(' and ')}: the signature holds`] : []
  return [...valid, ...lines].map(line => `${line}\n`).join('')
}

async function requirementOf(
  options: Values<typeof TRUST_OPTIONS>,
): Promise<Trust['requirements'][number] | undefined> {
  const { key, threshold = 1, 'trusted-root': root, 'certificate-identity': identity } = options
  const { 'certificate-oidc-issuer': issuer } = options
  const { readPublicKey } = await import('../signature/public-key.js')
  const keys = await Promise.all(key.map(async path => await readPublicKey(path)))
  const given = [root, identity, issuer].filter(each => each !== undefined).length
  if (given > 0 && given < 3)
    throw new StowageError(
      'INVALID_ARGUMENT',
      '--trusted-root, --certificate-identity and --certificate-oidc-issuer belong together',
    )
  const known = new Set(keys.map(({ id }) => id)).size + (given > 0 ? 1 : 0)
  if (options.threshold !== undefined && !(Number.isInteger(threshold) && threshold >= 1 && threshold <= known))
    throw new StowageError(
      'INVALID_ARGUMENT',
      `--threshold: expected a number from 1 to ${known} but found ${threshold}`,
      {
        hint: 'Give the public keys, too: --key A.pub --key B.pub --threshold 2.',
      },
    )
  if (known === 0) return undefined
  if (root === undefined || identity === undefined || issuer === undefined) return { keys, threshold }
  const { readTrustedRoot } = await import('../signature/keyless.js')
  return { keys, threshold, keyless: { trustedRoot: await readTrustedRoot(root), identity, issuer } }
}

async function knownReleases(
  given: string | undefined,
  receipts: string | undefined,
): Promise<readonly KnownRelease[]> {
  const known: KnownRelease[] = []
  if (given !== undefined) {
    if (/^\d+$/.test(given)) known.push({ serial: Number(given), source: '--not-older-than' })
    else {
      const { releaseOf } = await import('../verbs/receipt.js')
      known.push(await releaseOf(given))
    }
  }
  if (receipts === undefined || !(await stat(receipts).catch(() => undefined))) return known
  const { newestReleases } = await import('../verbs/receipt.js')
  return [...known, ...(await newestReleases(receipts))]
}
