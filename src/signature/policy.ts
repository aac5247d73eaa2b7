/** The policy of a site: whose bundles are taken there. Format: docs/signatures.md. */
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileError, StowageError, systemCode } from '../errors.js'
import { isObject } from '../oci/json.js'
import type { Requirement } from './check.js'
import { readPublicKey } from './public-key.js'

export interface Policy {
  /** The file that it is from. */
  readonly source: string
  /** Whose signature a bundle must have; undefined if it may have none. */
  readonly requirement: Requirement | undefined
  /** A directory: each load leaves a receipt there, and takes no bundle that is older than the last of its series. */
  readonly receipts: string | undefined
  /** The file of the log that every command adds to. */
  readonly log: string | undefined
  /** The private key that its entries are signed with. */
  readonly logKey: string | undefined
}

interface PolicyOptions {
  readonly env?: NodeJS.ProcessEnv | undefined
  readonly platform?: NodeJS.Platform | undefined
}

const NAME = 'policy.yaml'
const FIELDS = [
  'require',
  'keys',
  'threshold',
  'trusted-root',
  'certificate-identity',
  'certificate-oidc-issuer',
  'receipts',
  'log',
  'log-key',
]
const LIMIT = 1024 * 1024

/**
 * Where the policy of this machine may be: `/etc/stowage/policy.yaml`, or its place on Windows and macOS; then the user's,
 * in `$STOWAGE_CONFIG`, or where `sources.json` is. The first that is there counts.
 */
export function policyFiles({ env = process.env, platform = process.platform }: PolicyOptions = {}): readonly string[] {
  const home = env['HOME'] || homedir()
  const [machine, user] =
    platform === 'win32'
      ? [
          join(env['ProgramData'] || 'C:\\ProgramData', 'stowage'),
          join(env['LOCALAPPDATA'] || join(home, 'AppData', 'Local'), 'stowage'),
        ]
      : [
          platform === 'darwin' ? '/Library/Application Support/stowage' : '/etc/stowage',
          join(env['XDG_CONFIG_HOME'] || join(home, '.config'), 'stowage'),
        ]
  return [join(machine, NAME), join(env['STOWAGE_CONFIG'] || user, NAME)]
}

/** The policy of this machine; undefined if there is none. Throws KEY_INVALID, and what reading its keys throws. */
export async function readPolicy(options?: PolicyOptions): Promise<Policy | undefined> {
  for (const path of policyFiles(options)) {
    const text = await readFile(path, 'utf8').catch((error: unknown) => {
      if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return undefined
      throw fileError(error, path)
    })
    if (text !== undefined) return await parsePolicy(text, path)
  }
  return undefined
}

async function parsePolicy(text: string, path: string): Promise<Policy> {
  const fields = await fieldsOf(text, path)
  const unknown = Object.keys(fields).filter(key => !FIELDS.includes(key))
  if (unknown.length > 0) throw wrongPolicy(path, `expected ${FIELDS.join(', ')} but found ${unknown.join(', ')}`)
  const textOf = (key: string): string | undefined => {
    const value = fields[key]
    if (value === undefined || value === null) return undefined
    if (typeof value === 'string' && value !== '') return value
    throw wrongPolicy(path, `${key}: expected text but found ${JSON.stringify(value)}`)
  }
  const place = (key: string): string | undefined => {
    const value = textOf(key)
    return value === undefined ? undefined : resolve(dirname(path), value)
  }
  const require = textOf('require')
  if (require !== undefined && require !== 'signature' && require !== 'none')
    throw wrongPolicy(path, `require: expected signature or none but found ${JSON.stringify(require)}`)
  const requirement = await requirementOf(fields, path, { text: textOf, place })
  if (require === 'signature' && !requirement)
    throw wrongPolicy(path, 'it requires signatures but names neither keys nor a certificate-identity')
  if (require !== 'signature' && requirement)
    throw wrongPolicy(path, 'it names whom to trust but does not say "require: signature"')
  return { source: path, requirement, receipts: place('receipts'), log: place('log'), logKey: place('log-key') }
}

async function requirementOf(
  fields: Readonly<Record<string, unknown>>,
  path: string,
  read: { text(key: string): string | undefined; place(key: string): string | undefined },
): Promise<Requirement | undefined> {
  const { keys = [], threshold = 1 } = fields
  if (!Array.isArray(keys) || !keys.every((key): key is string => typeof key === 'string'))
    throw wrongPolicy(path, 'keys: expected a list of files')
  if (typeof threshold !== 'number' || !Number.isInteger(threshold) || threshold < 1)
    throw wrongPolicy(path, `threshold: expected a number from 1 but found ${JSON.stringify(threshold)}`)
  const trusted = await Promise.all(keys.map(async key => await readPublicKey(resolve(dirname(path), key))))
  const [root, identity, issuer] = [
    read.place('trusted-root'),
    read.text('certificate-identity'),
    read.text('certificate-oidc-issuer'),
  ]
  const given = [root, identity, issuer].filter(each => each !== undefined).length
  if (given > 0 && given < 3)
    throw wrongPolicy(path, 'trusted-root, certificate-identity and certificate-oidc-issuer belong together')
  if (trusted.length === 0 && given === 0) return undefined
  if (threshold > new Set(trusted.map(({ id }) => id)).size + (given > 0 ? 1 : 0))
    throw wrongPolicy(path, `threshold: ${threshold} signatures cannot be had from ${trusted.length} keys`)
  if (root === undefined || identity === undefined || issuer === undefined) return { keys: trusted, threshold }
  const { readTrustedRoot } = await import('./keyless.js')
  return { keys: trusted, threshold, keyless: { trustedRoot: await readTrustedRoot(root), identity, issuer } }
}

async function fieldsOf(text: string, path: string): Promise<Readonly<Record<string, unknown>>> {
  if (text.length > LIMIT) throw wrongPolicy(path, `it has over ${LIMIT} characters`)
  const { parse } = await import('yaml') // few machines have a policy
  let value: unknown
  try {
    value = parse(text, { maxAliasCount: 0, prettyErrors: false })
  } catch (error) {
    throw wrongPolicy(path, error instanceof Error ? error.message : String(error))
  }
  if (isObject(value)) return value
  throw wrongPolicy(path, 'expected fields such as "require: signature"')
}

function wrongPolicy(path: string, message: string): StowageError {
  return new StowageError('KEY_INVALID', `${path}: ${message}`, {
    hint: 'This file says whose bundles are taken on this machine: see docs/signatures.md. Until it is right, none is.',
  })
}
