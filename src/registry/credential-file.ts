/**
 * Writes the files that credentials are kept in, and has helpers keep them where the file says so.
 * Sources: docker's config.json, containers-auth.json(5).
 */
import { randomUUID } from 'node:crypto'
import { chown, open, readlink, rename, rm, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { makeDirectory } from '../blob/durable.js'
import { readIfThere } from '../blob/read-if-there.js'
import { isObject } from '../oci/json.js'
import { outputError, StowageError, systemCode } from '../errors.js'
import { eraseInHelper, storeInHelper } from './credential-program.js'
import {
  type CredentialsOptions,
  dockerConfigFile,
  helperFor,
  isKeyOf,
  keyOf,
  parseCredentialFile,
} from './credentials.js'

export interface CredentialFileOptions extends CredentialsOptions {
  /** The file; else the one that `REGISTRY_AUTH_FILE` names, else docker's config.json. */
  readonly authFile?: string | undefined
}

/** Where the credentials of one registry are kept. */
export interface CredentialHome {
  readonly file: string
  /** What `docker-credential-` stands before, where the file names one for the registry: the file holds no secret then. */
  readonly helper: string | undefined
}

export type NewCredential =
  | { readonly type: 'basic'; readonly username: string; readonly password: string }
  | { readonly type: 'identity-token'; readonly username: string; readonly token: string }

const INDENT = '\t'

/** Throws INVALID_ARGUMENT for a file that is not a JSON object. */
export async function findCredentialHome(domain: string, options: CredentialFileOptions = {}): Promise<CredentialHome> {
  const { env = process.env } = options
  const file = options.authFile ?? (env['REGISTRY_AUTH_FILE'] || dockerConfigFile(options))
  const text = await readIfThere(file)
  return {
    file,
    helper: text === undefined || text.trim() === '' ? undefined : helperFor(parseCredentialFile(text, file), domain),
  }
}

/**
 * Keeps the credential for `domain`, in place of any that was there; all else in the file stays as it was. Throws UNAUTHORIZED where
 * the helper fails, and what reading and writing files throws; the file is whole then, old or new.
 */
export async function keepCredential(
  domain: string,
  credential: NewCredential,
  { file, helper }: CredentialHome,
): Promise<void> {
  if (helper !== undefined) {
    const identity = credential.type === 'identity-token'
    await storeInHelper(
      helper,
      keyOf(domain),
      identity
        ? { username: '<token>', secret: credential.token }
        : { username: credential.username, secret: credential.password },
    )
  }
  await changeAuths(file, auths => {
    auths[keyOf(domain)] = helper === undefined ? entryOf(credential) : {} // as docker marks what a helper keeps
    return true
  })
}

/** Removes what is kept for `domain`; false if the file knew of nothing. A helper is told in any case. Throws as {@link keepCredential}. */
export async function forgetCredential(domain: string, { file, helper }: CredentialHome): Promise<boolean> {
  if (helper !== undefined) await eraseInHelper(helper, keyOf(domain))
  let known = false
  if ((await readIfThere(file)) === undefined) return known
  await changeAuths(file, auths => {
    for (const key of Object.keys(auths).filter(key => isKeyOf(key, domain))) {
      known = true
      Reflect.deleteProperty(auths, key)
    }
    return known
  })
  return known
}

function entryOf(credential: NewCredential): Readonly<Record<string, string>> {
  const identity = credential.type === 'identity-token'
  const auth = Buffer.from(`${credential.username}:${identity ? '' : credential.password}`).toString('base64')
  return { auth, ...(identity ? { identitytoken: credential.token } : {}) }
}

/** `change` says false where there is nothing to write. */
async function changeAuths(file: string, change: (auths: Record<string, unknown>) => boolean): Promise<void> {
  const text = await readIfThere(file)
  const config =
    text === undefined || text.trim() === '' ? {} : (JSON.parse(checked(text, file)) as Record<string, unknown>)
  const auths = config['auths'] ?? {}
  if (!isObject(auths))
    throw new StowageError('INVALID_ARGUMENT', `${file}: auths is not a JSON object`, {
      hint: 'Fix it, or move it away.',
    })
  const changed = auths as Record<string, unknown> // of our own copy of the file
  if (!change(changed)) return
  config['auths'] = changed
  await replace(await targetOf(file), `${JSON.stringify(config, null, INDENT)}\n`)
}

function checked(text: string, file: string): string {
  parseCredentialFile(text, file)
  return text
}

/** The file that a link leads to, whether it is there or not: the link stays. */
async function targetOf(file: string): Promise<string> {
  let path = resolve(file)
  for (let hops = 0; hops < 40; hops += 1) {
    const target = await readlink(path).catch((error: unknown) => {
      if (['ENOENT', 'EINVAL', 'UNKNOWN'].includes(systemCode(error) ?? '')) return undefined // no link
      throw outputError(error, path)
    })
    if (target === undefined) return path
    path = resolve(dirname(path), target)
  }
  throw new StowageError('INVALID_ARGUMENT', `${file} is a link that leads to itself`)
}

/** Readable for its owner alone, whom it keeps where another user (sudo) writes it. */
async function replace(path: string, text: string): Promise<void> {
  const partial = `${path}.${randomUUID()}.partial`
  try {
    await makeDirectory(dirname(path), 0o700)
    const file = await open(partial, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    const before = await stat(path).catch(() => undefined) // it may be new
    if (before && process.getuid?.() === 0) await chown(partial, before.uid, before.gid)
    await rename(partial, path)
  } catch (error) {
    await rm(partial, { force: true })
    throw outputError(error, path)
  }
}
