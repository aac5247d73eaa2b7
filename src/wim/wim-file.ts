/** A WIM archive, opened to be read: what it says of itself, its images, their dentries, and its blobs. */
import { availableParallelism } from 'node:os'
import { StowageError } from '../errors.js'
import { binding, nativeError, type NativeWimFile } from './binding.js'
import { decodeDentries, type Dentry, type Metadata } from './dentry.js'
import { partsOf } from './parts.js'

/** What the archive says of itself. */
export interface WimInfo {
  readonly compression: 'none' | 'xpress' | 'lzx' | 'lzms'
  /** In bytes; 0 for a WIM that is not compressed. */
  readonly chunkSize: number
  readonly imageCount: number
  /** 1-based; 0: no image is bootable. */
  readonly bootIndex: number
  /** 32 hex digits. */
  readonly guid: string
  readonly totalParts: number
  readonly pipable: boolean
  /** Some blobs stand in solid resources. */
  readonly solid: boolean
  readonly integrityTable: boolean
  readonly readonly: boolean
  readonly rpfix: boolean
  /** Of all its files, in bytes. */
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

const COMPRESSIONS = ['none', 'xpress', 'lzx', 'lzms'] as const
const ARCHITECTURES: Readonly<Record<string, string>> = { 0: '386', 5: 'arm', 6: 'ia64', 9: 'amd64', 12: 'arm64' }
const DENTRIES_AT_A_TIME = 2048

/**
 * Opens a WIM, or a split one by any of its parts (the others must stand beside it).
 * Throws FILE_NOT_FOUND, NOT_A_WIM, WIM_CORRUPT, WIM_PART_MISSING or ADDON_MISSING. Whoever opens it closes it:
 * `await using wim = await openWim(path)`.
 */
export async function openWim(path: string, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<WimFile> {
  const parts = await partsOf(path)
  try {
    if (signal?.aborted) throw new StowageError('ABORTED', 'interrupted before the end')
    return new WimFile(path, parts, await binding().openWim(parts))
  } catch (error) {
    throw nativeError(error, path)
  }
}

/** As many threads as `threads` says, all processors when it says nothing. Throws INVALID_ARGUMENT. */
export function checkedThreads(threads: number = availableParallelism()): number {
  if (Number.isInteger(threads) && threads >= 1 && threads <= 256) return threads
  throw new StowageError('INVALID_ARGUMENT', `expected 1 to 256 threads but found ${threads}`)
}

/** An open WIM. Made by {@link openWim}. */
export class WimFile implements AsyncDisposable {
  readonly path: string
  /** All files of the archive, the first part first. */
  readonly parts: readonly string[]
  readonly info: WimInfo
  readonly #native: NativeWimFile

  constructor(path: string, parts: readonly string[], native: NativeWimFile) {
    this.path = path
    this.parts = parts
    this.#native = native
    const { compression, guid, part: _part, ...info } = native.info()
    this.info = { ...info, compression: COMPRESSIONS[compression] ?? 'none', guid: guid.toString('hex') }
  }

  /** For the rooms that hand the archive to another native job. */
  get native(): NativeWimFile {
    return this.#native
  }

  images(): WimImage[] {
    return this.#guard(() => Array.from({ length: this.info.imageCount }, (_, n) => this.#image(n + 1)))
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
    throw new StowageError('IMAGE_NOT_FOUND', `${this.path} has no image ${JSON.stringify(String(selector))}`, {
      hint: `It holds: ${list || 'no images at all'}.`,
    })
  }

  /** The XML data, as text without the byte order mark. Source: Microsoft's WIM white paper, "XML data". */
  xml(): string {
    return this.#guard(() => this.#native.xml().toString('utf16le').replace(/^\ufeff/, ''))
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
      throw nativeError(error, this.path)
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
      throw nativeError(error, this.path)
    } finally {
      stream.close()
    }
  }

  /** Reading that has begun ends by itself; nothing new can be begun. Closing twice is fine. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#native.close()
  }

  #image(index: number): WimImage {
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
      throw nativeError(error, this.path)
    }
  }
}
