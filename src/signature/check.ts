/** Checks signatures against the keys and identities that are trusted. */
import { StowageError } from '../errors.js'
import { digestOf } from '../oci/digest.js'
import { shortName } from './key-name.js'
import type { KeylessTrust } from './keyless.js'
import { isSignedBy, type PublicKey } from './public-key.js'
import { parseSignatureFile, type ParsedSignature, type SignatureFile } from './signature-file.js'

/** Whose signatures are asked for. */
export interface Requirement {
  /** Any of these keys. */
  readonly keys: readonly PublicKey[]
  /** Or the certificate of one of these identities. */
  readonly keyless?: KeylessTrust | undefined
  /** How many different ones of them must have signed; 1 if not set. */
  readonly threshold?: number | undefined
}

export interface FoundSignature {
  /** The files that it is in: a plain one and a sigstore bundle hold the same. */
  readonly files: readonly string[]
  /** The key that it is by, or says to be by. */
  readonly keyId?: string
  /** Whom the certificate names, and who vouched for them; only of a valid signature. */
  readonly identity?: string
  readonly issuer?: string
  /**
   * `valid`: by a trusted key, of these very bytes. `unchecked`: nobody said whom to trust. `untrusted`: not by a trusted key.
   * `invalid`: it names a trusted key, or other bytes, and does not hold. `malformed`: it cannot be read.
   */
  readonly status: 'valid' | 'unchecked' | 'untrusted' | 'invalid' | 'malformed'
  readonly reason?: string
}

export interface SignatureReport {
  readonly signatures: readonly FoundSignature[]
  /** The ids of the keys, and the identities, of which a valid signature was found. */
  readonly signedBy: readonly string[]
}

/** Compares the signatures in `files` with `message` and with what each of `requirements` trusts. */
export async function checkSignatures(
  message: Uint8Array,
  files: readonly SignatureFile[],
  requirements: readonly Requirement[],
): Promise<SignatureReport> {
  const keys = requirements.flatMap(requirement => requirement.keys)
  const keyless = requirements.flatMap(requirement => requirement.keyless ?? [])
  const checked: CheckedFile[] = []
  for (const parsed of files.map(parseSignatureFile))
    checked.push({ parsed, found: await checkSignature(message, parsed, keys, keyless) })
  const signatures = grouped(checked)
  const signedBy = signatures.flatMap(({ status, keyId, identity }) =>
    status === 'valid' ? [keyId ?? identity ?? ''] : [],
  )
  return { signatures, signedBy: [...new Set(signedBy)].sort() }
}

interface CheckedFile {
  readonly parsed: ParsedSignature
  readonly found: Omit<FoundSignature, 'files'>
}

/** One entry for the two files of a signature, unless only one of them holds. The one that says more comes first. */
function grouped(checked: readonly CheckedFile[]): readonly FoundSignature[] {
  const groups = new Map<string, FoundSignature>()
  for (const { parsed, found } of checked.toSorted((a, b) => rank(a.parsed) - rank(b.parsed))) {
    const bytes = 'signature' in parsed ? Buffer.from(parsed.signature).toString('base64') : ''
    const key = bytes === '' || found.status === 'malformed' ? parsed.file : `${found.status} ${bytes}`
    const same = groups.get(key)
    groups.set(key, same ? { ...same, files: [...same.files, parsed.file] } : { files: [parsed.file], ...found })
  }
  return [...groups.values()]
}

function rank({ type }: ParsedSignature): number {
  return Number(type === 'plain')
}

/**
 * Throws SIGNATURE_MISSING if there is no signature, and SIGNATURE_INVALID if fewer valid ones than `requirement` asks for
 * were found. `hint` says where a signature belongs.
 */
export function expectSigned(
  { signatures, signedBy }: SignatureReport,
  { keys, keyless, threshold = 1 }: Requirement,
  hint: string,
): void {
  const trusted = new Set(keys.map(({ id }) => id))
  const identities = signatures.flatMap(({ status, identity }) => (status === 'valid' ? (identity ?? []) : []))
  const by = [...signedBy.filter(each => trusted.has(each)), ...(keyless ? new Set(identities) : [])]
  if (by.length >= threshold) return
  if (signatures.length === 0) {
    throw new StowageError('SIGNATURE_MISSING', 'it is not signed', { hint })
  }
  const found = by.length > 0 ? `found ${by.length}, by ${by.map(shortName).join(' and ')}` : 'found none'
  const asked = threshold === 1 ? 'a valid signature by a trusted key' : `valid signatures by ${threshold} trusted keys`
  const others = signatures
    .filter(({ status }) => status !== 'valid')
    .map(({ files: [file], reason = 'its key is not trusted' }) => `${file}: ${reason}`)
  throw new StowageError('SIGNATURE_INVALID', `expected ${asked} but ${[found, ...others].join('; ')}`, {
    hint: signatures.some(({ status }) => status === 'invalid')
      ? 'Do not load it. Ask whoever packed it, by another way, what the SHA-256 of bundle.json should be.'
      : 'If the key that signed it should be trusted, get it from its owner by another way than the bundle, and give it with --key.',
  })
}

async function checkSignature(
  message: Uint8Array,
  parsed: ParsedSignature,
  keys: readonly PublicKey[],
  keyless: readonly KeylessTrust[],
): Promise<Omit<FoundSignature, 'files'>> {
  if (parsed.type === 'malformed') return { status: 'malformed', reason: parsed.reason }
  if ('digest' in parsed && parsed.digest !== undefined && parsed.digest !== digestOf(message)) {
    const keyId = 'keyId' in parsed && parsed.keyId !== undefined ? { keyId: parsed.keyId } : {}
    return { ...keyId, status: 'invalid', reason: `it was made of other content, ${parsed.digest}` }
  }
  if (parsed.type === 'certificate') return await checkCertificate(message, parsed.document, keyless)
  const { signature } = parsed
  const said = parsed.type === 'key' ? parsed.keyId : undefined
  const by = keys.find(key => isSignedBy(key, message, signature))
  if (by) return { keyId: by.id, status: 'valid' }
  const keyId = said === undefined ? {} : { keyId: said }
  if (keys.length === 0 && keyless.length === 0) return { ...keyId, status: 'unchecked' }
  if (keys.some(({ id }) => id === said)) {
    const reason = `it says to be by ${shortName(said ?? '')}, but does not hold: the content or the signature was changed`
    return { ...keyId, status: 'invalid', reason }
  }
  const reason = said === undefined ? 'by none of the trusted keys' : `by ${shortName(said)}, which is not trusted`
  return { ...keyId, status: 'untrusted', reason }
}

async function checkCertificate(
  message: Uint8Array,
  document: unknown,
  trusts: readonly KeylessTrust[],
): Promise<Omit<FoundSignature, 'files'>> {
  if (trusts.length === 0) return { status: 'unchecked' }
  const { checkKeyless } = await import('./keyless.js')
  const reasons: string[] = []
  for (const trust of trusts) {
    const checked = await checkKeyless(message, document, trust)
    if (typeof checked !== 'string') return { ...checked, status: 'valid' }
    reasons.push(checked)
  }
  return { status: 'invalid', reason: reasons.join('; ') }
}
