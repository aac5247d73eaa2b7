/** What an open WIM says of itself, and all that is read from it; the line in which its jobs wait. */
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
import { findImage, readFacts, type WimFacts, type WimImage } from './image.js'
import type { WimInfo } from './info.js'
import { JobQueue, type JobWatch, startJob } from './job.js'
import type { EntriesOptions, ImageNumber } from './options.js'
import type { VerifyOptions, WimVerification } from './verify.js'

/** The reading half of a {@link WimFile}, and what both halves stand on: the native archive and the queue of its jobs. */
export class WimArchive implements AsyncDisposable {
  #native: NativeWimFile
  #facts: WimFacts | undefined
  #paths: { readonly parts: readonly string[]; readonly references: readonly string[] }
  #closed = false
  /** What takes the place of the file at the end. */
  protected changing: Promise<unknown> = Promise.resolve()
  protected readonly queue = new JobQueue()
  #running = 0

  constructor(native: NativeWimFile) {
    this.#native = native
    this.#paths = native.paths()
  }

  /** Of the first part; undefined for a WIM that is not a file yet. */
  get path(): string | undefined {
    return this.#paths.parts[0]
  }

  /** All files of the archive, the first part first; empty for a WIM that is not a file yet. */
  get parts(): readonly string[] {
    return this.#paths.parts
  }

  /** The WIM files of {@link referenceFiles}. */
  get references(): readonly string[] {
    return this.#paths.references
  }

  /** For the rooms that hand the archive to another native job. */
  get native(): NativeWimFile {
    return this.#native
  }

  /** As it is in memory; while a job is under way, as it was before. */
  get info(): WimInfo {
    return this.#keepFacts().info
  }

  /** As {@link info} has it. */
  images(): readonly WimImage[] {
    return this.#keepFacts().images
  }

  /**
   * The image that `selector` names: a 1-based number, or a name as in the XML (case counts, as wimlib has it; a name that
   * looks like a number is tried as a number first). Throws IMAGE_NOT_FOUND listing the images.
   */
  image(selector: string | number): WimImage {
    return findImage(this.images(), selector, this.name)
  }

  /** What wimlib takes for an image: a number, a name, or `all` or `*`. Throws IMAGE_NOT_FOUND. */
  async resolveImage(selector: string | number): Promise<ImageNumber> {
    const number = (await this.job('resolve', { name: String(selector) })) as number // what `resolve` gives
    if (number === 0) return this.image(selector).index
    return number === -1 ? 'all' : number
  }

  /** The XML data as they stand in the file, as text without the byte order mark. Source: the WIM white paper, "XML data". */
  async xml(): Promise<string> {
    const bytes = (await this.job('xml')) as Buffer // what `xml` gives
    return bytes.toString('utf16le').replace(/^\ufeff/, '')
  }

  /** A property of an image by libwim's path: `NAME`, `WINDOWS/VERSION/BUILD`, `WINDOWS/LANGUAGES/LANGUAGE[1]`. */
  async property(image: number, name: string): Promise<string | undefined> {
    return (await this.job('property', { image: imageNumber(image), name })) as string | undefined // what `property` gives
  }

  /**
   * The tree of an image as libwim has it, changes in memory too: depth first, in batches. Throws FILE_NOT_FOUND for a path
   * that is not there.
   */
  async *entries(image: ImageNumber, options: EntriesOptions = {}): AsyncGenerator<readonly DirectoryEntry[]> {
    const { path = '/', signal } = options
    const packed = await this.job(
      'entries',
      { image: imageNumber(image), path, flags: entriesFlags(options) },
      { signal },
    )
    yield* unpackEntries(packed as PackedEntries) // what `entries` gives
  }

  /** {@link entries} as JSON text made in native code: pieces of a list without brackets. See docs/wim.md. */
  async *entriesAsJson(
    image: ImageNumber,
    { path = '/', signal, ...options }: EntriesOptions = {},
  ): AsyncGenerator<Buffer> {
    const args = { image: imageNumber(image), path, flags: entriesFlags(options) }
    yield* (await this.job('entriesAsJson', args, { signal })) as Buffer[] // what it gives
  }

  /** The blobs of the WIM as libwim has them, the metadata resources first. */
  async resources(): Promise<Resource[]> {
    return unpackResources((await this.job('resources')) as Buffer) // what `resources` gives
  }

  /**
   * The content of one stream of a file: its data, or the named stream `stream`. Throws FILE_NOT_FOUND, INVALID_ARGUMENT for
   * what has no data, BLOB_MISSING for a blob that no opened file holds.
   */
  async *readFile(image: number, path: string, options: ReadFileOptions = {}): AsyncGenerator<Uint8Array> {
    const { stream = '', ...reading } = options
    let entry: DirectoryEntry | undefined
    for await (const [first] of this.entries(image, { path, recursive: false, signal: options.signal })) entry ??= first
    const blob = this.#guard(() => blobOf(this.#native, this.name, entry, path, stream))
    if (blob === undefined) return
    for await (const piece of this.readBlobs([blob], reading)) yield piece.bytes
  }

  blobs(): BlobList {
    return this.#guard(() => listBlobs(this.#native))
  }

  /** Reads and checks the metadata of image `index` (1-based). Throws WIM_CORRUPT. */
  async metadata(index: number): Promise<Metadata> {
    return await readMetadata(this.#native, this.name, index)
  }

  /**
   * The contents of blobs, in the order of the list, in pieces; each is checked against its SHA-1 before its last piece
   * is given out. Decompressed ahead by `threads` threads, in bounded memory. Throws WIM_CORRUPT naming the blob.
   */
  readBlobs(blobs: readonly number[] | Uint32Array, options: ReadOptions = {}): AsyncGenerator<BlobPiece> {
    return readBlobs(this.#native, this.name, blobs, options)
  }

  /**
   * Checks integrity tables, the metadata of every image, that every stream has its blob, and the SHA-1 of every blob, by our
   * own readers. Goes on after what is damaged, and gives all of it; throws only what says nothing of the WIM.
   */
  async verify(options: VerifyOptions = {}): Promise<WimVerification> {
    const args = { integrity: options.integrity === false ? 0 : 1, threads: checkedThreads(options.threads) }
    return (await this.job('verify', args, options)) as WimVerification // made by native/wim/verifier.cc, as declared
  }

  /**
   * Waits for the jobs that were begun, but for aborted ones that leave nothing behind. Blobs that are being read go on;
   * nothing new can be begun. Closing twice is fine.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
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

  /** Runs an operation when this WIM, and `others`, are free. */
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

  /** This WIM is another file now, or has others beside it: what `overwrite` and `reference` give. */
  protected replace(native: unknown): void {
    ;[this.#native, this.#facts] = [native as NativeWimFile, undefined]
    this.#paths = this.#native.paths()
  }

  /** libwim cannot be asked while a job is under way. */
  #keepFacts(): WimFacts {
    return (this.#facts ??= this.#guard(() => readFacts(this.#native)))
  }

  #guard<T>(call: () => T): T {
    try {
      return call()
    } catch (error) {
      throw nativeError(error, this.name)
    }
  }
}
