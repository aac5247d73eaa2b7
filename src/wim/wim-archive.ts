/** The facts about an open WIM, everything that can be read from it, and the queue of its jobs. */
import { StowageError } from '../errors.js'
import type { NativeArguments, NativeWimFile } from './addon.js'
import { nativeError } from './binding.js'
import {
  type BlobList,
  blobOf,
  type BlobPiece,
  listBlobs,
  readBlobs,
  type ReadFileOptions,
  type ReadOptions,
} from './blob.js'
import { type Metadata, readMetadata } from './dentry.js'
import { type DirectoryEntry, type PackedEntries, type Resource, unpackEntries, unpackResources } from './entry.js'
import { checkedThreads, entriesFlags, imageNumber } from './flags.js'
import { findImage, onlyWimImage, readFacts, type WimFacts, type WimImage } from './image.js'
import type { WimInfo } from './info.js'
import { JobQueue, type JobWatch, startJob } from './job.js'
import { type BlobCounts, missingFile, type MissingFile } from './missing.js'
import type { EntriesOptions, ImageNumber, JobOptions } from './options.js'
import type { VerifyOptions, WimVerification } from './verify.js'
import { decodeXml, WimXml } from './wim-xml.js'

/** The reading half of {@link WimFile}, with the native archive and the job queue that both halves use. */
export class WimArchive implements AsyncDisposable {
  #native: NativeWimFile
  #facts: WimFacts | undefined
  #xml: WimXml | undefined
  #paths: { readonly parts: readonly string[]; readonly references: readonly string[] }
  #closed = false
  /** Resolves when no job is changing the file. */
  protected changing: Promise<unknown> = Promise.resolve()
  protected readonly queue = new JobQueue()
  #running = 0

  constructor(native: NativeWimFile) {
    this.#native = native
    this.#paths = native.paths()
  }

  /** Path of the first part; undefined for a WIM that is not a file yet. */
  get path(): string | undefined {
    return this.#paths.parts[0]
  }

  /** Paths of all parts, in order; empty for a WIM that is not a file yet. */
  get parts(): readonly string[] {
    return this.#paths.parts
  }

  /** Paths of the WIM files given to {@link referenceFiles}. */
  get references(): readonly string[] {
    return this.#paths.references
  }

  /** For modules that pass the archive to another native job. */
  get native(): NativeWimFile {
    return this.#native
  }

  /** The state in memory; while a job is running, the state before it. */
  get info(): WimInfo {
    return this.#keepFacts().info
  }

  /** The images, in the same state as {@link info}. */
  images(): readonly WimImage[] {
    return this.#keepFacts().images
  }

  /**
   * The image that `selector` names: a number, from 1, or a name in the XML. As in wimlib, names are case-sensitive,
   * and numeric names are tried as numbers first. Throws IMAGE_NOT_FOUND listing the images.
   */
  image(selector: string | number): WimImage {
    return findImage(this.images(), selector, this.name)
  }

  /** Resolves an image as wimlib does: a number, a name, `all` or `*`. Throws IMAGE_NOT_FOUND. */
  async resolveImage(selector: string | number): Promise<ImageNumber> {
    if (/^(?:all|\*)$/i.test(String(selector))) return 'all'
    return findImage((await this.settled()).images, selector, this.name).index
  }

  /** The XML data of the file, as text without the byte order mark. Source: the WIM white paper, "XML data". */
  async xml(): Promise<string> {
    await this.settled()
    return this.#guard(() => decodeXml(this.#native.xml()))
  }

  /** A property of an image by its path: `NAME`, `WINDOWS/VERSION/BUILD`, `WINDOWS/LANGUAGES/LANGUAGE[1]`. */
  async property(image: number, path: string): Promise<string | undefined> {
    await this.settled()
    if (!this.#native.isOpened()) return this.#parsedXml().property(imageNumber(image), path)
    return (await this.job('property', { image: imageNumber(image), name: path })) as string | undefined // its result
  }

  /**
   * The files and directories of an image according to libwim, including changes in memory: depth first, beginning with
   * the root. Without `image`, those of the only image. Throws INVALID_ARGUMENT if the WIM has several images, and
   * FILE_NOT_FOUND if the path does not exist.
   */
  entries(options?: EntriesOptions): AsyncGenerator<DirectoryEntry>
  entries(image: ImageNumber | undefined, options?: EntriesOptions): AsyncGenerator<DirectoryEntry>
  async *entries(image?: ImageNumber | EntriesOptions, options?: EntriesOptions): AsyncGenerator<DirectoryEntry> {
    const batches = typeof image === 'object' ? this.entryBatches(undefined, image) : this.entryBatches(image, options)
    for await (const batch of batches) yield* batch
  }

  /** {@link entries} in batches of a few thousand, which is faster where each is handled in very little time. */
  async *entryBatches(
    image?: ImageNumber,
    { path = '/', signal, ...options }: EntriesOptions = {},
  ): AsyncGenerator<readonly DirectoryEntry[]> {
    const args = { image: this.#imageNumber(image), path, flags: entriesFlags(options) }
    yield* unpackEntries((await this.job('entries', args, { signal })) as PackedEntries) // its result
  }

  /** {@link entries} as JSON generated by native code: pieces of a list without brackets. See docs/wim.md. */
  async *entriesAsJson(
    image?: ImageNumber,
    { path = '/', signal, ...options }: EntriesOptions = {},
  ): AsyncGenerator<Buffer> {
    const args = { image: this.#imageNumber(image), path, flags: entriesFlags(options) }
    yield* (await this.job('entriesAsJson', args, { signal })) as Buffer[] // its result
  }

  /** The blobs of the WIM according to libwim, the metadata resources first. */
  async resources(): Promise<Resource[]> {
    return unpackResources((await this.job('resources')) as Buffer) // the result of `resources`
  }

  /**
   * The content of one stream of a file: its data, or the named stream `stream`. Throws FILE_NOT_FOUND,
   * INVALID_ARGUMENT if the file has no data, BLOB_MISSING if no open file contains the blob.
   */
  async *readFile(image: number, path: string, options: ReadFileOptions = {}): AsyncGenerator<Uint8Array> {
    const { stream = '', ...reading } = options
    let entry: DirectoryEntry | undefined
    for await (const found of this.entries(image, { path, recursive: false, signal: options.signal })) entry ??= found
    const blob = this.#guard(() => blobOf(this.#native, this.name, entry, path, stream))
    if (blob === undefined) return
    for await (const piece of this.readBlobs([blob], reading)) yield piece.bytes
  }

  blobs(): BlobList {
    return this.#guard(() => listBlobs(this.#native))
  }

  /**
   * How many blobs the images use, and how many of them are missing, as most are in a delta WIM without its base. Reads
   * the metadata of all images in the file; changes in memory do not count. Throws WIM_CORRUPT.
   */
  async countBlobs({ signal }: JobOptions = {}): Promise<BlobCounts> {
    return (await this.job('countBlobs', {}, { signal })) as BlobCounts // native/wim/missing.cc builds it
  }

  /** The files of an image, under each of their names, with content that is in none of the open files. */
  async missingFiles(image: ImageNumber, { signal }: JobOptions = {}): Promise<readonly MissingFile[]> {
    const numbers = image === 'all' ? this.images().map(({ index }) => index) : [image]
    const found: MissingFile[] = []
    for (const number of numbers)
      for await (const batch of this.entryBatches(number, { signal }))
        found.push(...batch.map(entry => missingFile(number, entry)).filter(file => file !== undefined))
    return found
  }

  /**
   * Reads and checks the metadata of image `index`, from 1. Without it, that of the only image. Throws WIM_CORRUPT, and
   * INVALID_ARGUMENT if the WIM has several images.
   */
  async metadata(index?: number): Promise<Metadata> {
    return await readMetadata(this.#native, this.name, index ?? onlyWimImage(this.images(), this.name))
  }

  /**
   * The contents of blobs in the order of the list, in pieces. Each blob is checked against its SHA-1 before its last
   * piece is returned. `threads` threads decompress ahead, in bounded memory. Throws WIM_CORRUPT naming the blob.
   */
  readBlobs(blobs: readonly number[] | Uint32Array, options: ReadOptions = {}): AsyncGenerator<BlobPiece> {
    return readBlobs(this.#native, this.name, blobs, options)
  }

  /**
   * Checks integrity tables, the metadata of every image, that the blob of every stream exists, and the SHA-1 of every
   * blob, with the addon's own readers. Continues after a defect, and returns all defects. Throws only errors that are
   * not defects.
   */
  async verify(options: VerifyOptions = {}): Promise<WimVerification> {
    const args = { integrity: options.integrity === false ? 0 : 1, threads: checkedThreads(options.threads) }
    return (await this.job('verify', args, options)) as WimVerification // native/wim/verifier.cc builds it
  }

  /**
   * Waits for running jobs, except aborted ones that leave nothing behind, and prevents new ones. Blobs that are being
   * read can be read to the end. May be called repeatedly.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    ;[this.#closed, this.#facts] = [true, undefined]
    await (this.#running > 0 ? this.queue.idle : this.changing)
    await this.#native.close()
  }

  protected get name(): string {
    return this.path ?? 'a WIM that is not a file yet'
  }

  protected openNative(): NativeWimFile {
    if (this.#closed) throw new StowageError('INVALID_ARGUMENT', `${this.name} is closed`)
    return this.#native
  }

  #imageNumber(image: ImageNumber | undefined): number {
    return image === undefined ? onlyWimImage(this.images(), this.name) : imageNumber(image)
  }

  /** Runs an operation when no other job is using this WIM and `others`. */
  protected async job(
    operation: string,
    args: NativeArguments = {},
    watch: JobWatch = {},
    others: readonly WimArchive[] = [],
  ): Promise<unknown> {
    this.openNative()
    const wims: readonly WimArchive[] = [this, ...others]
    const start = (): ReturnType<typeof startJob> => {
      for (const wim of wims) wim.#keepFacts()
      const job = startJob(operation, { ...args, wim: this.#native }, this.name, watch)
      void job.ended.then(() => {
        for (const wim of wims) wim.#facts = undefined
      })
      return job
    }
    for (const wim of wims) wim.#running += 1
    try {
      return await JobQueue.run(
        wims.map(wim => wim.queue),
        start,
        watch.signal,
      )
    } finally {
      for (const wim of wims) [wim.#running, wim.#facts] = [wim.#running - 1, undefined]
    }
  }

  /** The facts once the jobs that were started before have ended. */
  protected async settled(): Promise<WimFacts> {
    this.openNative()
    await this.queue.idle
    return this.#keepFacts()
  }

  /** Replaces the native archive with the result of `overwrite` or `reference`. */
  protected replace(native: unknown): void {
    ;[this.#native, this.#facts, this.#xml] = [native as NativeWimFile, undefined, undefined]
    this.#paths = this.#native.paths()
  }

  /** Caches the facts, because the WIM cannot be queried while a job is running. */
  #keepFacts(): WimFacts {
    return (this.#facts ??= this.#guard(() => readFacts(this.#native, () => this.#parsedXml())))
  }

  #parsedXml(): WimXml {
    return (this.#xml ??= new WimXml(this.#native.xml(), this.#native.info().imageCount, this.name))
  }

  #guard<T>(call: () => T): T {
    try {
      return call()
    } catch (error) {
      throw nativeError(error, this.name)
    }
  }
}
