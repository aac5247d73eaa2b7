/** Sign: writes signatures of a bundle, which bind every byte of it, beside it or into its directory. */
import { copyFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import { writeDurably } from '../blob/durable.js'
import { DOCUMENT_LIMIT } from '../bundle/contents.js'
import { readSmall } from '../bundle/files.js'
import { BUNDLE_FILE } from '../bundle/manifest.js'
import { openBundleReader } from '../bundle/reader.js'
import { orNothing, readSignature, signatureFiles, signatureName, signaturePlace } from '../bundle/signatures.js'
import { verifyBundle } from '../bundle/verify.js'
import { fileError, StowageError } from '../errors.js'
import { type Digest, digestOf } from '../oci/digest.js'
import type { WaitOptions } from '../progress.js'
import { checkSignatures } from '../signature/check.js'
import type { Signer } from '../signature/private-key.js'
import { encodeSigstoreBundle } from '../signature/signature-file.js'

export interface SignOptions extends WaitOptions {
  /** Decompress layers when the bundle is verified (the default). */
  readonly deep?: boolean | undefined
  /** Where volumes of the bundle may be, besides its path. */
  readonly more?: readonly string[] | undefined
}

export interface SignResult {
  readonly path: string
  /** Of its bundle.json, which is what is signed. */
  readonly digest: Digest
  /** See {@link PublicKey}. */
  readonly keyId: string
  /** The files of the signature: for openssl, and for cosign. */
  readonly files: readonly string[]
  /** It was signed by this key already, so nothing was written. */
  readonly unchanged: boolean
}

/**
 * Verifies the bundle `path`, and signs its bundle.json, which lists the hash of every other file. The signature is in two
 * files, a plain one for openssl and a sigstore bundle v0.3 for cosign: `bundle.json.sig` and `bundle.json.sigstore.json`
 * in a directory, or `site-a.bundle.json.sig` … beside `site-a.tar` or its volumes; `bundle.json.KEYID.sig` … if there is
 * one by another key. Throws BUNDLE_INVALID for a damaged bundle, INVALID_ARGUMENT for a stream, what the signer throws,
 * and {@link fileError}s.
 */
export async function signBundle(path: string, signer: Signer, options: SignOptions = {}): Promise<SignResult> {
  const { deep, more, signal, onProgress } = options
  refuseStream(path)
  const { findings } = await verifyBundle(path, { deep, more, signal, onProgress })
  const [first] = findings
  if (first) {
    throw new StowageError(
      'BUNDLE_INVALID',
      `${path} is damaged, so it was not signed: ${first.path}: ${first.message}`,
      {
        hint: `"stowage verify ${path}" lists everything that is wrong.`,
      },
    )
  }
  return await signSealed(path, signer, options)
}

/** {@link signBundle} for a bundle that was just written. */
export async function signSealed(
  path: string,
  signer: Signer,
  { more, signal }: Pick<SignOptions, 'more' | 'signal'> = {},
): Promise<SignResult> {
  const place = await signaturePlace(path, { more })
  if (!place) throw noPlace()
  const bytes = await bundleBytes(path, more, signal)
  const { publicKey } = signer
  const result = { path, digest: digestOf(bytes), keyId: publicKey.id }
  const there = await signatureFiles(place)
  const found = await Promise.all(
    there.map(async name => ({ name, bytes: await orNothing(async () => await readSignature(name)) })),
  )
  const { signatures } = await checkSignatures(bytes, found, [{ keys: [publicKey] }])
  const ours = signatures.flatMap(({ status, files }) => (status === 'valid' ? files : []))
  if (ours.length > 1) return { ...result, files: ours, unchanged: true }
  // One by a key that is not known here may be good; what is of another bundle.json, or no signature, is in nobody's use
  const others = signatures.filter(({ status }) => status === 'untrusted').flatMap(({ files }) => files)
  const plain = [signatureName(place.base, undefined, 'sig'), signatureName(place.base, undefined, 'sigstore.json')]
  const taken = others.some(file => plain.includes(basename(file)))
  const signature = await signer.sign(bytes)
  const files: string[] = []
  for (const [form, content] of [
    ['sig', signature],
    ['sigstore.json', encodeSigstoreBundle(publicKey, result.digest, signature)],
  ] as const) {
    const file = join(place.directories[0] ?? '', signatureName(place.base, taken ? publicKey.id : undefined, form))
    await writeDurably(file, content)
    files.push(file)
  }
  return { ...result, files, unchanged: false }
}

/** Copies the signatures of the bundle `from` to where those of the same bundle at `to` belong. Returns the copies. */
export async function copySignatures(from: string, to: string, more?: readonly string[]): Promise<readonly string[]> {
  const [source, target] = [await signaturePlace(from, { more }), await signaturePlace(to)]
  if (!source || !target) return []
  const copies: string[] = []
  for (const file of await signatureFiles(source)) {
    const copy = join(target.directories[0] ?? '', `${target.base}${basename(file).slice(source.base.length)}`)
    if (await isSame(file, copy)) continue
    await copyFile(file, copy).catch((error: unknown) => {
      throw fileError(error, copy)
    })
    copies.push(copy)
  }
  return copies
}

/** Throws INVALID_ARGUMENT for `-`: a signature needs a place. */
export function refuseStream(path: string): void {
  if (path === STANDARD_STREAM) throw noPlace()
}

async function bundleBytes(
  path: string,
  more: readonly string[] | undefined,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  await using reader = await openBundleReader(path, { layers: false, more, signal })
  return await readSmall(reader, BUNDLE_FILE, DOCUMENT_LIMIT, signal)
}

async function isSame(file: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([file, other].map(async each => await stat(each).catch(() => undefined)))
  return a !== undefined && a.ino === b?.ino && a.dev === b.dev
}

function noPlace(): StowageError {
  return new StowageError('INVALID_ARGUMENT', 'a signature is kept beside the bundle, and a stream has no place', {
    hint: 'Write the bundle to a file or a directory, or sign it where it is stored: stowage sign BUNDLE --key KEY.',
  })
}
