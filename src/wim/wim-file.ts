/** A WIM archive: what it says of itself, its images, their files and blobs, and all that libwim can do to it. */
import { randomUUID } from 'node:crypto'
import { closeSync } from 'node:fs'
import { realpath, rename, rm, stat } from 'node:fs/promises'
import { Socket } from 'node:net'
import { availableParallelism } from 'node:os'
import { basename } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { outputError, StowageError, systemCode } from '../errors.js'
import { binding, type NativeArguments, nativeError, type NativeWimFile } from './binding.js'
import { decodeDentries, type Dentry, FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_REPARSE_POINT, type Metadata } from './dentry.js'
import { type DirectoryEntry, type PackedEntries, type Resource, unpackEntries, unpackResources } from './entry.js'
import { JobQueue, type JobWatch, startJob } from './job.js'
import {
  addFlags, type AddImageOptions, type AddOptions, type CaptureSource, type Compression, compressionName, compressionNumber,
  deleteFlags, type DeleteOptions, type EntriesOptions, entriesFlags, exportFlags, type ExportOptions, extractFlags,
  type ExtractOptions, type ExtractPathsOptions, imageNumber, type ImageNumber, type InfoChange, infoFlags, initFlags,
  type JoinOptions, openFlags, type OpenOptions, type OutputOptions, type OverwriteOptions, referenceFlags,
  type ReferenceOptions, type SplitOptions, type UpdateCommand, updateFlags, type UpdateOptions, type WimlibSettings,
  writeFlags, type WriteOptions, type WriteTarget,
} from './options.js'
import { partsOf } from './parts.js'
import type { VerifyOptions, WimVerification } from './verify.js'

/** What the archive says of itself. */
export interface WimInfo {
  readonly compression: Compression
  /** In bytes; 0 for a WIM that is not compressed. */
  readonly chunkSize: number
  readonly imageCount: number
  /** 1-based; 0: no image is bootable. */
  readonly bootIndex: number
  /** 32 hex digits. */
  readonly guid: string
  /** Of the format: 0x10d00, or 0xe00 for a WIM with solid resources. */
  readonly version: number
  /** Of the file that was opened, from 1. */
  readonly part: number
  readonly totalParts: number
  readonly pipable: boolean
  /** Some blobs stand in solid resources. */
  readonly solid: boolean
  readonly integrityTable: boolean
  readonly readonly: boolean
  readonly rpfix: boolean
  readonly spanned: boolean
  readonly writeInProgress: boolean
  readonly metadataOnly: boolean
  readonly resourceOnly: boolean
  /** Of all its files, in bytes; 0 for a WIM that is no file yet. */
  readonly size: number
}

/** One image, from the archive's XML. */
export interface WimImage {
  /** 1-based. */
  readonly index: number
  readonly name: string
  readonly description: string | undefined
  readonly displayName: string | undefined
  readonly directoryCount: number
  readonly fileCount: number
  readonly totalBytes: number
  /** FILETIMEs, 100 ns since 1601-01-01 UTC. */
  readonly created: bigint | undefined
  readonly modified: bigint | undefined
  /** What Windows says of itself; undefined for an image that holds none. */
  readonly windows: WindowsInfo | undefined
}

export interface WindowsInfo {
  /** GOARCH's word (`amd64`, `arm64`, `386`, `arm`), or the XML's number where there is none. */
  readonly architecture: string
  /** MAJOR.MINOR.BUILD.SPBUILD. */
  readonly version: string | undefined
  readonly productName: string | undefined
  readonly editionId: string | undefined
  readonly installationType: string | undefined
  readonly languages: readonly string[]
}

/** A piece of a blob. */
export interface BlobPiece {
  /** Position in the list that was asked for. */
  readonly request: number
  readonly bytes: Uint8Array
  /** The blob ends here, and its SHA-1 is right. */
  readonly last: boolean
}

export interface ReadOptions {
  readonly signal?: AbortSignal | undefined
  /** Threads that decompress, 1 to 256; the processors of the machine when left out. */
  readonly threads?: number | undefined
}

/** Blobs of the archive, by index. */
export interface BlobList {
  readonly count: number
  /** In bytes, uncompressed. */
  readonly sizes: Float64Array
  /** Place of the blob in the archive's files: reading in rising rank is fastest, and in a solid WIM by far. */
  readonly ranks: Uint32Array
  /** SHA-1, 40 hex digits. */
  sha1(blob: number): string
}

const ARCHITECTURES: Readonly<Record<string, string>> = { 0: '386', 5: 'arm', 6: 'ia64', 9: 'amd64', 12: 'arm64' }
const DENTRIES_AT_A_TIME = 2048

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
export async function createWim({ compression = 'lzx' }: { readonly compression?: Compression | undefined } = {}): Promise<WimFile> {
  const native = await startJob('create', { compression: compressionNumber(compression) }, 'a new WIM').result
  return new WimFile(native as NativeWimFile) // what `create` gives
}

/** Writes the parts of a split WIM, in any order, as one WIM to `output`. Throws WIM_PART_MISSING, WIM_ERROR, OUTPUT errors. */
export async function joinWims(parts: readonly string[], output: string, options: JoinOptions = {}): Promise<void> {
  const [openOptions, args] = [openFlags({ checkIntegrity: options.checkIntegrity }), { paths: parts, flags: writeFlags(options) }]
  await writeBeside(output, path => startJob('join', { ...args, path, openFlags: openOptions }, output, options).result)
}

/**
 * Applies an image of a pipable WIM as it comes out of a stream. `image`: its number or name; undefined where it holds one.
 * Throws UNSUPPORTED for a WIM that is not pipable.
 */
export async function extractFromPipe(
  input: Readable | { readonly fd: number },
  image: string | number | undefined,
  target: string,
  options: ExtractOptions = {},
): Promise<void> {
  const extract = (fd: number): Promise<unknown> => startJob(
    'extractFromPipe', { fd, image: image === undefined ? undefined : String(image), target, flags: extractFlags(options) },
    target, options,
  ).result
  if (!(input instanceof Readable)) {
    await extract(input.fd)
    return
  }
  const { read, write } = openPipe()
  const fed = pipeline(input, new Socket({ fd: write, readable: false, writable: true }))
  fed.catch(() => undefined) // libwim says what it misses; when it has enough, nobody reads the rest
  try {
    await extract(read)
  } finally {
    closeSync(read)
    input.destroy()
  }
  await fed.catch((error: unknown) => {
    if (systemCode(error) !== 'EPIPE' && systemCode(error) !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
  })
}

/** How libwim behaves in this process. Before the first WIM, or with what was set already; else throws INVALID_ARGUMENT. */
export function setUpWimlib(settings: WimlibSettings): void {
  try {
    binding().setUp(initFlags(settings))
  } catch (error) {
    throw nativeError(error, 'libwim')
  }
}

/** As many threads as `threads` says, all processors when it says nothing. Throws INVALID_ARGUMENT. */
export function checkedThreads(threads: number = availableParallelism()): number {
  if (Number.isInteger(threads) && threads >= 1 && threads <= 256) return threads
  throw new StowageError('INVALID_ARGUMENT', `expected 1 to 256 threads but found ${threads}`)
}

/** What a WIM said of itself when no job was under way. */
interface Facts {
  readonly info: WimInfo
  readonly images: readonly WimImage[]
}

/**
 * An open WIM. Made by {@link openWim} and {@link createWim}.
 *
 * Changes are made in memory, and reach a file with {@link write} or {@link overwrite}. Calls may overlap: those that libwim
 * does are done in the order they were made. All of them throw INVALID_ARGUMENT once it is closed, ABORTED where `signal`
 * says so, and else a StowageError whose `cause` is libwim's own error, a {@link WimlibError}.
 */
export class WimFile implements AsyncDisposable {
  #native: NativeWimFile
  #facts: Facts | undefined
  #paths: { readonly parts: readonly string[]; readonly references: readonly string[] }
  #closed = false
  #changing: Promise<unknown> = Promise.resolve()
  readonly #queue = new JobQueue()
  #running = 0

  constructor(native: NativeWimFile) {
    this.#native = native
    this.#paths = native.paths()
  }

  /** Of the first part; undefined for a WIM that is no file yet. */
  get path(): string | undefined {
    return this.#paths.parts[0]
  }

  /** All files of the archive, the first part first; empty for a WIM that is no file yet. */
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
    return this.#factsNow().info
  }

  /** As {@link info} has it. */
  images(): readonly WimImage[] {
    return this.#factsNow().images
  }

  /**
   * The image that `selector` names: a 1-based number, or a name as in the XML (case counts, as wimlib has it; a name that
   * looks like a number is tried as a number first). Throws IMAGE_NOT_FOUND listing the images.
   */
  image(selector: string | number): WimImage {
    const images = this.images()
    const byIndex = /^\d+$/.test(String(selector)) ? images[Number(selector) - 1] : undefined
    const byName = images.filter(image => image.name === String(selector))
    const found = byIndex ?? byName[0]
    if (found) return found
    const list = images.map(image => `${image.index} ${JSON.stringify(image.name)}`).join(', ')
    throw new StowageError('IMAGE_NOT_FOUND', `${this.#name} has no image ${JSON.stringify(String(selector))}`, {
      hint: `It holds: ${list || 'no images at all'}.`,
    })
  }

  /** What wimlib takes for an image: a number, a name, or `all` or `*`. Throws IMAGE_NOT_FOUND. */
  async resolveImage(selector: string | number): Promise<ImageNumber> {
    const number = await this.#job('resolve', { name: String(selector) }) as number // what `resolve` gives
    if (number === 0) return this.image(selector).index
    return number === -1 ? 'all' : number
  }

  /** The XML data as they stand in the file, as text without the byte order mark. Source: the WIM white paper, "XML data". */
  async xml(): Promise<string> {
    const bytes = await this.#job('xml') as Buffer // what `xml` gives
    return bytes.toString('utf16le').replace(/^\ufeff/, '')
  }

  /** A property of an image by libwim's path: `NAME`, `WINDOWS/VERSION/BUILD`, `WINDOWS/LANGUAGES/LANGUAGE[1]`. */
  async property(image: number, name: string): Promise<string | undefined> {
    return await this.#job('property', { image: imageNumber(image), name }) as string | undefined // what `property` gives
  }

  /** Sets a property, and removes it where `value` is undefined. Throws where another image has the name. */
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
    const { bootIndex = 0, guid, readonly, rpfix } = change
    if (guid !== undefined && !/^[0-9a-f]{32}$/i.test(guid)) {
      throw new StowageError('INVALID_ARGUMENT', `expected a GUID of 32 hex digits but found ${JSON.stringify(guid)}`)
    }
    await this.#job('setInfo', {
      flags: infoFlags(change), bootIndex, readonly: readonly ? 1 : 0, rpfix: rpfix ? 1 : 0,
      guid: guid === undefined ? undefined : Buffer.from(guid, 'hex'),
    })
  }

  async imageNameInUse(name: string): Promise<boolean> {
    return await this.#job('nameInUse', { name }) as boolean // what `nameInUse` gives
  }

  /** Adds an image without files, and gives its number. */
  async addEmptyImage(name?: string): Promise<number> {
    return await this.#job('addEmptyImage', { name }) as number // what `addEmptyImage` gives
  }

  /**
   * Captures directories, files or an NTFS volume as a new image, and gives its number. Files are read again when the WIM is
   * written, so they must not change until then.
   */
  async addImage(source: string | readonly CaptureSource[], options: AddImageOptions = {}): Promise<number> {
    const sources = typeof source === 'string' ? [{ source }] : source
    const { name, config } = options
    return await this.#job('addImage', {
      sources: sources.map(({ source: from, target = '/' }) => ({ source: from, target })),
      name, config, flags: addFlags(checkedAdd(options)),
    }, options) as number // what `addImage` gives
  }

  /** Adds a directory, a file or an NTFS volume to an image, as `target` in it. */
  async addTree(image: number, source: string, target: string, options: AddOptions = {}): Promise<void> {
    // libwim's own call of this name takes no configuration file
    await this.update(image, [{ ...checkedAdd(options), type: 'add', source, target }], options)
  }

  /** Adds, deletes and renames, all or nothing. */
  async update(image: number, commands: readonly UpdateCommand[], options: UpdateOptions = {}): Promise<void> {
    const packed = commands.map(command => {
      switch (command.type) {
        case 'add':
          return {
            type: 'add', source: command.source, target: command.target, config: command.config,
            flags: addFlags({ ...command, exclude: options.exclude }),
          }
        case 'delete':
          return { type: 'delete', path: command.path, flags: deleteFlags(command) }
        case 'rename':
          return { type: 'rename', source: command.source, target: command.target }
      }
    })
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
    await this.#job('export', {
      image: imageNumber(image), destination: destination.#open(), name, description, flags: exportFlags(options),
    }, options, [destination])
  }

  /** Other WIM files that hold blobs of this one: the base of a delta WIM, parts of a split one. */
  async referenceFiles(paths: readonly string[], options: ReferenceOptions = {}): Promise<void> {
    const open = openFlags({ checkIntegrity: options.checkIntegrity })
    this.#replace(await this.#job('reference', { paths, flags: referenceFlags(options), openFlags: open }, options))
  }

  /** Other open WIMs that hold blobs of this one. They must stay open until this one is written. */
  async referenceResources(wims: readonly WimFile[]): Promise<void> {
    await this.#job('referenceWims', { wims: wims.map(wim => wim.#open()) }, {}, wims)
  }

  /** Files of the newly captured `image` that are as they were in `templateImage` need not be read again. */
  async referenceTemplate(image: number, template: WimFile, templateImage: number): Promise<void> {
    await this.#job('referenceTemplate', {
      image: imageNumber(image), template: template.#open(), templateImage: imageNumber(templateImage),
    }, {}, [template])
  }

  /** How the next write compresses. Throws INVALID_ARGUMENT for a chunk size that the compression does not have. */
  async setOutput(options: OutputOptions): Promise<void> {
    const { compression, chunkSize, solidCompression, solidChunkSize } = options
    await this.#job('setOutput', {
      compression: compression === undefined ? undefined : compressionNumber(compression),
      chunkSize,
      solidCompression: solidCompression === undefined ? undefined : compressionNumber(solidCompression),
      solidChunkSize,
    })
  }

  /**
   * Writes the WIM, or one image of it. A path is written beside its place and renamed, so it is whole or as it was; to a
   * stream, or to a descriptor that cannot seek, only a pipable WIM can be written. A stream is ended; a descriptor stays open.
   */
  async write(target: WriteTarget, options: WriteOptions = {}): Promise<void> {
    const args = {
      image: imageNumber(options.image ?? 'all'), flags: writeFlags(options), threads: checkedThreads(options.threads),
      level: checkedLevel(options.level),
    }
    if (typeof target === 'string') {
      await writeBeside(target, path => this.#job('write', { ...args, path }, options))
    } else if (target instanceof Writable) {
      const { read, write } = openPipe()
      const drained = pipeline(new Socket({ fd: read, readable: true, writable: false }), target, { signal: options.signal })
      drained.catch(() => undefined) // the job hears of it as a broken pipe; which of both failed first is told below
      try {
        // A stream cannot hold an integrity table, whether or not the file this WIM comes from has one
        const flags = writeFlags({ ...options, integrityTable: options.integrityTable ?? false })
        await this.#job('writeToFd', { ...args, flags, fd: write }, options)
      } catch (error) {
        target.destroy()
        throw error
      } finally {
        closeSync(write)
      }
      await drained
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
    const job = this.#job('overwrite', {
      flags: writeFlags(options), threads: checkedThreads(options.threads), level: checkedLevel(options.level),
    }, options)
    // A file that is being changed in place must not be left in the middle: closing waits.
    this.#changing = this.#queue.idle
    this.#replace(await job)
  }

  /**
   * Extracts an image into the directory `target`, which is made where it is not there, or all images into directories named
   * after them. Nothing is written outside `target`: an image whose names or links say so is refused with WIM_CORRUPT.
   */
  async extract(image: ImageNumber, target: string, options: ExtractOptions = {}): Promise<void> {
    await this.#job('extract', { image: imageNumber(image), target, flags: extractFlags(options) }, options)
  }

  /** Extracts files and directories of an image, at their paths below `target`. Throws FILE_NOT_FOUND. */
  async extractPaths(
    image: number, paths: readonly string[], target: string, options: ExtractPathsOptions = {},
  ): Promise<void> {
    await this.#job('extractPaths', { image: imageNumber(image), paths, target, flags: extractFlags(options) }, options)
  }

  /** {@link extractPaths} of the paths and patterns in the text file `list`, one a line; `;` and `#` begin comments. */
  async extractPathList(
    image: number, list: string, target: string, options: ExtractPathsOptions = {},
  ): Promise<void> {
    await this.#job('extractPathList', { image: imageNumber(image), list, target, flags: extractFlags(options) }, options)
  }

  /**
   * Writes the WIM as parts of at most `partSize` bytes each, but for a blob that is larger: `path` (`x.swm`), then `x2.swm` …
   * All parts get their names when the last is whole. Throws UNSUPPORTED for solid resources.
   */
  async split(path: string, partSize: number, options: SplitOptions = {}): Promise<void> {
    const parts: { readonly partial: string; readonly path: string }[] = []
    const suffix = `.${randomUUID()}.partial`
    const partName: SplitOptions['partName'] = async part => {
      const wanted = await options.partName?.(part) ?? part.path
      parts.push({ partial: wanted + suffix, path: wanted })
      return wanted + suffix
    }
    try {
      await this.#job('split', { path, partSize, flags: writeFlags(options) }, { ...options, partName })
      for (const part of parts) await rename(part.partial, part.path)
    } catch (error) {
      for (const { partial } of parts) await rm(partial, { force: true })
      throw outputError(error, path)
    }
  }

  /**
   * The tree of an image as libwim has it, changes in memory too: depth first, in batches. Throws FILE_NOT_FOUND for a path
   * that is not there.
   */
  async *entries(image: ImageNumber, options: EntriesOptions = {}): AsyncGenerator<readonly DirectoryEntry[]> {
    const { path = '/', signal } = options
    const packed = await this.#job('entries', { image: imageNumber(image), path, flags: entriesFlags(options) }, { signal })
    yield* unpackEntries(packed as PackedEntries) // what `entries` gives
  }

  /** The blobs of the WIM as libwim has them, the metadata resources first. */
  async resources(): Promise<Resource[]> {
    return unpackResources(await this.#job('resources') as Buffer) // what `resources` gives
  }

  /**
   * The content of one stream of a file: its data, or the named stream `stream`. Throws FILE_NOT_FOUND, INVALID_ARGUMENT for
   * what has no data, BLOB_MISSING for a blob that no opened file holds.
   */
  async *readFile(
    image: number, path: string, options: ReadOptions & { readonly stream?: string | undefined } = {},
  ): AsyncGenerator<Uint8Array> {
    const { stream = '', ...reading } = options
    let entry: DirectoryEntry | undefined
    for await (const [first] of this.entries(image, { path, recursive: false, signal: options.signal })) entry ??= first
    const found = entry?.streams.find(({ name }) => name === stream)
    if (!entry || !found) throw new StowageError('FILE_NOT_FOUND', `${path} has no stream ${JSON.stringify(stream)}`)
    const linked = (entry.attributes & FILE_ATTRIBUTE_REPARSE_POINT) !== 0
    if (stream === '' && (linked || (entry.attributes & FILE_ATTRIBUTE_DIRECTORY) !== 0)) {
      throw new StowageError('INVALID_ARGUMENT', `${path} is a ${linked ? 'reparse point' : 'directory'}, and has no data`)
    }
    const { sha1, size } = found.resource
    if (size === 0) return
    const blob = this.#guard(() => this.#native.findBlob(Buffer.from(sha1, 'hex')))
    if (blob === undefined) {
      throw new StowageError('BLOB_MISSING', `the content of ${path} is not in ${this.#name}`, {
        hint: /^0+$/.test(sha1) ? 'It was added and not written yet.' : 'Name the WIM files that hold it (--ref).',
      })
    }
    for await (const piece of this.readBlobs([blob], reading)) yield piece.bytes
  }

  blobs(): BlobList {
    return this.#guard(() => {
      const { hashes, sizes, ranks } = this.#native.blobs()
      return { count: sizes.length, sizes, ranks, sha1: blob => hashes.toString('hex', blob * 20, blob * 20 + 20) }
    })
  }

  /** Reads and checks the metadata of image `index` (1-based). Throws WIM_CORRUPT. */
  async metadata(index: number): Promise<Metadata> {
    try {
      const reader = await this.#native.readMetadata(index)
      function* dentries(): Iterable<readonly Dentry[]> {
        let first = 0
        for (let batch = reader.next(DENTRIES_AT_A_TIME); batch; batch = reader.next(DENTRIES_AT_A_TIME)) {
          const decoded = decodeDentries(batch, first)
          first += decoded.length
          yield decoded
        }
      }
      return { security: reader.security(), dentries: dentries() }
    } catch (error) {
      throw nativeError(error, this.#name)
    }
  }

  /**
   * The contents of blobs, in the order of the list, in pieces; each is checked against its SHA-1 before its last piece
   * is given out. Decompressed ahead by `threads` threads, in bounded memory. Throws WIM_CORRUPT naming the blob.
   */
  async *readBlobs(blobs: readonly number[] | Uint32Array, { signal, threads }: ReadOptions = {}): AsyncIterable<BlobPiece> {
    const stream = this.#guard(
      () => new (binding().BlobStream)(this.#native, Uint32Array.from(blobs), checkedThreads(threads)),
    )
    try {
      for (let batch = await stream.next(); batch; batch = await stream.next()) {
        let at = 0
        for (let n = 0; n < batch.heads.length; n += 3) {
          if (signal?.aborted) throw new StowageError('ABORTED', 'interrupted before the end')
          const size = batch.heads[n + 1] ?? 0
          yield { request: batch.heads[n] ?? 0, bytes: batch.bytes.subarray(at, at + size), last: batch.heads[n + 2] === 1 }
          at += size
        }
      }
    } catch (error) {
      throw nativeError(error, this.#name)
    } finally {
      stream.close()
    }
  }

  /**
   * Checks integrity tables, the metadata of every image, that every stream has its blob, and the SHA-1 of every blob, by our
   * own readers. Goes on after what is damaged, and gives all of it; throws only what says nothing of the WIM.
   */
  async verify(options: VerifyOptions = {}): Promise<WimVerification> {
    const { integrity = true, threads } = options
    const found = await this.#job('verify', { integrity: integrity ? 1 : 0, threads: checkedThreads(threads) }, options)
    return found as WimVerification // made by native/wim/verifier.cc, as declared
  }

  /**
   * Waits for the jobs that were begun, but for aborted ones that leave nothing behind. Blobs that are being read go on;
   * nothing new can be begun. Closing twice is fine.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await (this.#running > 0 ? this.#queue.idle : this.#changing)
    this.#native.close()
  }

  get #name(): string {
    return this.path ?? 'a WIM that is no file yet'
  }

  #open(): NativeWimFile {
    if (this.#closed) throw new StowageError('INVALID_ARGUMENT', `${this.#name} is closed`)
    return this.#native
  }

  /** Runs an operation when this WIM, and `others`, are free. */
  async #job(
    operation: string, args: NativeArguments = {}, watch: JobWatch = {}, others: readonly WimFile[] = [],
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
      return await JobQueue.run(wims.map(wim => wim.#queue), start, watch.signal)
    } finally {
      for (const wim of wims) [wim.#running, wim.#facts] = [wim.#running - 1, undefined]
    }
  }

  /** This WIM is another file now, or has others beside it. */
  #replace(native: unknown): void {
    this.#native = native as NativeWimFile // what `overwrite` and `reference` give
    this.#facts = undefined
    this.#paths = this.#native.paths()
  }

  /** libwim cannot be asked while a job is under way. */
  #keepFacts(): void {
    this.#facts ??= this.#guard(() => this.#readFacts())
  }

  #factsNow(): Facts {
    this.#keepFacts()
    return this.#facts ?? this.#readFacts()
  }

  #readFacts(): Facts {
    const { compression, guid, ...facts } = this.#native.info()
    const info: WimInfo = { ...facts, compression: compressionName(compression), guid: guid.toString('hex') }
    return { info, images: Array.from({ length: info.imageCount }, (_, n) => this.#readImage(n + 1)) }
  }

  #readImage(index: number): WimImage {
    const text = (name: string): string | undefined => this.#native.property(index, name)
    const count = (name: string): number => Number(text(name) ?? 0)
    return {
      index,
      name: text('NAME') ?? '',
      description: text('DESCRIPTION'),
      displayName: text('DISPLAYNAME'),
      directoryCount: count('DIRCOUNT'),
      fileCount: count('FILECOUNT'),
      totalBytes: count('TOTALBYTES'),
      created: this.#time(text('CREATIONTIME/HIGHPART'), text('CREATIONTIME/LOWPART')),
      modified: this.#time(text('LASTMODIFICATIONTIME/HIGHPART'), text('LASTMODIFICATIONTIME/LOWPART')),
      windows: this.#windows(text),
    }
  }

  #windows(text: (name: string) => string | undefined): WindowsInfo | undefined {
    const architecture = text('WINDOWS/ARCH')
    if (architecture === undefined) return undefined
    const numbers = ['MAJOR', 'MINOR', 'BUILD', 'SPBUILD'].map(part => text(`WINDOWS/VERSION/${part}`))
    const known = numbers.slice(0, 3).every(number => number !== undefined && /^\d+$/.test(number))
    const languages: string[] = []
    for (let n = 1; ; n += 1) {
      const language = text(`WINDOWS/LANGUAGES/LANGUAGE[${n}]`)
      if (language === undefined) break
      languages.push(language)
    }
    return {
      architecture: ARCHITECTURES[architecture] ?? architecture,
      version: known ? numbers.map(number => number ?? '0').join('.') : undefined,
      productName: text('WINDOWS/PRODUCTNAME'),
      editionId: text('WINDOWS/EDITIONID'),
      installationType: text('WINDOWS/INSTALLATIONTYPE'),
      languages,
    }
  }

  #time(high: string | undefined, low: string | undefined): bigint | undefined {
    const hex = /^0x[0-9a-f]{1,8}$/i
    if (high === undefined || low === undefined || !hex.test(high) || !hex.test(low)) return undefined
    return (BigInt(high) << 32n) | BigInt(low)
  }

  #guard<T>(call: () => T): T {
    try {
      return call()
    } catch (error) {
      throw nativeError(error, this.#name)
    }
  }
}

/** libwim takes a configuration file or Windows' own, not both: the file wins. */
function checkedAdd<T extends AddOptions>(options: T): T {
  return options.config === undefined ? options : { ...options, winconfig: undefined }
}

function checkedLevel(level: number = 0): number {
  if (Number.isInteger(level) && level >= 0 && level <= 0xffffff) return level
  throw new StowageError('INVALID_ARGUMENT', `expected a compression level from 0 but found ${level}`)
}

/** `write` makes the file beside `path`; it takes its place when it is whole. What is no file is written as it stands. */
async function writeBeside(path: string, write: (path: string) => Promise<unknown>): Promise<void> {
  const found = await stat(path).catch((error: unknown) => {
    if (systemCode(error) !== 'ENOENT') throw outputError(error, path)
    return undefined
  })
  if (found?.isDirectory()) {
    throw new StowageError('INVALID_ARGUMENT', `expected a file to write but ${path} is a directory`, {
      hint: `Name a file in it: ${path.replace(/\/+$/, '')}/${basename(path)}.wim`,
    })
  }
  if (found && !found.isFile()) {
    await write(path)
    return
  }
  const place = found ? await realpath(path) : path // a link stays one
  const partial = `${place}.${randomUUID()}.partial`
  try {
    await write(partial)
    await rename(partial, place)
  } catch (error) {
    await rm(partial, { force: true })
    throw named(outputError(error, path), partial, path)
  }
}

/** An error that names the file beside the place names the place instead: the other is gone. */
function named(error: unknown, partial: string, path: string): unknown {
  if (!(error instanceof StowageError) || !error.message.includes(partial)) return error
  const { code, message, hint, cause } = error
  return new StowageError(code, message.replaceAll(partial, path), { hint, cause })
}

function openPipe(): { readonly read: number; readonly write: number } {
  try {
    return binding().openPipe()
  } catch (error) {
    throw nativeError(error, 'a pipe')
  }
}
