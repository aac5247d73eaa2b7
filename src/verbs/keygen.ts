/** Keygen: makes a pair of keys to sign bundles with. */
import { chmod, lstat, open } from 'node:fs/promises'
import { fileError, StowageError } from '../errors.js'
import { type KeyFormat, makeKeyPair } from '../signature/private-key.js'
import type { KeyType } from '../signature/public-key.js'

export interface KeygenOptions {
  /** By default `ecdsa-p256`, which every tool takes. */
  readonly type?: KeyType | undefined
  /** By default `pkcs8`. */
  readonly format?: KeyFormat | undefined
  /** Encrypts the private key; empty for none. */
  readonly passphrase: string
}

export interface KeygenResult {
  /** The files. */
  readonly privateKey: string
  readonly publicKey: string
  readonly type: KeyType
  /** See {@link PublicKey}. */
  readonly keyId: string
}

/**
 * Makes a pair of keys: `NAME.key`, which only its owner can read, and `NAME.pub`. Throws OUTPUT_EXISTS if there is either:
 * a key is never overwritten.
 */
export async function generateKeys(
  name: string,
  { type = 'ecdsa-p256', format = 'pkcs8', passphrase }: KeygenOptions,
): Promise<KeygenResult> {
  await refuseExistingKeys(name)
  const pair = await makeKeyPair(type, format, passphrase)
  const { privateKey, publicKey } = filesOf(name)
  await writeNew(privateKey, pair.privatePem, 0o600)
  await writeNew(publicKey, pair.publicPem, 0o644)
  return { privateKey, publicKey, type, keyId: pair.publicKey.id }
}

/** Throws OUTPUT_EXISTS. */
export async function refuseExistingKeys(name: string): Promise<void> {
  for (const path of Object.values(filesOf(name))) {
    if (!(await lstat(path).catch(() => undefined))) continue
    throw new StowageError('OUTPUT_EXISTS', `${path} exists already, and a key is never overwritten`, {
      hint: 'Give another name: stowage keygen NAME.',
    })
  }
}

function filesOf(name: string): { readonly privateKey: string; readonly publicKey: string } {
  return { privateKey: `${name}.key`, publicKey: `${name}.pub` }
}

async function writeNew(path: string, text: string, mode: number): Promise<void> {
  try {
    await using file = await open(path, 'wx', mode)
    await file.writeFile(text)
    await file.sync()
    if (process.platform !== 'win32') await chmod(path, mode) // whatever the umask is
  } catch (error) {
    throw fileError(error, path)
  }
}
