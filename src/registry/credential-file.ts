/**
 * Stores credentials in files or, if the file names a credential helper, in that helper.
 * Sources: docker's config.json, containers-auth.json(5).
 */
import { randomUUID } from 'node:crypto'
import { chown, open, readlink, rm, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { makeDirectory } from '../blob/durable.js'
import { readIfThere } from '../blob/read-if-there.js'
import { rename } from '../blob/rename.js'
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
  /** By default the file that `REGISTRY_AUTH_FILE` names, else docker's config.json. */
  readonly authFile?: string | undefined
}

/** Where the credentials of one registry are stored. */
export interface CredentialStore {
  readonly file: string
  /** Name of the credential helper for the registry, without `docker-credential-`. If set, the file holds no secret. */
  readonly helper: string | undefined
}

export type NewCredential =
  | { readonly type: 'basic'; readonly username: string; readonly password: string }
  | { readonly type: 'identity-token'; readonly username: string; readonly token: string }

const INDENT = '\t'

/** Throws INVALID_ARGUMENT for a file that is not a JSON object. */
export async function findCredentialStore(
  domain: string,
  options: CredentialFileOptions = {},
): Promise<CredentialStore> {
  const { env = process.env } = options
  const file = options.authFile ?? (env['REGISTRY_AUTH_FILE'] || dockerConfigFile(options))
  const text = await readIfThere(file)
  return {
    file,
    helper: text === undefined || text.trim() === '' ? undefined : helperFor(parseCredentialFile(text, file), domain),
  }
}

/**
 * Stores the credential for `domain`, replacing any earlier one; the rest of the file is preserved. Throws UNAUTHORIZED
 * if the helper fails, and file errors, after which the file is either the old or the new one.
 */
export async function storeCredential(
  domain: string,
  credential: NewCredential,
  { file, helper }: CredentialStore,
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
    auths[keyOf(domain)] = helper === undefined ? entryOf(credential) : {} // docker marks an entry in a helper so
    return true
  })
}

/**
 * Removes the credentials for `domain` from the helper and the file. False if the file had none. Throws as
 * {@link storeCredential}.
 */
export async function removeCredential(domain: string, { file, helper }: CredentialStore): Promise<boolean> {
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

/** Changes the `auths` of the file. `change` returns false if nothing needs to be written. */
async function changeAuths(file: string, change: (auths: Record<string, unknown>) => boolean): Promise<void> {
  const text = await readIfThere(file)
  const config =
    text === undefined || text.trim() === '' ? {} : (JSON.parse(checked(text, file)) as Record<string, unknown>)
  const auths = config['auths'] ?? {}
  if (!isObject(auths))
    throw new StowageError('INVALID_ARGUMENT', `${file}: auths is not a JSON object`, {
      hint: 'Correct the file, or move it away.',
    })
  const changed = auths as Record<string, unknown> // part of the copy that was just parsed
  if (!change(changed)) return
  config['auths'] = changed
  await replace(await targetOf(file), `${JSON.stringify(config, null, INDENT)}\n`)
}

function checked(text: string, file: string): string {
  parseCredentialFile(text, file)
  return text
}

/** The target of a symbolic link, which need not exist: the target is replaced, not the link. */
async function targetOf(file: string): Promise<string> {
  let path = resolve(file)
  for (let hops = 0; hops < 40; hops += 1) {
    const target = await readlink(path).catch((error: unknown) => {
      if (['ENOENT', 'EINVAL', 'UNKNOWN'].includes(systemCode(error) ?? '')) return undefined // not a symbolic link
      throw outputError(error, path)
    })
    if (target === undefined) return path
    path = resolve(dirname(path), target)
  }
  throw new StowageError('INVALID_ARGUMENT', `${file} is a link that leads to itself`)
}

/** Replaces a file, readable only by its owner. Keeps the owner even if root (sudo) writes it. */
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
    const before = await stat(path).catch(() => undefined) // the file may be new
    if (before && process.getuid?.() === 0) await chown(partial, before.uid, before.gid)
    await rename(partial, path)
  } catch (error) {
    await rm(partial, { force: true })
    throw outputError(error, path)
  }
}
