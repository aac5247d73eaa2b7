/** The format in which cosign keeps private keys: PKCS#8 in a NaCl secretbox, its key from the passphrase by scrypt. */
import { randomBytes, scrypt } from 'node:crypto'
import { xsalsa20poly1305 } from '@noble/ciphers/salsa.js'
import { StowageError } from '../errors.js'
import { parseJson, record, string } from '../oci/json.js'

/** Both labels are the same format; the second is that of cosign before 2.0. */
const PEM =
  /-----BEGIN ENCRYPTED (SIGSTORE|COSIGN) PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END ENCRYPTED \1 PRIVATE KEY-----/
/** What cosign 3 writes: 64 MiB of memory. */
const SCRYPT = { N: 65536, r: 8, p: 1 } as const
/** Keys of other programs may take more, but not so much that a file can fill the memory. */
const MEMORY_LIMIT = 256 * 1024 * 1024
const KEY_SIZE = 32
const NONCE_SIZE = 24

export function isCosignKey(pem: string): boolean {
  return PEM.test(pem)
}

/** The PKCS#8 in `pem`, in DER. Throws KEY_INVALID for a wrong passphrase or another way of encryption. */
export async function decryptCosignKey(pem: string, passphrase: string, source: string): Promise<Buffer> {
  const { salt, cost, nonce, ciphertext } = parseCosignKey(pem, source)
  const key = await derive(passphrase, salt, cost)
  try {
    return Buffer.from(xsalsa20poly1305(key, nonce).decrypt(ciphertext))
  } catch (error) {
    throw wrongPassphrase(source, error)
  }
}

/** For a key that does not decrypt: neither PKCS#8 nor cosign's format tells a wrong passphrase from a damaged file. */
export function wrongPassphrase(source: string, cause: unknown): StowageError {
  return new StowageError('KEY_INVALID', `${source}: the passphrase is wrong, or the file was damaged`, {
    hint: 'Try again with the right one. A file may end in one line feed, which does not count.',
    cause,
  })
}

/** `pkcs8`, in DER, as PEM that cosign reads. */
export async function encryptCosignKey(pkcs8: Uint8Array, passphrase: string): Promise<string> {
  const [salt, nonce] = [randomBytes(32), randomBytes(NONCE_SIZE)]
  const ciphertext = xsalsa20poly1305(await derive(passphrase, salt, SCRYPT), nonce).encrypt(pkcs8)
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
  const document = {
    kdf: { name: 'scrypt', params: SCRYPT, salt: base64(salt) },
    cipher: { name: 'nacl/secretbox', nonce: base64(nonce) },
    ciphertext: base64(ciphertext),
  }
  const lines = base64(Buffer.from(JSON.stringify(document))).match(/.{1,64}/g) ?? []
  const label = 'ENCRYPTED SIGSTORE PRIVATE KEY'
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

interface Cost {
  readonly N: number
  readonly r: number
  readonly p: number
}

function parseCosignKey(
  pem: string,
  source: string,
): { readonly salt: Buffer; readonly cost: Cost; readonly nonce: Buffer; readonly ciphertext: Buffer } {
  try {
    const object = record(parseJson(Buffer.from(PEM.exec(pem)?.[2] ?? '', 'base64'), source), source)
    const kdf = record(object['kdf'], `${source}.kdf`)
    const cipher = record(object['cipher'], `${source}.cipher`)
    const names = [string(kdf, 'name', source), string(cipher, 'name', source)]
    if (names.join() !== 'scrypt,nacl/secretbox') throw unknownWay(source, names.join(' and '))
    const params = record(kdf['params'], `${source}.kdf.params`)
    const [N = 0, r = 0, p = 0] = ['N', 'r', 'p'].map(key => Number(params[key]))
    const usual = Number.isInteger(Math.log2(N)) && N > 1 && r > 0 && p > 0 && p <= 16 && 128 * N * r <= MEMORY_LIMIT
    if (!usual) throw unknownWay(source, `scrypt with N=${N}, r=${r}, p=${p}`)
    const bytes = (value: string): Buffer => Buffer.from(value, 'base64')
    const nonce = bytes(string(cipher, 'nonce', source))
    if (nonce.length !== NONCE_SIZE) throw unknownWay(source, `a nonce of ${nonce.length} bytes`)
    return {
      salt: bytes(string(kdf, 'salt', source)),
      cost: { N, r, p },
      nonce,
      ciphertext: bytes(string(object, 'ciphertext', source)),
    }
  } catch (error) {
    if (!(error instanceof StowageError) || error.code === 'KEY_INVALID') throw error
    throw new StowageError('KEY_INVALID', `${source}: the key cannot be read: ${error.message}`, { cause: error })
  }
}

function unknownWay(source: string, found: string): StowageError {
  return new StowageError(
    'KEY_INVALID',
    `${source}: expected scrypt and nacl/secretbox as cosign has them but found ${found}`,
  )
}

async function derive(passphrase: string, salt: Uint8Array, { N, r, p }: Cost): Promise<Buffer> {
  return await new Promise((resolve, reject) => {
    scrypt(passphrase, salt, KEY_SIZE, { N, r, p, maxmem: 2 * MEMORY_LIMIT }, (error, key) => {
      if (error) reject(error)
      else resolve(key)
    })
  })
}
