/** Writes a bundle: an image destination, and a stage for layers that Stowage creates. */
import {
  DOCKER_FILE,
  encodeDockerManifest,
  encodeIndex,
  engineNames,
  type NamedImage,
  reserveHeads,
} from '../archive/heads.js'
import { checkSpace } from '../archive/space.js'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import type { BlobStage, BlobStore, StagedBlob } from '../blob/blob-store.js'
import { blobsOf, type ImageContent, mergeImages } from '../blob/closure.js'
import type { BlobDirectory } from '../blob/directory.js'
import { fill, type FillOptions, fillWith, type WantedBlob } from '../blob/fill.js'
import { type SparseForm, strippedIndexes } from '../blob/stripped.js'
import { readFileBytes } from '../blob/hash-file.js'
import { abortError, StowageError } from '../errors.js'
import { thisGenerator } from '../generator.js'
import type { ImageDestination, WriteImageOptions, WrittenImage } from '../image/image-destination.js'
import { compressionOfName } from '../oci/compression.js'
import type { Descriptor } from '../oci/descriptor.js'
import { type Digest, digestOf } from '../oci/digest.js'
import { blobPath, INDEX_FILE, LAYOUT_BYTES, LAYOUT_FILE } from '../oci/layout.js'
import { formatReference, namesOnce, type Reference } from '../oci/reference.js'
import type { WaitOptions } from '../progress.js'
import { carriedPath, describeFile } from './carried.js'
import { CHECKSUMS_FILE, comparePaths, encodeChecksums } from './checksums.js'
import { openDirectoryMedium } from './directory-medium.js'
import { isTarPath } from './files.js'
import { ProvingSink } from './proving-sink.js'
import type { LayerProofs } from './layer-comparison.js'
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
import { inOrder, orderOf } from './order.js'
import { openStandingMedium } from './standing-medium.js'
import type { VolumesMedium } from './volumes-medium.js'
import { LEAST_VOLUME } from '../volumes/description.js'
import type { WriteVolumesOptions, WrittenVolumes } from '../volumes/write-volumes.js'

export interface BundleWriterOptions {
  /** If aborted, disposing a directory bundle keeps its finished blobs for the next run. */
  readonly signal?: AbortSignal | undefined
  /** SOURCE_DATE_EPOCH, in seconds since 1970, for `created` and the times in a tar; if omitted, no `created` and 0. */
  readonly epoch?: number | undefined
  /** Updates a bundle that already exists in the directory; without this, only the same bundle may be written again. */
  readonly update?: boolean | undefined
  /** `keep`: lists a sparse index as it is, without replacing it with a complete one. */
  readonly sparse?: SparseForm | undefined
  /**
   * Decompress layers while they are written, and compare what is in them with the diffIDs in the configs of their
   * images (the default).
   */
  readonly deep?: boolean | undefined
  /** Writes the tar as volumes of this many bytes, which the other options are for. */
  readonly volumes?: (WriteVolumesOptions & { readonly size: number }) | undefined
}

/** What a bundle will hold besides the images that are already fully known. */
export interface PlanOptions {
  /** Number of further images, whose layers are created while packing. */
  readonly pendingImages?: number
  /** Total size of the files to add, in bytes. */
  readonly fileSize?: number
}

/**
 * An open bundle. Disposing it before it is sealed removes what it created. A layer that is not the tar that the config
 * of an image says is refused as it comes, or by seal(): DIFF_ID_MISMATCH.
 */
export interface BundleWriter extends ImageDestination, BlobStage {
  /**
   * The directory for the blobs of a source whose order we cannot choose (an engine's export). It is on the bundle's
   * medium; for a directory bundle it is the bundle's own blob directory. Sealing removes the blobs that are not
   * needed.
   */
  spool(): Promise<BlobDirectory>
  /**
   * Announces what will be written, before the first byte. Reserves space for the heads. Throws NO_SPACE if the bundle
   * would not fit, INVALID_ARGUMENT if two images share a name.
   */
  plan(images: readonly NamedImage[], more?: PlanOptions): Promise<void>
  /**
   * Adds the file `source` as `files/PATH`. Throws INVALID_ARGUMENT for a path that is taken or that some system cannot
   * hold, FILE_NOT_FOUND, and SIZE_MISMATCH or DIGEST_MISMATCH if the file changes while it is read.
   */
  addFile(path: string, source: string, options?: WaitOptions): Promise<void>
  /** Copies blobs of images that will be written, in one queue, each once even if several images share it. */
  fill(wanted: readonly WantedBlob[], options?: FillOptions): Promise<void>
  /** Whether a complete bundle already existed; disposing before sealing leaves it unchanged. */
  readonly standing: boolean
  /** After sealing: whether the same bundle already existed, so that nothing was written. */
  readonly unchanged: boolean
  /** Whether sealing copies everything, and reports the progress of it: sources must stay open until then. */
  readonly deferred: boolean
  /** After sealing: what was found in the layers, if they were decompressed. */
  readonly layers: LayerProofs
  /** After sealing: the volumes, if it was written as such. */
  readonly volumes: WrittenVolumes | undefined
  /** Makes disposing before sealing keep the finished blobs of a directory bundle, so that another run can resume. */
  keep(): void
  /** Writes the heads, bundle.json and SHA256SUMS, and syncs everything. Nothing can be written afterwards. */
  seal(): Promise<BundleManifest>
}

/** Number of images that a tar reserves space for if plan() was not called. */
const UNPLANNED = 16
/** Space in bytes for headers, heads, bundle.json and SHA256SUMS: a part per blob and a fixed part. */
const ROOM_PER_BLOB = 2048
const ROOM = 64 * 1024
/** Files and directories of a bundle directory besides its blobs. */
const HEADS = 10

/**
 * Opens a bundle for writing: a tar if {@link isTarPath} says so, otherwise a directory. See openTarMedium(),
 * {@link openStandingMedium} and {@link openDirectoryMedium} for what may already exist there. The same images give the
 * same bytes, in whatever order they are written. Format: docs/bundle-format.md.
 */
export async function openBundleWriter(
  path: string,
  { signal, epoch, update = false, sparse, deep = true, volumes }: BundleWriterOptions = {},
): Promise<BundleWriter> {
  if (volumes) {
    expectVolumes(path, volumes.size)
    const { openVolumesMedium } = await import('./volumes-medium.js')
    const medium = openVolumesMedium(path, volumes.size, epoch ?? 0, { signal, ...volumes })
    return new Writer(medium, { signal, epoch, sparse, deep }, { tar: true, copies: 1 })
  }
  const medium = isTarPath(path)
    ? await (await import('./tar-medium.js')).openTarMedium(path, epoch ?? 0, signal)
    : ((await openStandingMedium(path, update)) ?? (await openDirectoryMedium(path)))
  const form = { tar: isTarPath(path), copies: compressionOfName(path) ? 2 : 1 }
  return new Writer(medium, { signal, epoch, sparse, deep }, form)
}

/** Throws INVALID_ARGUMENT unless `path` can be cut into volumes of `size` bytes. */
export function expectVolumes(path: string, size: number): void {
  if (!Number.isSafeInteger(size) || size < LEAST_VOLUME)
    throw new StowageError('INVALID_ARGUMENT', `a volume has at least ${LEAST_VOLUME} bytes, not ${size}`)
  if (path !== STANDARD_STREAM && isTarPath(path) && compressionOfName(path) === undefined) return
  throw new StowageError('INVALID_ARGUMENT', `${path} cannot be cut into volumes: they are parts of a plain tar`, {
    hint: 'Name a file that ends in .tar: x.tar becomes x.tar.001, x.tar.002 ….',
  })
}

/** What a bundle is on its medium. */
interface BundleForm {
  readonly tar: boolean
  /** How often it is there at its end: a compressed one is beside the plain tar. */
  readonly copies: number
}

class Writer implements BundleWriter {
  readonly #medium: BundleMedium & Pick<Partial<VolumesMedium>, 'written'>
  readonly #signal: AbortSignal | undefined
  readonly #epoch: number | undefined
  readonly #sparse: SparseForm | undefined
  readonly #form: BundleForm
  readonly #images = new Map<Digest, NamedImage>()
  /** Referrers that were left behind, by the root of the image. */
  readonly #undelivered = new Map<Digest, readonly Digest[]>()
  readonly #files = new Map<Digest, number>()
  /** Carried files, by path in the bundle. */
  readonly #carried = new Map<string, Descriptor>()
  readonly #layers: ProvingSink | undefined
  #keep = false
  #written = true
  #state: 'fresh' | 'planned' | 'closed' = 'fresh'

  constructor(
    medium: BundleMedium & Pick<Partial<VolumesMedium>, 'written'>,
    { signal, epoch, sparse, deep = true }: BundleWriterOptions,
    form: BundleForm,
  ) {
    this.#medium = medium
    this.#signal = signal
    this.#epoch = epoch
    this.#sparse = sparse
    if (deep) this.#layers = new ProvingSink(medium, signal)
    this.#form = form
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

  get deferred(): boolean {
    return this.#medium.deferred ?? false
  }

  get layers(): LayerProofs {
    return this.#layers?.proofs(this.#files.keys()) ?? { proved: 0, unproved: [] }
  }

  get volumes(): WrittenVolumes | undefined {
    return this.#medium.written
  }

  async spool(): Promise<BlobDirectory> {
    return await this.#medium.spool()
  }

  async plan(given: readonly NamedImage[], { pendingImages = 0, fileSize = 0 }: PlanOptions = {}): Promise<void> {
    const images = inOrder(given)
    if (this.#state !== 'fresh') {
      throw new StowageError('INVALID_ARGUMENT', 'a bundle is planned once, before anything is written to it')
    }
    refuseConflicts(images)
    for (const { image } of images) this.#layers?.expect(image)
    await this.#medium.reserve(reserveHeads(images, pendingImages, this.#sparse))
    const blobs = orderOf(images)
    await this.#medium.assign(blobs)
    if (!this.deferred) {
      await this.#checkSpace(blobs, fileSize).catch(async (error: unknown) => {
        if (!(await this.#medium.restart?.())) throw error
        await this.#checkSpace(blobs, fileSize)
      })
    }
    this.#state = 'planned'
  }

  async #checkSpace(blobs: readonly Descriptor[], fileSize: number): Promise<void> {
    const missing: Descriptor[] = []
    for (const blob of blobs) if (!(await this.#medium.holds(blob))) missing.push(blob)
    const needed = missing.reduce((sum, blob) => sum + blob.size, ROOM + fileSize + blobs.length * ROOM_PER_BLOB)
    const { tar, copies } = this.#form
    const largest = tar ? needed : missing.reduce((size, blob) => Math.max(size, blob.size), 0)
    const need = { size: needed * copies, largest, files: tar ? 1 : missing.length + HEADS }
    await checkSpace(this.#medium.where, need, tar)
  }

  async write(
    image: ImageContent,
    blobs: BlobStore,
    names: readonly Reference[],
    options: WriteImageOptions = {},
  ): Promise<WrittenImage> {
    await this.#begin()
    const { signal = this.#signal, onProgress, jobs, undelivered = [] } = options
    const all = this.#withNames(image, names)
    const subject = names[0] ? formatReference(names[0]) : image.root.digest
    onProgress?.({ type: 'stage', stage: 'copy', subject })
    await this.#medium.assign(orderOf([{ image }]))
    this.#layers?.expect(image)
    const { sent, skipped } = await fillWith(this.#layers ?? this.#medium, image, blobs, {
      jobs,
      signal,
      subject,
      onProgress,
    })
    for (const { digest, size } of blobsOf(image)) this.#files.set(digest, size)
    const before = this.#images.get(image.root.digest)
    this.#images.set(image.root.digest, { image: before ? mergeImages(before.image, image) : image, names: all })
    if (undelivered.length > 0) this.#undelivered.set(image.root.digest, undelivered)
    onProgress?.({ type: 'done', subject })
    return { names, id: image.root.digest, sent, skipped }
  }

  async fill(wanted: readonly WantedBlob[], options: FillOptions = {}): Promise<void> {
    await this.#begin()
    // Those that plan() has not seen, in an order of their own
    const blobs = wanted.map(({ blob }) => blob)
    await this.#medium.assign(blobs.toSorted((a, b) => a.size - b.size || comparePaths(a.digest, b.digest)))
    await fill(this.#layers ?? this.#medium, wanted, { signal: this.#signal, ...options })
  }

  async addFile(path: string, source: string, { signal = this.#signal, onProgress }: WaitOptions = {}): Promise<void> {
    await this.#begin()
    const place = carriedPath(path, [...this.#carried.keys()])
    onProgress?.({ type: 'stage', stage: 'copy', subject: path })
    const file = await describeFile(source, { signal })
    await this.#medium.putFile(place, file, () => readFileBytes(source, { signal }), { signal })
    this.#carried.set(place, file)
  }

  keep(): void {
    this.#keep = true
  }

  async create<T extends StagedBlob>(produce: (target: { path: string; offset: number }) => Promise<T>): Promise<T> {
    await this.#begin()
    const made = await this.#medium.create(produce)
    this.#layers?.made(made.digest)
    return made
  }

  async seal(): Promise<BundleManifest> {
    await this.#begin()
    this.#signal?.throwIfAborted()
    const images = inOrder([...this.#images.values()])
    if (images.length === 0 && this.#carried.size === 0)
      throw new StowageError('INVALID_ARGUMENT', 'a bundle needs at least one image or file')
    await this.#putIndexes(images)
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
      images: images.map(({ image, names }) =>
        describeImage(image, names, this.#sparse, this.#undelivered.get(image.root.digest)),
      ),
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

  /** Writes the indexes that {@link rootEntry} lists, once it is known which manifests the images have. */
  async #putIndexes(images: readonly NamedImage[]): Promise<void> {
    for (const { descriptor, bytes } of images.flatMap(({ image }) => strippedIndexes(image, this.#sparse))) {
      if (!(await this.#medium.has(descriptor))) {
        await this.#medium.put(descriptor, async function* () {
          yield bytes
        })
      }
      this.#files.set(descriptor.digest, descriptor.size)
    }
  }

  /** The names of this image after this write. Throws if another image of the bundle has one of them. */
  #withNames(image: ImageContent, names: readonly Reference[]): readonly Reference[] {
    refuseConflicts([...this.#images.values(), { image, names }])
    const before = this.#images.get(image.root.digest)?.names ?? []
    return namesOnce([...before, ...names])
  }
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
