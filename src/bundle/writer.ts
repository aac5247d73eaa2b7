/** Writes a bundle: an image destination, and a stage for layers that Stowage creates. */
import type { NamedImage } from '../archive/heads.js'
import { openReadBack, type ReadBack, type Verified } from '../archive/read-back.js'
import type { BlobStage, BlobStore, Bytes, StagedBlob } from '../blob/blob-store.js'
import { blobsOf, type ImageContent, mergeImages } from '../blob/closure.js'
import type { BlobDirectory } from '../blob/directory.js'
import { fill, type FillOptions, fillWith, type WantedBlob } from '../blob/fill.js'
import { type SparseForm, strippedIndexes } from '../blob/stripped.js'
import { readFileBytes } from '../blob/hash-file.js'
import { abortError, StowageError } from '../errors.js'
import type { ExpectedWrite, ImageDestination, WriteImageOptions, WrittenImage } from '../image/image-destination.js'
import { compressionOfName } from '../oci/compression.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { blobPath } from '../oci/layout.js'
import { formatReference, namesOnce, type Reference } from '../oci/reference.js'
import type { OnProgress, WaitOptions } from '../progress.js'
import type { Release } from '../signature/release.js'
import { carriedPath, describeFile } from './carried.js'
import { comparePaths } from './checksums.js'
import type { BundleAssumption } from './delta.js'
import { openDirectoryMedium } from './directory-medium.js'
import { encodeDocuments } from './documents.js'
import { expectVolumes, isTarPath } from './files.js'
import { inOrder, orderOf, refuseConflicts } from './image-order.js'
import type { LayerProofs } from './layer-comparison.js'
import type { BundleManifest } from './manifest.js'
import type { BundleMedium } from './medium.js'
import { ProvingSink } from './proving-sink.js'
import { type BundleForm, carriedOf, type CarriedSize, headsOf, leftOut, type PlannedBundle } from './size.js'
import { openStandingMedium } from './standing-medium.js'
import type { VolumesMedium } from './volumes-medium.js'
import { adviceOn, checkRoom } from './writer-space.js'
import type { WriteVolumesOptions, WrittenVolumes } from '../volumes/write-volumes.js'

export interface BundleWriterOptions {
  /** If aborted, disposing before sealing keeps finished blobs for the next run, as keep() does. */
  readonly signal?: AbortSignal | undefined
  /** SOURCE_DATE_EPOCH, in seconds since 1970, for `created` and the times in a tar; if omitted, no `created` and 0. */
  readonly epoch?: number | undefined
  /** Its place in a series, which bundle.json says. */
  readonly release?: Release | undefined
  /** Updates a bundle that already exists in the directory; without this, only the same bundle may be written again. */
  readonly update?: boolean | undefined
  /** `keep`: lists a sparse index as it is, without replacing it with a complete one. */
  readonly sparse?: SparseForm | undefined
  /** Reads back what was written before the bundle is sealed, see {@link isReadBack}. */
  readonly verify?: boolean | undefined
  /** For what is reported while it is read back. */
  readonly onProgress?: OnProgress | undefined
  /**
   * Decompress layers while they are written, and compare what is in them with the diffIDs in the configs of their
   * images (the default).
   */
  readonly deep?: boolean | undefined
  /** Writes the tar as volumes of this many bytes, which the other options are for. */
  readonly volumes?: (Omit<WriteVolumesOptions, 'verify'> & { readonly size: number }) | undefined
}

/** What a bundle will hold besides the images that are already fully known. */
export interface PlanOptions {
  /** Number of further images, whose layers are created while packing. */
  readonly pendingImages?: number
  /** The files to add, by path in the bundle. */
  readonly files?: readonly CarriedSize[]
  /** Referrers that are left behind, by the root of the image. */
  readonly undelivered?: ReadonlyMap<Digest, readonly Digest[]>
  /** Percent of recovery data that will be made of it. */
  readonly recovery?: number
  /** Makes the bundle a delta, which leaves this out. Its layers need not be readable. */
  readonly assumes?: BundleAssumption | undefined
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
  /** Adds what `read` yields, which `file` describes, as `files/PATH`. Throws like addFile(). */
  addContent(path: string, file: Descriptor, read: () => Bytes): Promise<void>
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
  /** After sealing: what was read back, if it was. */
  readonly verified: Verified | undefined
  /** Makes disposing before sealing keep the finished blobs of a directory or a tar, so that another run can resume. */
  keep(): void
  /** Writes the heads, bundle.json and SHA256SUMS, and syncs everything. Nothing can be written afterwards. */
  seal(): Promise<BundleManifest>
}

/** Number of images that a tar reserves space for if plan() was not called. */
const UNPLANNED = 16
/**
 * Opens a bundle for writing: a tar if {@link isTarPath} says so, otherwise a directory. See openTarMedium(),
 * {@link openStandingMedium} and {@link openDirectoryMedium} for what may already exist there. The same images give the
 * same bytes, in whatever order they are written. Format: docs/bundle-format.md.
 */
export async function openBundleWriter(
  path: string,
  {
    signal,
    epoch,
    release,
    update = false,
    sparse,
    verify,
    deep = true,
    onProgress,
    volumes,
  }: BundleWriterOptions = {},
): Promise<BundleWriter> {
  if (volumes) {
    expectVolumes(path, volumes.size)
    const { openVolumesMedium } = await import('./volumes-medium.js')
    const medium = openVolumesMedium(path, volumes.size, epoch ?? 0, { signal, verify, ...volumes })
    return new Writer(medium, { signal, epoch, release, sparse, deep }, { path, tar: true, volumeSize: volumes.size })
  }
  const readBack = await openReadBack(path, verify, { signal, onProgress })
  const medium = isTarPath(path)
    ? await (await import('./tar-medium.js')).openTarMedium(path, epoch ?? 0, { signal, onProgress, readBack })
    : ((await openStandingMedium(path, update, readBack)) ?? (await openDirectoryMedium(path, readBack)))
  const form = { path, tar: isTarPath(path), compression: compressionOfName(path), readBack }
  return new Writer(medium, { signal, epoch, release, sparse, deep }, form)
}

/** What a bundle is on its medium. */
interface WriterForm extends BundleForm {
  readonly readBack?: ReadBack | undefined
}

class Writer implements BundleWriter {
  readonly #medium: BundleMedium & Pick<Partial<VolumesMedium>, 'written' | 'foresee'>
  readonly #signal: AbortSignal | undefined
  readonly #epoch: number | undefined
  readonly #release: Release | undefined
  readonly #sparse: SparseForm | undefined
  readonly #form: WriterForm
  readonly #images = new Map<Digest, NamedImage>()
  /** Referrers that were left behind, by the root of the image. */
  readonly #undelivered = new Map<Digest, readonly Digest[]>()
  readonly #files = new Map<Digest, number>()
  /** Carried files, by path in the bundle. */
  readonly #carriedFiles = new Map<string, Descriptor>()
  #assumes: BundleAssumption | undefined
  /** Layers that are left out. */
  #leftOut: ReadonlySet<Digest> = new Set()
  readonly #layers: ProvingSink | undefined
  #keep = false
  #written = true
  #state: 'fresh' | 'planned' | 'closed' = 'fresh'

  constructor(
    medium: BundleMedium & Pick<Partial<VolumesMedium>, 'written' | 'foresee'>,
    { signal, epoch, release, sparse, deep = true }: BundleWriterOptions,
    form: WriterForm,
  ) {
    this.#medium = medium
    this.#signal = signal
    this.#epoch = epoch
    this.#release = release
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

  get verified(): Verified | undefined {
    return this.#medium.written?.verified ?? this.#form.readBack?.verified
  }

  async spool(): Promise<BlobDirectory> {
    return await this.#medium.spool()
  }

  async plan(
    given: readonly NamedImage[],
    { pendingImages = 0, files = [], recovery = 0, assumes, undelivered }: PlanOptions = {},
  ): Promise<void> {
    const images = inOrder(given)
    if (this.#state !== 'fresh') {
      throw new StowageError('INVALID_ARGUMENT', 'a bundle is planned once, before anything is written to it')
    }
    refuseConflicts(images)
    for (const { image } of images) this.#layers?.expect(image)
    this.#assumes = assumes
    this.#leftOut = leftOut(assumes)
    const planned: PlannedBundle = {
      images: given,
      undelivered,
      files,
      assumes,
      pendingImages,
      sparse: this.#sparse,
      epoch: this.#epoch,
      release: this.#release,
    }
    await this.#medium.reserve(headsOf(images, planned))
    await this.#medium.assign(orderOf(images.map(({ image }) => carriedOf(image, this.#leftOut))))
    const form = { ...this.#form, recovery }
    if (this.#medium.foresee) {
      this.#medium.foresee(await adviceOn(planned, form))
    } else {
      await checkRoom(this.#medium, planned, form).catch(async (error: unknown) => {
        if (!(await this.#medium.restart?.())) throw error
        await checkRoom(this.#medium, planned, form)
      })
    }
    this.#state = 'planned'
  }

  async expect(images: readonly ExpectedWrite[]): Promise<void> {
    if (this.#state !== 'fresh') return // a layer that was made for them is in it already
    const undelivered = new Map(images.map(({ image, undelivered: left = [] }) => [image.root.digest, left]))
    await this.plan(images, { undelivered })
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
    const carried = carriedOf(image, this.#leftOut)
    await this.#medium.assign(orderOf([carried]))
    this.#layers?.expect(image)
    const sink = this.#layers ?? this.#medium
    const { sent, skipped } = await fillWith(sink, carried, blobs, { jobs, signal, subject, onProgress })
    for (const { digest, size } of blobsOf(carried)) this.#files.set(digest, size)
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
    const place = carriedPath(path, [...this.#carriedFiles.keys()])
    onProgress?.({ type: 'stage', stage: 'copy', subject: path })
    const file = await describeFile(source, { signal })
    await this.#putFile(place, file, () => readFileBytes(source, { signal }), signal)
  }

  async addContent(path: string, file: Descriptor, read: () => Bytes): Promise<void> {
    await this.#begin()
    await this.#putFile(carriedPath(path, [...this.#carriedFiles.keys()]), file, read, this.#signal)
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
    if (images.length === 0 && this.#carriedFiles.size === 0 && !this.#assumes)
      throw new StowageError('INVALID_ARGUMENT', 'a bundle needs at least one image or file')
    await this.#putIndexes(images)
    const files = new Map<string, { readonly size: number; readonly digest: Digest }>([
      ...[...this.#files].map(([digest, size]) => [blobPath(digest), { digest, size }] as const),
      ...this.#carriedFiles,
    ])
    const { documents, manifest } = encodeDocuments(
      {
        images,
        files,
        undelivered: this.#undelivered,
        assumes: this.#assumes,
        sparse: this.#sparse,
        epoch: this.#epoch,
        release: this.#release,
      },
      (file, json) => this.#medium.fit(file, json),
    )
    this.#written = await this.#medium.seal(documents, new Set(this.#files.keys()))
    this.#state = 'closed'
    return manifest
  }

  async finish(): Promise<Verified | undefined> {
    await this.seal()
    return this.verified
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

  async #putFile(place: string, file: Descriptor, read: () => Bytes, signal: AbortSignal | undefined): Promise<void> {
    await this.#medium.putFile(place, file, read, { signal })
    this.#carriedFiles.set(place, file)
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
