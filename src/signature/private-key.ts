/** Private keys: reading them from PEM, encrypted or not, and making new ones. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign as signBytes } from 'node:crypto'
import { StowageError } from '../errors.js'
import { decryptCosignKey, encryptCosignKey, isCosignKey, wrongPassphrase } from './cosign-key.js'
import { prehashOf, invalidKey, type KeyType, type PublicKey, publicKeyOf, readKeyFile } from './public-key.js'

/** Something that signs: a key in a file, or a command that has one. */
export interface Signer {
  /** The key that its signatures are checked with. */
  readonly publicKey: PublicKey
  /** The signature of `bytes`: ECDSA in DER, or the 64 bytes of Ed25519. */
  sign(bytes: Uint8Array): Promise<Uint8Array>
}

/** Gives the passphrase of the key `source`. */
export type AskPassphrase = (source: string) => Promise<string>

/** In which form a private key is kept: PKCS#8, which openssl reads, or as `cosign generate-key-pair` keeps it. */
export type KeyFormat = 'pkcs8' | 'cosign'

/**
 * Reads the private key in the file `path`: PKCS#8, encrypted or not, SEC 1, or cosign's own format. `ask` is called if it
 * is encrypted. Throws FILE_NOT_FOUND, KEY_INVALID, also for a wrong passphrase, and what `ask` throws.
 */
export async function readPrivateKey(path: string, ask?: AskPassphrase): Promise<Signer> {
  const pem = await readKeyFile(path)
  if (/-----BEGIN PUBLIC KEY-----/.test(pem)) {
    throw invalidKey(path, 'a private key', 'a public key', 'Give the private key: a .key file.')
  }
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) throw invalidKey(path, 'a private key in PEM', 'something else')
  const encrypted = isCosignKey(pem) || /ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED/.test(pem)
  const passphrase = encrypted ? await passphraseOf(path, ask) : undefined
  const key =
    passphrase !== undefined && isCosignKey(pem)
      ? createPrivateKey({ key: await decryptCosignKey(pem, passphrase, path), format: 'der', type: 'pkcs8' })
      : decoded(pem, passphrase, path)
  return signerOf(key, path)
}

/** Makes a pair of keys: the private one in PEM, encrypted unless `passphrase` is empty, and the public one in PEM. */
export async function makeKeyPair(
  type: KeyType,
  format: KeyFormat,
  passphrase: string,
): Promise<{ readonly privatePem: string; readonly publicKey: PublicKey; readonly publicPem: string }> {
  const { privateKey, publicKey } =
    type === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const privatePem =
    format === 'cosign'
      ? await encryptCosignKey(privateKey.export({ type: 'pkcs8', format: 'der' }), passphrase)
      : privateKey.export({
          type: 'pkcs8',
          format: 'pem',
          ...(passphrase === '' ? {} : { cipher: 'aes-256-cbc', passphrase }),
        })
  return {
    privatePem: privatePem.toString(),
    publicKey: publicKeyOf(publicKey, 'the new key'),
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  }
}

function signerOf(key: KeyObject, source: string): Signer {
  const publicKey = publicKeyOf(createPublicKey(key), source)
  return { publicKey, sign: async bytes => signBytes(prehashOf(publicKey.type), bytes, key) }
}

async function passphraseOf(path: string, ask: AskPassphrase | undefined): Promise<string> {
  if (ask) return await ask(path)
  throw new StowageError('KEY_INVALID', `${path}: the key is encrypted, and no passphrase was given`, {
    hint: 'Give it with --passphrase-file.',
  })
}

function decoded(pem: string, passphrase: string | undefined, path: string): KeyObject {
  try {
    return createPrivateKey({ key: pem, ...(passphrase === undefined ? {} : { passphrase }) })
  } catch (error) {
    if (passphrase !== undefined) throw wrongPassphrase(path, error)
    throw new StowageError('KEY_INVALID', `${path}: the private key cannot be read`, { cause: error })
  }
}
