/** Public keys that signatures of bundles are checked with, and the name that each goes by. */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { readLimited } from '../blob/limited-file.js'
import { StowageError } from '../errors.js'

/** How a key signs: ECDSA on P-256 with SHA-256, in DER; or Ed25519 (RFC 8032) without hashing first. */
export type KeyType = 'ecdsa-p256' | 'ed25519'

export interface PublicKey {
  readonly type: KeyType
  /** SHA-256 of its SubjectPublicKeyInfo in DER, 64 lower-case hex digits: what `openssl pkey -pubin -outform DER | sha256sum` prints. */
  readonly id: string
  readonly key: KeyObject
  /** Where it is from, for messages. */
  readonly source: string
}

/** Largest file of a key, in bytes. */
export const KEY_LIMIT = 64 * 1024

/** Reads the file `path`. Throws FILE_NOT_FOUND, KEY_INVALID. */
export async function readPublicKey(path: string): Promise<PublicKey> {
  return parsePublicKey(await readKeyFile(path), path)
}

/** Reads a public key in PEM. Throws KEY_INVALID for anything else, and for a key of another type. */
export function parsePublicKey(pem: string, source: string): PublicKey {
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) {
    throw invalidKey(source, 'a public key', 'a private key', 'Give the public key that belongs to it, a .pub file.')
  }
  if (!/-----BEGIN PUBLIC KEY-----/.test(pem)) {
    const found = /-----BEGIN ([A-Z0-9 ]{1,40})-----/.exec(pem)?.[1]
    throw invalidKey(source, 'a public key in PEM', found === undefined ? 'something else' : `PEM of a ${found}`)
  }
  let key: KeyObject
  try {
    key = createPublicKey(pem)
  } catch (error) {
    throw new StowageError('KEY_INVALID', `${source}: the public key cannot be read`, { hint: KEY_HINT, cause: error })
  }
  return publicKeyOf(key, source)
}

/** `key` with its type and id. Throws KEY_INVALID unless it is ECDSA P-256 or Ed25519. */
export function publicKeyOf(key: KeyObject, source: string): PublicKey {
  const id = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex')
  return { type: typeOf(key, source), id, key, source }
}

/** What keys of this type have hashed before they sign: node:crypto's name of it, null for nothing. */
export function prehashOf(type: KeyType): 'sha256' | null {
  return type === 'ed25519' ? null : 'sha256'
}

/** Whether `signature` is one of `message`, by this key. */
export function isSignedBy({ type, key }: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verify(prehashOf(type), message, key, signature)
  } catch {
    return false // OpenSSL refuses what is no signature of this type
  }
}

/** The text of a file that should hold a key. Throws what {@link fileError} makes, KEY_INVALID if it is too large. */
export async function readKeyFile(path: string): Promise<string> {
  const bytes = await readLimited(path, KEY_LIMIT)
  if (!bytes) throw invalidKey(path, 'a key in PEM', `a file of over ${KEY_LIMIT} bytes`)
  return bytes.toString('latin1')
}

export function invalidKey(source: string, expected: string, found: string, hint = KEY_HINT): StowageError {
  return new StowageError('KEY_INVALID', `${source}: expected ${expected} but found ${found}`, { hint })
}

const KEY_HINT =
  '"stowage keygen" makes a pair of keys; those of openssl and cosign do as well: ECDSA P-256 or Ed25519.'

function typeOf(key: KeyObject, source: string): KeyType {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  if (type === 'ed25519') return 'ed25519'
  if (type === 'ec' && details?.namedCurve === 'prime256v1') return 'ecdsa-p256'
  const found = type === 'ec' ? `ECDSA on ${details?.namedCurve ?? 'another curve'}` : (type ?? 'no key').toUpperCase()
  throw invalidKey(source, 'a key for ECDSA P-256 or Ed25519', found)
}
