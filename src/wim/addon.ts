/** What of the native addon works on WIM files and layers, as types. */
import type { LayerCompressionType } from '../oci/compression.js'
import type { WimInfo } from './info.js'

/** What `native/addon.cc` exports. */
export interface Binding {
  /** Runs an operation of `native/wim/operations.cc` on a thread of its own. */
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
  /** WIMLIB_INIT_FLAG_*, before the first WIM. */
  setUp(flags: number): void
  /** File descriptors of a pipe, both blocking; whoever calls it closes them. */
  openPipe(): { readonly read: number; readonly write: number }
  /** Of each path, links not followed: on Linux, and none elsewhere. Throws a system error naming the path. */
  extendedAttributes(
    paths: readonly string[],
  ): Promise<readonly (readonly { readonly name: Buffer; readonly value: Buffer }[])[]>
  /** Mounts an image and ends the process, or throws: for `mount-child.ts`. Arguments: `native/wim/mount.h`. */
  mountImage(request: NativeArguments): void
  /** For `mount-child.ts`: cannot be cancelled, and what it trusts may be wrong. */
  unmountImage(directory: string, flags: number, onEvent: (event: unknown) => void): Promise<void>
  /** Undefined where it gets no smaller. */
  compressChunk(compression: number, level: number, chunk: Buffer): Promise<Buffer | undefined>
  decompressChunk(compression: number, chunkSize: number, compressed: Buffer, size: number): Promise<Buffer>
  /** In bytes; 0 if there is no such compressor. */
  compressorMemory(compression: number, chunkSize: number, level: number): number
  /** Of the libwim that was found at run time, such as `1.13.6`. */
  libraryVersion(): string
}

export interface NativeWimFile {
  info(): NativeWimInfo
  paths(): { readonly parts: readonly string[]; readonly references: readonly string[] }
  property(image: number, name: string): string | undefined
  /** 20 bytes of SHA-1, a size in bytes and a rank in the file for each blob. */
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

/** Texts may hold lone surrogates, but no NUL. */
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

/** `question`, if there is one, waits for `answer()`. With `ended` come the result or the error, and nothing comes after. */
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
  /** The process need not wait for it. */
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
  /** Within the compression's levels; 0 for none. */
  readonly level: number
  readonly threads: number
}

export interface NativeLayerResult {
  readonly diffId: string
  readonly digest: string
  readonly uncompressedSize: number
  readonly size: number
}

/** Something is ready to be taken, there is room for more, or it ended: with the result or the error, and nothing after. */
export interface NativeThreadEvent<Result> {
  readonly room: boolean
  readonly result?: Result
  readonly error?: unknown
}

/** What jobs on a thread have in common: `native/thread_job.h`. */
export interface NativeThreadJob {
  /** Nothing more is pushed. */
  finish(): void
  cancel(): void
  /** Cancels what still runs, waits for it, and lets go of what it holds: WIM, file, memory. */
  close(): void
}

/** Bytes of the tar so far, before and after compression. */
export interface NativeLayerEvent extends NativeThreadEvent<NativeLayerResult> {
  readonly uncompressed: number
  readonly written: number
}

export interface NativeLayerJob extends NativeThreadJob {
  /** Bytes queued. */
  push(bytes: Uint8Array, cuts: Uint32Array): number
}

export interface NativeLayerReaderOptions {
  /** Of the layer, for errors. */
  readonly name: string
  /** SHA-256 of each file's content. */
  readonly hash: boolean
  /** How much of the beginning of each file's content is wanted, in bytes. */
  readonly headSize: number
}

export interface NativeLayerReaderResult {
  readonly compression: LayerCompressionType
  readonly digest: string
  readonly diffId: string
  readonly size: number
  readonly uncompressedSize: number
  /** Global PAX headers. */
  readonly globals: number
}

export interface NativeLayerReader extends NativeThreadJob {
  /** Bytes queued. */
  push(bytes: Uint8Array): number
  /** A batch of entries for `src/layer/read/tar-entry.ts`, where one is ready. */
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

/** With `layer`, one is at its end. The result is the size of the WIM in bytes. */
export interface NativeCaptureEvent extends NativeThreadEvent<number> {
  /** Bytes of contents read, and bytes of the WIM written. */
  readonly read: number
  readonly written: number
  readonly layer?: NativeLayerReaderResult
}

/** Its batches: see `native/layer/layer_capture.h`. */
export interface NativeCaptureJob extends NativeLayerReader {
  begin(name: string, options: { readonly keep: Uint8Array | undefined; readonly roots: readonly string[] }): void
  seal(end: {
    readonly blobs: readonly Uint8Array[]
    readonly images: readonly Uint8Array[]
    readonly xml: string
  }): void
}
