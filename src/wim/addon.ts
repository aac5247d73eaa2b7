/** Types for the part of the native addon that works on WIM files and layers. */
import type { ThreadJob } from '../native.js'
import type { LayerCompressionType } from '../oci/compression.js'
import type { WimInfo } from './info.js'

/** The exports of `native/addon.cc`. */
export interface Binding {
  /** Runs an operation of `native/wim/operations.cc` on a separate thread. */
  readonly WimJob: new (operation: string, args: NativeArguments, callback: NativeJobCallback) => NativeWimJob
  readonly BlobStream: new (wim: NativeWimFile, blobs: Uint32Array, threads: number) => NativeBlobStream
  readonly LayerJob: new (
    wim: NativeWimFile | undefined,
    blobs: Uint32Array,
    options: NativeLayerOptions,
    callback: (event: NativeLayerEvent) => void,
  ) => NativeLayerJob
  readonly CaptureJob: new (
    options: NativeCaptureOptions,
    callback: (event: NativeCaptureEvent) => void,
  ) => NativeCaptureJob
  readonly LayerReader: new (
    options: NativeLayerReaderOptions,
    callback: (event: NativeThreadEvent<NativeLayerReaderResult>) => void,
  ) => NativeLayerReader
  /** Sets WIMLIB_INIT_FLAG_*. Must be called before the first WIM is opened. */
  setUp(flags: number): void
  /** File descriptors of a blocking pipe. The caller closes them. */
  openPipe(): { readonly read: number; readonly write: number }
  /**
   * Extended attributes of each path, without following links; none except on Linux. Throws a system error naming the
   * path.
   */
  extendedAttributes(
    paths: readonly string[],
  ): Promise<readonly (readonly { readonly name: Buffer; readonly value: Buffer }[])[]>
  /** For `mount-child.ts`: mounts an image and ends the process, or throws. Arguments: `native/wim/mount.h`. */
  mountImage(request: NativeArguments): void
  /** For `mount-child.ts`: unmounts an image. It cannot be cancelled, and trusts its input. */
  unmountImage(directory: string, flags: number, onEvent: (event: unknown) => void): Promise<void>
  /** Undefined if the chunk does not get smaller. By our own compressor, or by libwim's: tests compare the two. */
  compressChunk(
    compression: number,
    level: number,
    chunk: Buffer,
    whose?: 'ours' | 'libwim',
  ): Promise<Buffer | undefined>
  /** By our own decompressor, or by libwim's. */
  decompressChunk(
    compression: number,
    chunkSize: number,
    compressed: Buffer,
    size: number,
    whose?: 'ours' | 'libwim',
  ): Promise<Buffer>
  /** In bytes; 0 if there is no such compressor. */
  compressorMemory(compression: number, chunkSize: number, level: number): number
  /** Version of the libwim found at run time, such as `1.13.6`. */
  libraryVersion(): string
}

export interface NativeWimFile {
  info(): NativeWimInfo
  paths(): { readonly parts: readonly string[]; readonly references: readonly string[] }
  /** Whether libwim has it open, so that it knows what was changed in memory. */
  isOpened(): boolean
  /** As libwim has it in memory. */
  property(image: number, name: string): string | undefined
  /** The XML data in the file, UTF-16LE. */
  xml(): Buffer
  /** For each blob, 20 bytes of SHA-1, the size in bytes and the rank of its position in the file. */
  blobs(): { readonly hashes: Buffer; readonly sizes: Float64Array; readonly ranks: Uint32Array }
  /** Index of the blob with this SHA-1. */
  findBlob(sha1: Buffer): number | undefined
  readMetadata(image: number): Promise<NativeDentryReader>
  close(): Promise<void>
}

export interface NativeWimInfo extends Omit<WimInfo, 'compression' | 'guid'> {
  readonly compression: number
  readonly guid: Buffer
}

/** Strings may contain unpaired surrogates, but no NUL. */
export type NativeValue =
  | undefined
  | boolean
  | number
  | string
  | Buffer
  | NativeWimFile
  | readonly NativeValue[]
  | { readonly [name: string]: NativeValue }
export type NativeArguments = { readonly [name: string]: NativeValue }

/** The job waits for `answer()` if there is a `question`. The last call has `ended`, and the result or the error. */
export type NativeJobCallback = (
  events: readonly unknown[],
  question: unknown,
  ended: boolean,
  result: unknown,
  error: unknown,
) => void

export interface NativeWimJob {
  answer(value: NativeValue): void
  cancel(): void
  /** Lets the process end without waiting for the job. */
  unref(): void
}

export interface NativeDentryReader {
  security(): Buffer[]
  next(most: number): Buffer | undefined
}

export interface NativeBlobStream {
  /** Heads are triples: request, size, 1 for the last piece of its blob. */
  next(): Promise<{ readonly bytes: Buffer; readonly heads: Uint32Array } | undefined>
  close(): void
}

export interface NativeLayerOptions {
  readonly path: string
  readonly offset: number
  readonly compression: LayerCompressionType
  /** A level of the compression; 0 for no compression. */
  readonly level: number
  readonly threads: number
}

export interface NativeLayerResult {
  readonly diffId: string
  readonly digest: string
  readonly uncompressedSize: number
  readonly size: number
}

/** Output is ready, there is room for input, or the job has ended. The last event has the result or the error. */
export interface NativeThreadEvent<Result> {
  readonly room: boolean
  readonly result?: Result
  readonly error?: unknown
}

/** The base of all jobs on a thread: `native/thread_job.h`. */
export interface NativeThreadJob extends ThreadJob {
  /** Marks the end of the input. */
  finish(): void
}

/** With the bytes of the tar so far, before and after compression. */
export interface NativeLayerEvent extends NativeThreadEvent<NativeLayerResult> {
  readonly uncompressed: number
  readonly written: number
}

export interface NativeLayerJob extends NativeThreadJob {
  /** Returns the number of bytes queued. */
  push(bytes: Uint8Array, cuts: Uint32Array): number
}

export interface NativeLayerReaderOptions {
  /** Name of the layer, for errors. */
  readonly name: string
  /** The hash of each file's content to calculate. */
  readonly hash: 'none' | 'sha256' | 'sha1'
  /** Number of bytes at the beginning of each file's content to return. */
  readonly headSize: number
  /** Paths in lower case of files whose whole content to return, up to 1 GiB. */
  readonly whole: readonly string[]
}

export interface NativeLayerReaderResult {
  readonly compression: LayerCompressionType
  readonly digest: string
  readonly diffId: string
  readonly size: number
  readonly uncompressedSize: number
  /** Number of global PAX headers. */
  readonly globals: number
}

export interface NativeLayerReader extends NativeThreadJob {
  /** Returns the number of bytes queued. */
  push(bytes: Uint8Array): number
  /** A batch of entries for `src/layer/read/tar-entry.ts`, if one is ready. */
  take(): Buffer | undefined
}

export interface NativeCaptureOptions {
  /** An existing file. */
  readonly path: string
  readonly compression: number
  readonly level: number
  readonly threads: number
  readonly integrityTable: boolean
}

/** `layer` is set at the end of a layer. The result is the size of the WIM in bytes. */
export interface NativeCaptureEvent extends NativeThreadEvent<number> {
  /** Bytes of contents read, and bytes of the WIM written. */
  readonly read: number
  readonly written: number
  readonly layer?: NativeLayerReaderResult
}

/** For its batches, see `native/layer/layer_capture.h`. */
export interface NativeCaptureJob extends NativeLayerReader {
  begin(name: string, options: { readonly keep: Uint8Array | undefined; readonly roots: readonly string[] }): void
  seal(end: {
    readonly blobs: readonly Uint8Array[]
    readonly images: readonly Uint8Array[]
    readonly xml: string
    readonly rpfix: boolean
  }): void
}
