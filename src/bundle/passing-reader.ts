/** Reads a bundle from a stream in one pass: an image source whose blobs go by while they are written elsewhere. */
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import type { Bytes, FetchOptions } from '../blob/blob-store.js'
import { type ImageContent, readImage } from '../blob/closure.js'
import { StowageError } from '../errors.js'
import { thisGenerator } from '../generator.js'
import type { ImageSource, SourceImage } from '../image/image-source.js'
import { referrersAmong } from '../image/referrers.js'
import { groupByRoot, namedEntry } from '../image/selection.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { blobPath, INDEX_FILE, LAYOUT_FILE, parseLayoutIndex } from '../oci/layout.js'
import { DOCUMENT_LIMIT } from './contents.js'
import { isDeltaLayout } from './delta.js'
import { type BundleFile, type OpenFilesOptions, readSmall } from './files.js'
import type { Finding } from './graph.js'
import { type BundleImage, type BundleManifest, describeImage, SCHEMA_VERSION, sourceImageOf } from './manifest.js'
import { NO_SIGNATURES } from './signatures.js'
import type { PassingFiles } from './passing-files.js'
import { type BundleReader, entriesOf, hintFor, type Passage, readManifest } from './reader.js'

/**
 * Reads the images in the index.json of the bundle `path`, except their layers. The reader owns `files`. Throws
 * NOT_A_BUNDLE, INVALID_MANIFEST, DIGEST_MISMATCH, BLOB_MISSING, INVALID_TAR.
 */
export async function openPassingReader(
  path: string,
  files: PassingFiles,
  options: Pick<OpenFilesOptions, 'signal' | 'onNotice'>,
): Promise<BundleReader> {
  const layout = await readSmall(files, LAYOUT_FILE, DOCUMENT_LIMIT, options.signal).catch(ifMissing)
  if (layout && isDeltaLayout(layout)) throw new PassingDelta(path)
  return new PassingReader(path, files, await readContents(path, files, options.signal), options)
}

/** Only the end of a delta says what it leaves out, so that it cannot be used while it is read. */
export class PassingDelta extends StowageError {
  constructor(path: string) {
    const source = path === STANDARD_STREAM ? 'standard input' : path
    super('UNSUPPORTED', `${source} is a delta, which cannot be loaded while it is read`, {
      hint: 'Write it to a file first, and load that.',
    })
  }
}

function ifMissing(error: unknown): undefined {
  if (!(error instanceof StowageError) || error.code !== 'BLOB_MISSING') throw error
}

interface PassingImage {
  readonly described: BundleImage
  readonly content: ImageContent
}

async function readContents(
  path: string,
  files: PassingFiles,
  signal: AbortSignal | undefined,
): Promise<readonly PassingImage[]> {
  const bytes = await readSmall(files, INDEX_FILE, DOCUMENT_LIMIT, signal).catch((error: unknown) => {
    if (!(error instanceof StowageError) || error.code !== 'BLOB_MISSING') throw error
    throw new StowageError('NOT_A_BUNDLE', `${path} has no ${INDEX_FILE}`, { hint: hintFor(path, files.files) })
  })
  const entries = parseLayoutIndex(bytes, INDEX_FILE).map(namedEntry)
  const store = { has: async () => true, fetch: (blob: Descriptor, wait?: FetchOptions) => read(files, blob, wait) }
  const images: PassingImage[] = []
  for (const { root, names, absent } of groupByRoot(entries)) {
    const content = await readImage(store, root, { absent, signal })
    // An index that lists absent manifests is listed as it is, or as a complete one made from it
    const listed = entries.some(entry => entry.root.digest === root.digest && entry.listed === root.digest)
    images.push({ described: describeImage(content, names, listed ? 'keep' : undefined), content })
  }
  return images
}

class PassingReader implements BundleReader, Passage {
  readonly manifest: BundleManifest
  readonly referrers: NonNullable<ImageSource['referrers']>
  readonly #path: string
  readonly #files: PassingFiles
  readonly #layers: ReadonlyMap<Digest, readonly Descriptor[]>
  readonly #options: Pick<OpenFilesOptions, 'signal' | 'onNotice'>
  doubts: readonly Finding[] = []
  digest: Digest | undefined
  readonly signatures = NO_SIGNATURES
  /** Paths of layers of the image that is being written, which may still be fetched. */
  #current = new Set<string>()

  constructor(
    path: string,
    files: PassingFiles,
    images: readonly PassingImage[],
    options: Pick<OpenFilesOptions, 'signal' | 'onNotice'>,
  ) {
    this.#path = path
    this.#files = files
    this.#options = options
    this.#layers = new Map(images.map(({ described, content }) => [described.root.digest, content.layers]))
    this.manifest = {
      schemaVersion: SCHEMA_VERSION,
      generator: thisGenerator(),
      images: images.map(({ described }) => described),
      files: [],
    }
    this.referrers = referrersAmong(this, entriesOf(this.manifest))
  }

  get passage(): Passage {
    return this
  }

  get files(): ReadonlyMap<string, BundleFile> {
    return this.#files.files
  }

  async images(): Promise<readonly SourceImage[]> {
    return this.manifest.images.map(sourceImageOf)
  }

  async has({ digest }: Descriptor): Promise<boolean> {
    return this.#files.has(blobPath(digest))
  }

  fetch(blob: Descriptor, options?: FetchOptions): Bytes {
    return read(this.#files, blob, options)
  }

  read(path: string, options?: FetchOptions): Bytes {
    return this.#files.read(path, options)
  }

  ranges(): undefined {
    return undefined
  }

  expect(images: readonly BundleImage[]): void {
    this.#files.expect(images.flatMap(image => this.#pathsOf(image)))
  }

  turnTo(image: BundleImage, layers: readonly Descriptor[]): void {
    this.#release(this.#current)
    this.#current = new Set(this.#pathsOf(image))
    const wanted = new Set(layers.map(({ digest }) => blobPath(digest)))
    this.#release([...this.#current].filter(path => !wanted.has(path)))
  }

  forgo(blobs: readonly Descriptor[]): void {
    this.#release(blobs.map(({ digest }) => blobPath(digest)))
  }

  async complete(): Promise<BundleManifest> {
    await this.#files.drain()
    const { digest, manifest, doubts } = await readManifest(this.#path, this.#files, this.#options)
    this.digest = digest
    this.doubts = doubts
    const known = new Set(manifest.images.map(({ root }) => root.digest))
    const extra = this.manifest.images.find(({ root }) => !known.has(root.digest))
    if (extra) {
      throw new StowageError(
        'BUNDLE_INVALID',
        `${INDEX_FILE} has an image ${extra.root.digest} that bundle.json does not have`,
      )
    }
    return manifest
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files[Symbol.asyncDispose]()
  }

  #release(paths: Iterable<string>): void {
    const released = [...paths].filter(path => this.#current.delete(path))
    this.#files.forgo(released)
  }

  #pathsOf({ root }: BundleImage): readonly string[] {
    return [...new Set((this.#layers.get(root.digest) ?? []).map(({ digest }) => blobPath(digest)))]
  }
}

function read(files: PassingFiles, blob: Descriptor, options?: FetchOptions): Bytes {
  return files.read(blobPath(blob.digest), { signal: options?.signal, size: blob.size })
}
