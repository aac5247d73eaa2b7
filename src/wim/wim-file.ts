/** A WIM archive: what it says of itself, its images, their files and blobs, and all that libwim can do to it. */
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
import { checkedLevel, compressionNumber, type WimCompressionType } from './compression.js'
import { type Metadata, readMetadata } from './dentry.js'
import { type DirectoryEntry, type PackedEntries, type Resource, unpackEntries, unpackResources } from './entry.js'
import {
  addFlags,
  checkedThreads,
  deleteFlags,
  entriesFlags,
  exportFlags,
  extractFlags,
  imageNumber,
  openFlags,
  packCommands,
  packInfo,
  packOutput,
  referenceFlags,
  updateFlags,
  writeFlags,
} from './flags.js'
import { findImage, readFacts, type WimFacts, type WimImage } from './image.js'
import type { WimInfo } from './info.js'
import { JobQueue, type JobWatch, startJob } from './job.js'
import type {
  AddImageOptions,
  AddOptions,
  CaptureSource,
  DeleteOptions,
  EntriesOptions,
  ExportOptions,
  ExtractOptions,
  ExtractPathsOptions,
  ImageNumber,
  InfoChange,
  OpenOptions,
  OutputOptions,
  OverwriteOptions,
  ReferenceOptions,
  SplitOptions,
  UpdateCommand,
  UpdateOptions,
  WriteOptions,
  WriteTarget,
} from './options.js'
import { splitBeside, writeBeside } from './output.js'
import { partsOf } from './parts.js'
import type { VerifyOptions, WimVerification } from './verify.js'

/**
 * Opens a WIM, or a split one by any of its parts (the others must stand beside it).
 * Throws FILE_NOT_FOUND, NOT_A_WIM, WIM_CORRUPT, WIM_PART_MISSING, UNSUPPORTED, PERMISSION_DENIED or ADDON_MISSING. Whoever
 * opens it closes it: `await using wim = await openWim(path)`.
 */
export async function openWim(path: string, options: OpenOptions = {}): Promise<WimFile> {
  const parts = await partsOf(path)
  const native = await startJob('open', { paths: parts, flags: openFlags(options) }, path, options).result
  return new WimFile(native as NativeWimFile) // what `open` gives
}

/** A new WIM, in memory until {@link WimFile.write}. `compression` is of what will be written: LZX when left out. */
export async function createWim({
  compression = 'lzx',
}: { readonly compression?: WimCompressionType | undefined } = {}): Promise<WimFile> {
  const native = await startJob('create', { compression: compressionNumber(compression) }, 'a new WIM').result
  return new WimFile(native as NativeWimFile) // what `create` gives
}

/**
 * An open WIM. Made by {@link openWim} and {@link createWim}.
 *
 * Changes are made in memory, and reach a file with {@link write} or {@link overwrite}. Calls may overlap: those that libwim
 * does are done in the order they were made. All of them throw INVALID_ARGUMENT once it is closed, ABORTED if `signal`
 * says so, and else a StowageError whose `cause` is libwim's own error, a {@link WimlibError}.
 */
export class WimFile implements AsyncDisposable {
  #native: NativeWimFile
  #facts: WimFacts | undefined
  #paths: { readonly parts: readonly string[]; readonly references: readonly string[] }
  #closed = false
  #changing: Promise<unknown> = Promise.resolve()
  readonly #queue = new JobQueue()
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
    return findImage(this.images(), selector, this.#name)
  }

  /** What wimlib takes for an image: a number, a name, or `all` or `*`. Throws IMAGE_NOT_FOUND. */
  async resolveImage(selector: string | number): Promise<ImageNumber> {
    const number = (await this.#job('resolve', { name: String(selector) })) as number // what `resolve` gives
    if (number === 0) return this.image(selector).index
    return number === -1 ? 'all' : number
  }

  /** The XML data as they stand in the file, as text without the byte order mark. Source: the WIM white paper, "XML data". */
  async xml(): Promise<string> {
    const bytes = (await this.#job('xml')) as Buffer // what `xml` gives
    return bytes.toString('utf16le').replace(/^\ufeff/, '')
  }

  /** A property of an image by libwim's path: `NAME`, `WINDOWS/VERSION/BUILD`, `WINDOWS/LANGUAGES/LANGUAGE[1]`. */
  async property(image: number, name: string): Promise<string | undefined> {
    return (await this.#job('property', { image: imageNumber(image), name })) as string | undefined // what `property` gives
  }

  /** Sets a property, or removes it where `value` is undefined. Throws if another image has the name. */
  async setProperty(image: number, name: string, value: string | undefined): Promise<void> {
    await this.#job('setProperty', { image: imageNumber(image), name, value })
  }

  async setName(image: number, name: string | undefined): Promise<void> {
    await this.#job('setName', { image: imageNumber(image), value: name })
  }

  async setDescription(image: number, description: string | undefined): Promise<void> {
    await this.#job('setDescription', { image: imageNumber(image), value: description })
  }

  /** The edition, such as `Core`. */
  async setFlags(image: number, flags: string | undefined): Promise<void> {
    await this.#job('setFlags', { image: imageNumber(image), value: flags })
  }

  async setInfo(change: InfoChange): Promise<void> {
    await this.#job('setInfo', packInfo(change))
  }

  async imageNameInUse(name: string): Promise<boolean> {
    return (await this.#job('nameInUse', { name })) as boolean // what `nameInUse` gives
  }

  /** Adds an image without files, and gives its number. */
  async addEmptyImage(name?: string): Promise<number> {
    return (await this.#job('addEmptyImage', { name })) as number // what `addEmptyImage` gives
  }

  /**
   * Captures directories, files or an NTFS volume as a new image, and gives its number. Files are read again when the WIM is
   * written, so they must not change until then.
   */
  async addImage(source: string | readonly CaptureSource[], options: AddImageOptions = {}): Promise<number> {
    const sources = typeof source === 'string' ? [{ source }] : source
    const { name, config } = options
    return (await this.#job(
      'addImage',
      {
        sources: sources.map(({ source: from, target = '/' }) => ({ source: from, target })),
        name,
        config,
        flags: addFlags(options),
      },
      options,
    )) as number // what `addImage` gives
  }

  /** Adds a directory, a file or an NTFS volume to an image, as `target` in it. */
  async addTree(image: number, source: string, target: string, options: AddOptions = {}): Promise<void> {
    // libwim's own call of this name takes no configuration file
    await this.update(image, [{ ...options, type: 'add', source, target }], options)
  }

  /** Adds, deletes and renames, all or nothing. */
  async update(image: number, commands: readonly UpdateCommand[], options: UpdateOptions = {}): Promise<void> {
    const packed = packCommands(commands, options)
    await this.#job('update', { image: imageNumber(image), commands: packed, flags: updateFlags(options) }, options)
  }

  async deletePath(image: number, path: string, options: DeleteOptions = {}): Promise<void> {
    await this.#job('deletePath', { image: imageNumber(image), path, flags: deleteFlags(options) })
  }

  async renamePath(image: number, source: string, target: string): Promise<void> {
    await this.#job('renamePath', { image: imageNumber(image), source, target })
  }

  /** The images after it move up by one. Its blobs leave the file when that is written anew. */
  async deleteImage(image: ImageNumber): Promise<void> {
    await this.#job('deleteImage', { image: imageNumber(image) })
  }

  /** Adds an image, or all, to another open WIM, which reads its blobs from this one when it is written. */
  async exportImage(image: ImageNumber, destination: WimFile, options: ExportOptions = {}): Promise<void> {
    const { name, description } = options
    await this.#job(
      'export',
      {
        image: imageNumber(image),
        destination: destination.#open(),
        name,
        description,
        flags: exportFlags(options),
      },
      options,
      [destination],
    )
  }

  /** Other WIM files that hold blobs of this one: the base of a delta WIM, parts of a split one. */
  async referenceFiles(paths: readonly string[], options: ReferenceOptions = {}): Promise<void> {
    const args = {
      paths,
      flags: referenceFlags(options),
      openFlags: openFlags({ checkIntegrity: options.checkIntegrity }),
    }
    this.#replace(await this.#job('reference', args, options))
  }

  /** Other open WIMs that hold blobs of this one. They must stay open until this one is written. */
  async referenceResources(wims: readonly WimFile[]): Promise<void> {
    await this.#job('referenceWims', { wims: wims.map(wim => wim.#open()) }, {}, wims)
  }

  /** Files of the newly captured `image` that are as they were in `templateImage` need not be read again. */
  async referenceTemplate(image: number, template: WimFile, templateImage: number): Promise<void> {
    await this.#job(
      'referenceTemplate',
      {
        image: imageNumber(image),
        template: template.#open(),
        templateImage: imageNumber(templateImage),
      },
      {},
      [template],
    )
  }

  /** How the next write compresses. Throws INVALID_ARGUMENT for a chunk size that the compression does not have. */
  async setOutput(options: OutputOptions): Promise<void> {
    await this.#job('setOutput', packOutput(options))
  }

  /**
   * Writes the WIM, or one image of it. A path is written beside its place and renamed, so it is whole or as it was; to a
   * stream, or to a descriptor that cannot seek, only a pipable WIM can be written. A stream is ended; a descriptor stays open.
   */
  async write(target: WriteTarget, options: WriteOptions = {}): Promise<void> {
    const args = {
      image: imageNumber(options.image ?? 'all'),
      flags: writeFlags(options),
      threads: checkedThreads(options.threads),
      level: checkedLevel(options.level),
    }
    if (typeof target === 'string') {
      await writeBeside(target, path => this.#job('write', { ...args, path }, options))
    } else if ('write' in target) {
      const { writeToStream } = await import('./pipe.js') // loads what few calls need
      // A stream cannot hold an integrity table, whether or not the file this WIM comes from has one
      const flags = writeFlags({ ...options, integrityTable: options.integrityTable ?? false })
      await writeToStream(target, fd => this.#job('writeToFd', { ...args, flags, fd }, options), options.signal)
    } else {
      await this.#job('writeToFd', { ...args, fd: target.fd }, options)
    }
  }

  /**
   * Writes the changes to the file this WIM was opened from: what is new is appended, or with `rebuild` all is written anew
   * beside it and renamed. Appending that is interrupted leaves the file as it was. Afterwards this stands for the new file;
   * what {@link referenceFiles} named is to be named again.
   */
  async overwrite(options: OverwriteOptions = {}): Promise<void> {
    const [flags, threads, level] = [writeFlags(options), checkedThreads(options.threads), checkedLevel(options.level)]
    const job = this.#job('overwrite', { flags, threads, level }, options)
    // A file that is being changed in place must not be left in the middle: closing waits.
    this.#changing = this.#queue.idle
    this.#replace(await job)
  }

  /**
   * Extracts an image into the directory `target`, which is made if it does not exist, or all images into directories named
   * after them. Nothing is written outside `target`: an image whose names or links say so is refused with WIM_CORRUPT.
   */
  async extract(image: ImageNumber, target: string, options: ExtractOptions = {}): Promise<void> {
    await this.#job('extract', { image: imageNumber(image), target, flags: extractFlags(options) }, options)
  }

  /** Extracts files and directories of an image, at their paths below `target`. Throws FILE_NOT_FOUND. */
  async extractPaths(
    image: number,
    paths: readonly string[],
    target: string,
    options: ExtractPathsOptions = {},
  ): Promise<void> {
    await this.#job('extractPaths', { image: imageNumber(image), paths, target, flags: extractFlags(options) }, options)
  }

  /** {@link extractPaths} of what the text file `list` names, one a line; `;` and `#` begin comments. */
  async extractPathList(image: number, list: string, target: string, options: ExtractPathsOptions = {}): Promise<void> {
    await this.#job(
      'extractPathList',
      { image: imageNumber(image), list, target, flags: extractFlags(options) },
      options,
    )
  }

  /**
   * Writes the WIM as parts of at most `partSize` bytes each, but for a blob that is larger: `path` (`x.swm`), then `x2.swm` …
   * All parts get their names when the last is whole. Throws UNSUPPORTED for solid resources.
   */
  async split(path: string, partSize: number, options: SplitOptions = {}): Promise<void> {
    await splitBeside(path, options.partName, partName =>
      this.#job('split', { path, partSize, flags: writeFlags(options) }, { ...options, partName }),
    )
  }

  /**
   * The tree of an image as libwim has it, changes in memory too: depth first, in batches. Throws FILE_NOT_FOUND for a path
   * that is not there.
   */
  async *entries(image: ImageNumber, options: EntriesOptions = {}): AsyncGenerator<readonly DirectoryEntry[]> {
    const { path = '/', signal } = options
    const packed = await this.#job(
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
    yield* (await this.#job('entriesAsJson', args, { signal })) as Buffer[] // what it gives
  }

  /** The blobs of the WIM as libwim has them, the metadata resources first. */
  async resources(): Promise<Resource[]> {
    return unpackResources((await this.#job('resources')) as Buffer) // what `resources` gives
  }

  /**
   * The content of one stream of a file: its data, or the named stream `stream`. Throws FILE_NOT_FOUND, INVALID_ARGUMENT for
   * what has no data, BLOB_MISSING for a blob that no opened file holds.
   */
  async *readFile(image: number, path: string, options: ReadFileOptions = {}): AsyncGenerator<Uint8Array> {
    const { stream = '', ...reading } = options
    let entry: DirectoryEntry | undefined
    for await (const [first] of this.entries(image, { path, recursive: false, signal: options.signal })) entry ??= first
    const blob = this.#guard(() => blobOf(this.#native, this.#name, entry, path, stream))
    if (blob === undefined) return
    for await (const piece of this.readBlobs([blob], reading)) yield piece.bytes
  }

  blobs(): BlobList {
    return this.#guard(() => listBlobs(this.#native))
  }

  /** Reads and checks the metadata of image `index` (1-based). Throws WIM_CORRUPT. */
  async metadata(index: number): Promise<Metadata> {
    return await readMetadata(this.#native, this.#name, index)
  }

  /**
   * The contents of blobs, in the order of the list, in pieces; each is checked against its SHA-1 before its last piece
   * is given out. Decompressed ahead by `threads` threads, in bounded memory. Throws WIM_CORRUPT naming the blob.
   */
  readBlobs(blobs: readonly number[] | Uint32Array, options: ReadOptions = {}): AsyncGenerator<BlobPiece> {
    return readBlobs(this.#native, this.#name, blobs, options)
  }

  /**
   * Checks integrity tables, the metadata of every image, that every stream has its blob, and the SHA-1 of every blob, by our
   * own readers. Goes on after what is damaged, and gives all of it; throws only what says nothing of the WIM.
   */
  async verify(options: VerifyOptions = {}): Promise<WimVerification> {
    const args = { integrity: options.integrity === false ? 0 : 1, threads: checkedThreads(options.threads) }
    return (await this.#job('verify', args, options)) as WimVerification // made by native/wim/verifier.cc, as declared
  }

  /**
   * Waits for the jobs that were begun, but for aborted ones that leave nothing behind. Blobs that are being read go on;
   * nothing new can be begun. Closing twice is fine.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await (this.#running > 0 ? this.#queue.idle : this.#changing)
    await this.#native.close()
  }

  get #name(): string {
    return this.path ?? 'a WIM that is not a file yet'
  }

  #open(): NativeWimFile {
    if (this.#closed) throw new StowageError('INVALID_ARGUMENT', `${this.#name} is closed`)
    return this.#native
  }

  /** Runs an operation when this WIM, and `others`, are free. */
  async #job(
    operation: string,
    args: NativeArguments = {},
    watch: JobWatch = {},
    others: readonly WimFile[] = [],
  ): Promise<unknown> {
    this.#open()
    const wims = [this, ...others]
    const start = (): ReturnType<typeof startJob> => {
      for (const wim of wims) wim.#keepFacts()
      const job = startJob(operation, { ...args, wim: this.#native }, this.#name, watch)
      void job.ended.then(() => {
        for (const wim of wims) wim.#facts = undefined
      })
      return job
    }
    for (const wim of wims) wim.#running += 1
    try {
      return await JobQueue.run(
        wims.map(wim => wim.#queue),
        start,
        watch.signal,
      )
    } finally {
      for (const wim of wims) [wim.#running, wim.#facts] = [wim.#running - 1, undefined]
    }
  }

  /** This WIM is another file now, or has others beside it: what `overwrite` and `reference` give. */
  #replace(native: unknown): void {
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
      throw nativeError(error, this.#name)
    }
  }
}
