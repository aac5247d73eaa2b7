/** The files that hold signatures: a plain one, as openssl writes it, and a sigstore bundle, as cosign does. */
import { StowageError } from '../errors.js'
import { digestFromHex, type Digest, hexOf } from '../oci/digest.js'
import { array, isObject, parseJson, record, string } from '../oci/json.js'
import type { PublicKey } from './public-key.js'

export interface SignatureFile {
  /** Its name, for messages. */
  readonly name: string
  readonly bytes: Uint8Array
}

/** What a file of a signature says, none of it checked. */
export type ParsedSignature = { readonly file: string } & (
  | { readonly type: 'plain'; readonly signature: Uint8Array }
  | {
      readonly type: 'key'
      readonly signature: Uint8Array
      /** The key that it says to be by, if it says so as cosign does. */
      readonly keyId: string | undefined
      /** What it says to be made of. */
      readonly digest: Digest | undefined
    }
  | { readonly type: 'certificate'; readonly document: unknown; readonly digest: Digest | undefined }
  | { readonly type: 'malformed'; readonly reason: string }
)

const MEDIA_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json'
const MEDIA_TYPES = /^application\/vnd\.dev\.sigstore\.bundle(\.v0\.\d+\+json|\+json;version=0\.\d+)$/

/**
 * The sigstore bundle of a signature by a key, in JSON. Format: sigstore's protobuf-specs, `sigstore_bundle.proto`, v0.3;
 * the hint is what cosign writes, the base64 of the SHA-256 of the key.
 */
export function encodeSigstoreBundle({ id }: PublicKey, digest: Digest, signature: Uint8Array): Uint8Array {
  const base64OfHex = (hex: string): string => Buffer.from(hex, 'hex').toString('base64')
  const document = {
    mediaType: MEDIA_TYPE,
    verificationMaterial: { publicKey: { hint: base64OfHex(id) } },
    messageSignature: {
      messageDigest: { algorithm: 'SHA2_256', digest: base64OfHex(hexOf(digest)) },
      signature: Buffer.from(signature).toString('base64'),
    },
  }
  return new TextEncoder().encode(`${JSON.stringify(document)}\n`)
}

/** Reads a file that holds a signature; one that cannot be read is `malformed`. */
export function parseSignatureFile({ name: file, bytes }: SignatureFile): ParsedSignature {
  try {
    return bytes[0] === 0x7b ? { file, ...parseSigstoreBundle(bytes, file) } : { file, ...parsePlain(bytes, file) }
  } catch (error) {
    if (!(error instanceof StowageError)) throw error
    return { file, type: 'malformed', reason: error.message }
  }
}

/** The longest signature of the types that are checked: ECDSA P-256 in DER has 72 bytes at most. */
const LONGEST = 72
const SHORTEST = 8

function parsePlain(bytes: Uint8Array, file: string): { type: 'plain'; signature: Uint8Array } {
  if (bytes.length >= SHORTEST && bytes.length <= LONGEST && !isBase64(bytes))
    return { type: 'plain', signature: bytes }
  // As `cosign sign-blob --output-signature` writes it
  return { type: 'plain', signature: signatureIn(Buffer.from(bytes).toString('latin1').trim(), file) }
}

function isBase64(bytes: Uint8Array): boolean {
  return /^[A-Za-z0-9+/]+={0,2}\s*$/.test(Buffer.from(bytes).toString('latin1'))
}

function parseSigstoreBundle(
  bytes: Uint8Array,
  file: string,
): DistributiveOmit<Extract<ParsedSignature, { type: 'key' | 'certificate' }>, 'file'> {
  const document = record(parseJson(bytes, file), file)
  const mediaType = string(document, 'mediaType', file)
  if (!MEDIA_TYPES.test(mediaType)) throw invalid(`${file} is no sigstore bundle: its mediaType is ${mediaType}`)
  if (document['messageSignature'] === undefined) throw invalid(`${file} holds no signature of a file`)
  const message = record(document['messageSignature'], `${file}.messageSignature`)
  const signature = signatureIn(string(message, 'signature', `${file}.messageSignature`), file)
  const digest = digestIn(message['messageDigest'], file)
  const material = record(document['verificationMaterial'], `${file}.verificationMaterial`)
  if (material['publicKey'] === undefined) {
    if (material['certificate'] === undefined) {
      const chain = record(material['x509CertificateChain'], `${file}.verificationMaterial.x509CertificateChain`)
      array(chain, 'certificates', file)
    }
    return { type: 'certificate', document, digest }
  }
  const { hint } = record(material['publicKey'], `${file}.verificationMaterial.publicKey`)
  const id = typeof hint === 'string' ? Buffer.from(hint, 'base64') : undefined
  return { type: 'key', signature, keyId: id?.length === 32 ? id.toString('hex') : undefined, digest }
}

type DistributiveOmit<T, Key extends string> = T extends unknown ? Omit<T, Key> : never

function signatureIn(text: string, file: string): Uint8Array {
  const signature = Buffer.from(text, 'base64')
  const isIt = signature.toString('base64').replace(/=+$/, '') === text.replace(/=+$/, '')
  if (!isIt || signature.length < SHORTEST) throw invalid(`${file} is no signature`)
  return signature
}

function digestIn(value: unknown, file: string): Digest | undefined {
  if (!isObject(value) || Object.keys(value).length === 0) return undefined
  const { algorithm, digest } = value
  if (algorithm !== 'SHA2_256' || typeof digest !== 'string') throw invalid(`${file} is not of a SHA2_256`)
  const bytes = Buffer.from(digest, 'base64')
  if (bytes.length !== 32) throw invalid(`${file} has a SHA2_256 of ${bytes.length} bytes`)
  return digestFromHex(bytes.toString('hex'))
}

function invalid(message: string): StowageError {
  return new StowageError('SIGNATURE_INVALID', message)
}
