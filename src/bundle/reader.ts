/** Reads a bundle: an image source whose small files are checked when it is opened. */
import { stat } from 'node:fs/promises'
import { DOCKER_FILE } from '../archive/heads.js'
import type { BlobPlace, Bytes, DiskRange, FetchOptions, LeftOutBlob } from '../blob/blob-store.js'
import { StowageError } from '../errors.js'
import type { ImageSource, SourceImage } from '../image/image-source.js'
import { referrersAmong } from '../image/referrers.js'
import { type NamedEntry, selectImage } from '../image/selection.js'
import type { Descriptor } from '../oci/descriptor.js'
import { type Digest, digestOf } from '../oci/digest.js'
import { blobPath, INDEX_FILE, LAYOUT_FILE, parseLayoutIndex } from '../oci/layout.js'
import type { SignatureReport } from '../signature/check.js'
import type { Trust } from '../signature/trust.js'
import { CHECKSUMS_FILE, parseChecksums } from './checksums.js'
import { DOCUMENT_LIMIT, INCOMPLETE_FILE } from './contents.js'
import { expectBundleLayout, leftOutOf } from './delta.js'
import { doubtsAbout, doubtsText, refuseContradictions } from './doubts.js'
import { type BundleFile, type BundleFiles, isTarPath, type OpenFilesOptions, readSmall } from './files.js'
import type { Finding } from './graph.js'
import {
  BUNDLE_FILE,
  type BundleImage,
  type BundleManifest,
  digestOfIntegrity,
  parseBundleManifest,
  sourceImageOf,
} from './manifest.js'
import { openBundleFiles } from './open-files.js'
import type { PassingFiles } from './passing-files.js'
import { checkBundleSignatures, expectTrusted, signaturePlace } from './signatures.js'

/** An open bundle. The caller disposes of it. */
export interface BundleReader extends ImageSource {
  readonly manifest: BundleManifest
  /** What is wrong with files that no image needs, see {@link doubtsAbout}; of a stream, known once it was read. */
  readonly doubts: readonly Finding[]
  /** The digest of its bundle.json; of a stream that is read once, known at its end. */
  readonly digest: Digest | undefined
  /** Its signatures, as far as `trust` says whom to trust; empty for a stream that is read once. */
  readonly signatures: SignatureReport
  /** The files that actually exist, by path. */
  readonly files: ReadonlyMap<string, BundleFile>
  /** The content of one file, not verified. Throws BLOB_MISSING. */
  read(path: string, options?: FetchOptions): Bytes
  /** The same content as ranges of files, in order; undefined if it is not on disk. Throws BLOB_MISSING. */
  ranges(path: string): readonly DiskRange[] | undefined
  /** Set if the bundle is a stream that is read once, while its images are written. */
  readonly passage?: Passage
}

/** What a bundle that passes once has to be told. Its `manifest` is made from index.json, and has no files. */
export interface Passage {
  /** Says which images will be written: what comes too early, or is needed again, is kept. */
  expect(images: readonly BundleImage[]): void
  /** Says that `image`, with these `layers` of its own, is written next. */
  turnTo(image: BundleImage, layers: readonly Descriptor[]): void
  /**
   * Reads the bundle to its end and checks it as {@link openBundleReader} does before anything else. Returns what
   * bundle.json says. Throws like it, and INVALID_TAR for a stream that breaks off: nothing may have a name before.
   */
  complete(): Promise<BundleManifest>
}

export interface BundleReaderOptions extends OpenFilesOptions {
  /** Selects one image by name, tag or digest; all images if omitted. */
  readonly ref?: string | undefined
  /** What must be true of its bundle.json; a stream is then stored first. */
  readonly trust?: Trust | undefined
}

/**
 * Opens the bundle `path`, see {@link openBundleFiles}, and checks its small files against one another: bundle.json
 * against SHA256SUMS, the heads against both, the images against index.json. What is wrong with files that no image needs
 * is told to `onNotice`. Layers are not verified: the caller that fetches them does that, with `verified()`. Throws NOT_A_BUNDLE, BUNDLE_INVALID, INVALID_MANIFEST, DIGEST_MISMATCH, and
 * what {@link openBundleFiles} throws.
 */
export async function openBundleReader(path: string, options: BundleReaderOptions = {}): Promise<BundleReader> {
  const { ref, trust } = options
  const files = await openBundleFiles(path, trust ? { ...options, passing: false } : options)
  try {
    if (isPassing(files)) return await openPassing(path, files, options)
    const read = await readBundleFile(path, files, options)
    // Before anything else in it is believed
    const place = await signaturePlace(path, options)
    const bundle = { path, place, files, bytes: read.bytes, release: read.manifest.release }
    const signatures = await checkBundleSignatures(bundle, trust)
    if (trust) await expectTrusted(bundle, signatures, trust)
    return new Reader(path, files, await readManifest(path, files, options, read), signatures, ref)
  } catch (error) {
    await files[Symbol.asyncDispose]()
    throw error
  }
}

/** Reads the stream while it passes; a file that turns out to hold a delta is read again, and stored first. */
async function openPassing(path: string, files: PassingFiles, options: BundleReaderOptions): Promise<BundleReader> {
  const { openPassingReader, PassingDelta } = await import('./passing-reader.js')
  try {
    return await openPassingReader(path, files, options)
  } catch (error) {
    const again = error instanceof PassingDelta && (await stat(path).catch(() => undefined))?.isFile()
    if (!again) throw error
  }
  await files[Symbol.asyncDispose]()
  return await openBundleReader(path, { ...options, passing: false })
}

function isPassing(files: BundleFiles): files is PassingFiles {
  return 'drain' in files
}

class Reader implements BundleReader {
  readonly manifest: BundleManifest
  readonly leftOut: ReadonlyMap<Digest, LeftOutBlob> | undefined
  readonly doubts: readonly Finding[]
  readonly digest: Digest
  readonly signatures: SignatureReport
  readonly #path: string
  readonly #files: BundleFiles
  readonly #ref: string | undefined
  readonly referrers: NonNullable<ImageSource['referrers']>

  constructor(
    path: string,
    files: BundleFiles,
    { digest, manifest, doubts }: ReadManifest,
    signatures: SignatureReport,
    ref: string | undefined,
  ) {
    this.#path = path
    this.digest = digest
    this.signatures = signatures
    this.#files = files
    this.manifest = manifest
    this.doubts = doubts
    this.#ref = ref
    this.leftOut = manifest.assumes && new Map(manifest.assumes.layers.map(layer => [layer.digest, layer]))
    this.referrers = referrersAmong(this, entriesOf(manifest))
  }

  get files(): ReadonlyMap<string, BundleFile> {
    return this.#files.files
  }

  async images(): Promise<readonly SourceImage[]> {
    if (this.#ref === undefined) return this.#images()
    return [selectImage(entriesOf(this.manifest), this.#ref, this.#path)]
  }

  async has(blob: Descriptor): Promise<boolean> {
    const file = this.#files.files.get(blobPath(blob.digest))
    return file?.type === 'file' && file.size === blob.size
  }

  fetch(blob: Descriptor, options?: FetchOptions): Bytes {
    if (this.leftOut?.has(blob.digest)) throw leftOutOf(this.#path, blob)
    return this.#files.read(blobPath(blob.digest), options)
  }

  async placeOf(blob: Descriptor): Promise<BlobPlace | undefined> {
    const [place, ...others] = (await this.has(blob)) ? (this.ranges(blobPath(blob.digest)) ?? []) : []
    return others.length > 0 ? undefined : place
  }

  read(path: string, options?: FetchOptions): Bytes {
    return this.#files.read(path, options)
  }

  ranges(path: string): readonly DiskRange[] | undefined {
    return this.#files.ranges(path)
  }

  #images(): readonly SourceImage[] {
    return this.manifest.images.map(sourceImageOf)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files[Symbol.asyncDispose]()
  }
}

/** The bundle that `source` is, if it is one that was opened. */
export function bundleOf(source: ImageSource): BundleReader | undefined {
  return source instanceof Reader ? source : undefined
}

/** The images of a bundle, one entry per name; an image without a name has one entry. */
export function entriesOf({ images }: BundleManifest): readonly NamedEntry[] {
  return images.flatMap(image => {
    const { root, names, absent } = sourceImageOf(image)
    return (names.length > 0 ? names : [undefined]).map(name => ({ root, name, absent, listed: image.root.digest }))
  })
}

export interface ReadManifest {
  /** Of bundle.json. */
  readonly digest: Digest
  readonly manifest: BundleManifest
  readonly doubts: readonly Finding[]
}

/**
 * The manifest of a bundle whose small files agree with one another, and what is wrong with others, which `onNotice` is
 * told. `read` is its bundle.json if that was read already: a medium may give another the second time. Throws like
 * {@link openBundleReader}.
 */
export async function readManifest(
  path: string,
  files: BundleFiles,
  { signal, onNotice }: Pick<OpenFilesOptions, 'signal' | 'onNotice'>,
  read?: ReadBundleFile,
): Promise<ReadManifest> {
  const { bytes, manifest } = read ?? (await readBundleFile(path, files, { signal }))
  const sums = parseChecksums(await readSmall(files, CHECKSUMS_FILE, DOCUMENT_LIMIT, signal))
  expectDigest(BUNDLE_FILE, bytes, sums.get(BUNDLE_FILE), CHECKSUMS_FILE)
  const listed = new Map(manifest.files.map(file => [file.path, file]))
  for (const head of [LAYOUT_FILE, INDEX_FILE, DOCKER_FILE]) {
    const found = await readSmall(files, head, DOCUMENT_LIMIT, signal)
    const entry = listed.get(head)
    expectDigest(head, found, entry && digestOfIntegrity(entry.integrity), BUNDLE_FILE)
    expectDigest(head, found, sums.get(head), CHECKSUMS_FILE)
    if (head === LAYOUT_FILE) expectBundleLayout(found, manifest.assumes !== undefined)
    if (head === INDEX_FILE) refuseContradictions(manifest, sums, parseLayoutIndex(found, INDEX_FILE))
  }
  const doubts = await doubtsAbout(files, manifest, sums, signal)
  for (const sentence of doubtsText(path, doubts)) onNotice?.(sentence)
  return { digest: digestOf(bytes), manifest, doubts }
}

interface ReadBundleFile {
  readonly bytes: Uint8Array
  readonly manifest: BundleManifest
}

async function readBundleFile(
  path: string,
  files: BundleFiles,
  { signal }: Pick<OpenFilesOptions, 'signal'>,
): Promise<ReadBundleFile> {
  refuseOther(path, files)
  const bytes = await readSmall(files, BUNDLE_FILE, DOCUMENT_LIMIT, signal)
  return { bytes, manifest: parseBundleManifest(bytes) }
}

function refuseOther(path: string, { files }: BundleFiles): void {
  if (files.has(INCOMPLETE_FILE)) {
    throw new StowageError('BUNDLE_INVALID', `${path} is not complete: it holds the marker ${INCOMPLETE_FILE}`, {
      hint: 'Run the interrupted "stowage pack" command again; it resumes where it stopped.',
    })
  }
  const missing = [BUNDLE_FILE, CHECKSUMS_FILE, LAYOUT_FILE, INDEX_FILE, DOCKER_FILE].filter(file => !files.has(file))
  if (missing.includes(BUNDLE_FILE)) {
    throw new StowageError('NOT_A_BUNDLE', `${path} has no ${BUNDLE_FILE}`, {
      hint: hintFor(path, files),
    })
  }
  if (missing.length > 0) throw new StowageError('BUNDLE_INVALID', `${path} has no ${missing.join(', no ')}`)
}

/** What else `path` may be. */
export function hintFor(path: string, files: ReadonlyMap<string, BundleFile>): string {
  const scheme = isTarPath(path) ? (files.has(DOCKER_FILE) ? 'docker-archive' : 'oci-archive') : 'oci'
  if (!files.has(LAYOUT_FILE) && !files.has(DOCKER_FILE)) return 'Name a directory or a .tar that "stowage pack" wrote.'
  const what = isTarPath(path) ? 'an archive of images' : 'an OCI image layout'
  const taken = scheme === 'oci' ? ` "stowage serve" and "stowage diff" take oci:${path}.` : ''
  return `It is ${what}, not a bundle. Copy it: stowage copy ${scheme}:${path} TO; or pack it: stowage pack ${scheme}:${path} -o BUNDLE.${taken}`
}

function expectDigest(file: string, bytes: Uint8Array, expected: string | undefined, by: string): void {
  const found = digestOf(bytes)
  if (found === expected) return
  if (expected === undefined) throw new StowageError('BUNDLE_INVALID', `${file} is not listed in ${by}`)
  throw new StowageError('DIGEST_MISMATCH', `${file}: ${by} expects ${expected} but the file is ${found}`, {
    hint: 'Copy the bundle again; "stowage verify" names every file that is wrong.',
  })
}
