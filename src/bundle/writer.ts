/** A bundle being written: an image destination, and a stage for layers that are made here. */
import {
  DOCKER_FILE,
  encodeDockerManifest,
  encodeIndex,
  engineNames,
  type NamedImage,
  reserveHeads,
} from '../archive/heads.js'
import { checkSpace } from '../archive/space.js'
import type { BlobStage, BlobStore, StagedBlob } from '../blob/blob-store.js'
import { blobsOf, type ImageContent, mergeImages } from '../blob/closure.js'
import type { BlobDirectory } from '../blob/directory.js'
import { fill, type FillOptions, fillWith, type WantedBlob } from '../blob/fill.js'
import { type SparseForm, withStripped } from '../blob/stripped.js'
import { readFileBytes } from '../blob/hash-file.js'
import { abortError, StowageError } from '../errors.js'
import { thisGenerator } from '../generator.js'
import type { ImageDestination, WriteImageOptions, WrittenImage } from '../image/image-destination.js'
import { type Descriptor, eachOnce } from '../oci/descriptor.js'
import { type Digest, digestOf } from '../oci/digest.js'
import { blobPath, INDEX_FILE, LAYOUT_BYTES, LAYOUT_FILE } from '../oci/layout.js'
import { formatReference, namesOnce, type Reference } from '../oci/reference.js'
import type { WaitOptions } from '../progress.js'
import { carriedPath, describeFile } from './carried.js'
import { CHECKSUMS_FILE, comparePaths, encodeChecksums } from './checksums.js'
import { openDirectoryMedium } from './directory-medium.js'
import { isTarPath } from './files.js'
import {
  BUNDLE_FILE,
  type BundleManifest,
  describeImage,
  encodeBundleManifest,
  integrityOf,
  SCHEMA_VERSION,
} from './manifest.js'
import type { BundleMedium } from './medium.js'
import { README_FILE, README_TEXT } from './readme.js'
import { openStandingMedium } from './standing-medium.js'

export interface BundleWriterOptions {
  /** Once it is aborted, disposing a directory bundle keeps its finished blobs for the next run. */
  readonly signal?: AbortSignal | undefined
  /** Seconds since 1970, as SOURCE_DATE_EPOCH: `created` and the times in the tar; without it, no `created` and 0. */
  readonly epoch?: number | undefined
  /** A bundle that is in the directory already becomes what is written; without it, only the same may be written again. */
  readonly update?: boolean | undefined
  /** `keep`: a sparse index is listed as it is, without a complete one in its place. */
  readonly sparse?: SparseForm | undefined
}

/** What a bundle will hold beside the images that are known whole. */
export interface PlanOptions {
  /** How many more images come, whose layers are made on the way. */
  readonly pendingImages?: number
  /** Bytes of the files that are added. */
  readonly fileBytes?: number
}

/** An open bundle. Disposing it unsealed removes what it made. */
export interface BundleWriter extends ImageDestination, BlobStage {
  /**
   * Where a source on whose order we have no say (an engine's export) files its blobs: on the bundle's medium, and for a
   * directory in the very place where those that are written stay. The others go when the bundle is sealed.
   */
  spool(): Promise<BlobDirectory>
  /**
   * Says what will be written, before the first byte. Leaves room for the heads and throws NO_SPACE when it would not fit,
   * INVALID_ARGUMENT when two images share a name.
   */
  plan(images: readonly NamedImage[], more?: PlanOptions): Promise<void>
  /**
   * Adds the file `source` as `files/PATH`. Throws INVALID_ARGUMENT for a path that some system cannot hold, or that is taken,
   * FILE_NOT_FOUND, and SIZE_MISMATCH or DIGEST_MISMATCH for a file that changes meanwhile.
   */
  addFile(path: string, source: string, options?: WaitOptions): Promise<void>
  /** Blobs of images that will be written, all in one queue: each once, whatever images share it. */
  fill(wanted: readonly WantedBlob[], options?: FillOptions): Promise<void>
  /** Whether a whole bundle stood there before; disposed unsealed, it is as it was. */
  readonly standing: boolean
  /** Sealed: whether the very same bundle stood there before, so that nothing was written. */
  readonly unchanged: boolean
  /** Disposed unsealed, a directory keeps what came, for another run to go on with. */
  keep(): void
  /** Writes the heads, bundle.json and SHA256SUMS, and makes all of it last. Nothing can be written afterwards. */
  seal(): Promise<BundleManifest>
}

/** Images a tar leaves room for when nobody planned. */
const UNPLANNED = 16
/** Room for headers, heads, bundle.json and SHA256SUMS: a part for every blob and a part for all, in bytes. */
const ROOM_PER_BLOB = 2048
const ROOM = 64 * 1024

/**
 * Opens a bundle for writing: one tar where `path` ends in `.tar`, else a directory. See openTarMedium(),
 * {@link openStandingMedium} and {@link openDirectoryMedium} for what may be there. Same images, same bytes. Format: docs/bundle-format.md.
 */
export async function openBundleWriter(
  path: string,
  { signal, epoch, update = false, sparse }: BundleWriterOptions = {},
): Promise<BundleWriter> {
  const medium = isTarPath(path)
    ? await (await import('./tar-medium.js')).openTarMedium(path, epoch ?? 0)
    : ((await openStandingMedium(path, update)) ?? (await openDirectoryMedium(path)))
  return new Writer(medium, signal, epoch, sparse)
}

class Writer implements BundleWriter {
  readonly #medium: BundleMedium
  readonly #signal: AbortSignal | undefined
  readonly #epoch: number | undefined
  readonly #sparse: SparseForm | undefined
  readonly #planned = new Map<Digest, ImageContent>()
  readonly #images = new Map<Digest, NamedImage>()
  readonly #files = new Map<Digest, number>()
  /** Files beside the images, by their path in the bundle. */
  readonly #carried = new Map<string, Descriptor>()
  #keep = false
  #written = true
  #state: 'fresh' | 'planned' | 'closed' = 'fresh'

  constructor(
    medium: BundleMedium,
    signal: AbortSignal | undefined,
    epoch: number | undefined,
    sparse: SparseForm | undefined,
  ) {
    this.#medium = medium
    this.#signal = signal
    this.#epoch = epoch
    this.#sparse = sparse
  }

  get standing(): boolean {
    return this.#medium.standing ?? false
  }

  get stage(): BlobStage {
    return this
  }

  get unchanged(): boolean {
    return !this.#written
  }

  async spool(): Promise<BlobDirectory> {
    return await this.#medium.spool()
  }

  async plan(images: readonly NamedImage[], { pendingImages = 0, fileBytes = 0 }: PlanOptions = {}): Promise<void> {
    if (this.#state !== 'fresh') {
      throw new StowageError('INVALID_ARGUMENT', 'a bundle is planned once, before anything is written to it')
    }
    refuseConflicts(images)
    for (const { image } of images) {
      const before = this.#planned.get(image.root.digest)
      this.#planned.set(image.root.digest, before ? mergeImages(before, image) : image)
    }
    await this.#medium.reserve(reserveHeads(images, pendingImages, this.#sparse))
    const blobs = orderOf(images.map(({ image }) => ({ image: this.#whole(image) })))
    await this.#medium.assign(blobs)
    const missing: Descriptor[] = []
    for (const blob of blobs) if (!(await this.#medium.holds(blob))) missing.push(blob)
    const needed = missing.reduce((sum, blob) => sum + blob.size, ROOM + fileBytes + blobs.length * ROOM_PER_BLOB)
    const largest = missing.reduce((size, blob) => Math.max(size, blob.size), 0)
    await checkSpace(this.#medium.where, needed, largest)
    this.#state = 'planned'
  }

  async write(
    given: ImageContent,
    blobs: BlobStore,
    names: readonly Reference[],
    options: WriteImageOptions = {},
  ): Promise<WrittenImage> {
    await this.#begin()
    const { signal = this.#signal, onProgress, jobs } = options
    const all = this.#withNames(given, names)
    const image = this.#whole(given)
    const subject = names[0] ? formatReference(names[0]) : image.root.digest
    onProgress?.({ type: 'stage', stage: 'copy', subject })
    await this.#medium.assign(orderOf([{ image }]))
    const { sent, skipped } = await fillWith(this.#medium, image, blobs, { jobs, signal, subject, onProgress })
    for (const { digest, size } of blobsOf(image)) this.#files.set(digest, size)
    const before = this.#images.get(image.root.digest)
    this.#images.set(image.root.digest, { image: before ? mergeImages(before.image, given) : given, names: all })
    onProgress?.({ type: 'done', subject })
    return { names, id: image.root.digest, sent, skipped }
  }

  async fill(wanted: readonly WantedBlob[], options: FillOptions = {}): Promise<void> {
    await this.#begin()
    await fill(this.#medium, wanted, { signal: this.#signal, ...options })
  }

  async addFile(path: string, source: string, { signal = this.#signal, onProgress }: WaitOptions = {}): Promise<void> {
    await this.#begin()
    const place = carriedPath(path, [...this.#carried.keys()])
    onProgress?.({ type: 'stage', stage: 'copy', subject: path })
    const file = await describeFile(source, { signal })
    await this.#medium.putFile(place, file, readFileBytes(source, { signal }), { signal })
    this.#carried.set(place, file)
  }

  keep(): void {
    this.#keep = true
  }

  async create<T extends StagedBlob>(produce: (target: { path: string; offset: number }) => Promise<T>): Promise<T> {
    await this.#begin()
    return await this.#medium.create(produce)
  }

  async seal(): Promise<BundleManifest> {
    await this.#begin()
    this.#signal?.throwIfAborted()
    const images = [...this.#images.values()]
    if (images.length === 0 && this.#carried.size === 0)
      throw new StowageError('INVALID_ARGUMENT', 'a bundle needs at least one image or file')
    const documents = new Map<string, Uint8Array>([
      [LAYOUT_FILE, LAYOUT_BYTES],
      [INDEX_FILE, this.#medium.fit(INDEX_FILE, encodeIndex(images, this.#sparse))],
      [DOCKER_FILE, this.#medium.fit(DOCKER_FILE, encodeDockerManifest(images))],
      [README_FILE, new TextEncoder().encode(README_TEXT)],
    ])
    const sums = new Map([...documents].map(([path, bytes]) => [path, digestOf(bytes)]))
    const sizes = new Map([...documents].map(([path, bytes]) => [path, bytes.length]))
    for (const [digest, size] of this.#files) {
      sums.set(blobPath(digest), digest)
      sizes.set(blobPath(digest), size)
    }
    for (const [path, { digest, size }] of this.#carried) {
      sums.set(path, digest)
      sizes.set(path, size)
    }
    const manifest: BundleManifest = {
      schemaVersion: SCHEMA_VERSION,
      generator: thisGenerator(),
      ...(this.#epoch === undefined ? {} : { created: new Date(this.#epoch * 1000).toISOString() }),
      images: images.map(({ image, names }) => describeImage(image, names, this.#sparse)),
      files: [...sums]
        .sort(([a], [b]) => comparePaths(a, b))
        .map(([path, digest]) => ({ path, size: sizes.get(path) ?? 0, integrity: integrityOf(digest) })),
    }
    const bundle = encodeBundleManifest(manifest)
    documents.set(BUNDLE_FILE, bundle)
    documents.set(CHECKSUMS_FILE, encodeChecksums(sums.set(BUNDLE_FILE, digestOf(bundle))))
    this.#written = await this.#medium.seal(documents, new Set(this.#files.keys()))
    this.#state = 'closed'
    return manifest
  }

  async finish(): Promise<void> {
    await this.seal()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    await this.#medium.discard(this.#keep || (this.#signal?.aborted ?? false))
  }

  async #begin(): Promise<void> {
    if (this.#state === 'closed') {
      throw new StowageError('INVALID_ARGUMENT', 'the bundle is sealed or disposed: nothing can be written to it')
    }
    if (this.#signal?.aborted) throw abortError(this.#signal.reason, this.#signal)
    if (this.#state === 'fresh') await this.plan([], { pendingImages: UNPLANNED })
  }

  /** What is written of `image`: with the complete index that stands for a sparse one, as it was planned. */
  #whole(image: ImageContent): ImageContent {
    if (this.#sparse === 'keep') return image
    const before = this.#planned.get(image.root.digest)
    return withStripped(before ? mergeImages(before, image) : image)
  }

  /** The names this image has after this write; refuses a name that another image of the bundle has. */
  #withNames(image: ImageContent, names: readonly Reference[]): readonly Reference[] {
    refuseConflicts([...this.#images.values(), { image, names }])
    const before = this.#images.get(image.root.digest)?.names ?? []
    return namesOnce([...before, ...names])
  }
}

/** Each blob once, manifests and configs of all images before the first layer: a reader of a tar finds its way early. */
function orderOf(images: readonly { readonly image: ImageContent }[]): readonly Descriptor[] {
  const layers = new Set(images.flatMap(({ image }) => image.layers).map(({ digest }) => digest))
  const blobs = eachOnce(images.flatMap(({ image }) => blobsOf(image)))
  return [...blobs.filter(({ digest }) => !layers.has(digest)), ...blobs.filter(({ digest }) => layers.has(digest))]
}

function refuseConflicts(images: readonly NamedImage[]): void {
  const owners = new Map<string, Digest>()
  for (const { image, names } of images) {
    for (const name of engineNames(names).map(formatReference)) {
      const owner = owners.get(name) ?? image.root.digest
      if (owner !== image.root.digest) {
        throw new StowageError(
          'INVALID_ARGUMENT',
          `two different images are named ${name}: ${owner} and ${image.root.digest}`,
          { hint: 'Pack them into two bundles, or give one of them another name first.' },
        )
      }
      owners.set(name, owner)
    }
  }
}
