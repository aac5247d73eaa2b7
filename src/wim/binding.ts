/** What of the native addon works on WIM archives and layers, and the names of its errors. */
import { type ErrorCode, fileError, StowageError } from '../errors.js'
import { nativeAddon } from '../native.js'
import { isWimlibErrorCode, WimlibError } from './error.js'
import { initFlags } from './flags.js'
import type { WimInfo } from './image.js'
import type { WimlibSettings } from './options.js'

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
  /** In bytes; 0 where there is no such compressor. */
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

/** `question`, where there is one, waits for `answer()`. With `ended` come the result or the error, and nothing comes after. */
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
  readonly compression: 'gzip' | 'zstd' | 'none'
  /** gzip: 1 to 12; zstd: 1 to 19; none: 0. */
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
  readonly compression: 'none' | 'gzip' | 'zstd'
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

/** Its batches: see `native/wim/layer_capture.h`. */
export interface NativeCaptureJob extends NativeLayerReader {
  begin(name: string, options: { readonly keep: Uint8Array | undefined; readonly roots: readonly string[] }): void
  seal(end: {
    readonly blobs: readonly Uint8Array[]
    readonly images: readonly Uint8Array[]
    readonly xml: string
  }): void
}

/**
 * The addon. Nothing but WIM work needs it, so a host that only loads bundles needs no libwim. Throws ADDON_MISSING.
 */
export function binding(): Binding {
  return nativeAddon() as Binding // its exports are the ones declared above
}

/** How libwim behaves in this process. Before the first WIM, or with what was set already; else throws INVALID_ARGUMENT. */
export function setUpWimlib(settings: WimlibSettings): void {
  try {
    binding().setUp(initFlags(settings))
  } catch (error) {
    throw nativeError(error, 'libwim')
  }
}

/** Of the libwim that was found, such as `1.13.6`. */
export function wimlibVersion(): string {
  return binding().libraryVersion()
}

/** libwim's codes that mean: the archive's content is not what it should be. */
const CORRUPT = new Set(
  [
    'DECOMPRESSION',
    'INTEGRITY',
    'INVALID_HEADER',
    'INVALID_INTEGRITY_TABLE',
    'INVALID_LOOKUP_TABLE_ENTRY',
    'INVALID_METADATA_RESOURCE',
    'INVALID_PART_NUMBER',
    'INVALID_PIPABLE_WIM',
    'INVALID_RESOURCE_HASH',
    'IMAGE_COUNT',
    'METADATA_NOT_FOUND',
    'UNEXPECTED_END_OF_FILE',
    'INVALID_CHUNK_SIZE',
    'INVALID_COMPRESSION_TYPE',
    'INVALID_UTF16_STRING',
    'XML',
    'READ',
    'WIM_IS_INCOMPLETE',
  ].map(name => `WIMLIB_ERR_${name}`),
)

const OWN = new Set<string>([
  'NOT_A_WIM',
  'WIM_CORRUPT',
  'WIM_PART_MISSING',
  'LAYER_CORRUPT',
  'UNSUPPORTED',
  'ABORTED',
  'INVALID_ARGUMENT',
  'WIM_ERROR',
])

const OTHER = 'Name a .wim, .esd or .swm file; if this should be one, it was damaged on its way: copy it again.'
const DAMAGED =
  'The file is damaged or was cut short: compare its checksum with the one at its source, and copy it again.'

/** libwim's codes that say more than that something went wrong, and what there is to do about them. */
const MEANINGS: Readonly<Record<string, { readonly code: ErrorCode; readonly hint?: string }>> = {
  WIMLIB_ERR_NOT_A_WIM_FILE: { code: 'NOT_A_WIM', hint: OTHER },
  WIMLIB_ERR_INVALID_IMAGE: { code: 'IMAGE_NOT_FOUND' },
  WIMLIB_ERR_PATH_DOES_NOT_EXIST: { code: 'FILE_NOT_FOUND' },
  WIMLIB_ERR_GLOB_HAD_NO_MATCHES: { code: 'FILE_NOT_FOUND' },
  WIMLIB_ERR_INVALID_PARAM: { code: 'INVALID_ARGUMENT' },
  WIMLIB_ERR_INVALID_CAPTURE_CONFIG: { code: 'INVALID_ARGUMENT' },
  WIMLIB_ERR_INVALID_CHUNK_SIZE: { code: 'INVALID_ARGUMENT' },
  WIMLIB_ERR_INVALID_COMPRESSION_TYPE: { code: 'INVALID_ARGUMENT' },
  WIMLIB_ERR_IMAGE_NAME_COLLISION: { code: 'INVALID_ARGUMENT', hint: 'Give the image another name.' },
  WIMLIB_ERR_DUPLICATE_EXPORTED_IMAGE: { code: 'INVALID_ARGUMENT' },
  WIMLIB_ERR_INVALID_OVERLAY: { code: 'INVALID_ARGUMENT' },
  WIMLIB_ERR_NOTDIR: { code: 'INVALID_ARGUMENT' },
  WIMLIB_ERR_NOTEMPTY: { code: 'INVALID_ARGUMENT' },
  WIMLIB_ERR_IS_DIRECTORY: { code: 'INVALID_ARGUMENT' },
  WIMLIB_ERR_IS_SPLIT_WIM: { code: 'UNSUPPORTED', hint: 'Join the parts into one WIM first.' },
  WIMLIB_ERR_NOT_PIPABLE: { code: 'UNSUPPORTED', hint: 'Export it as a pipable WIM, or apply it from its file.' },
  WIMLIB_ERR_UNSUPPORTED: { code: 'UNSUPPORTED' },
  WIMLIB_ERR_UNSUPPORTED_FILE: { code: 'UNSUPPORTED' },
  WIMLIB_ERR_WIM_IS_READONLY: { code: 'PERMISSION_DENIED' },
  WIMLIB_ERR_ALREADY_LOCKED: { code: 'BUSY', hint: 'Another program is changing this WIM: wait for it.' },
  WIMLIB_ERR_MOUNTED_IMAGE_IS_BUSY: { code: 'BUSY', hint: 'Close what is open in the mounted image, or force it.' },
  WIMLIB_ERR_IMAGE_HAS_MULTIPLE_REFERENCES: {
    code: 'BUSY',
    hint: 'Close the WIM that the image was exported to or from first.',
  },
  WIMLIB_ERR_RESOURCE_NOT_FOUND: {
    code: 'BLOB_MISSING',
    hint: 'This is a delta WIM, or a part is missing: name the WIM files that hold the rest (--ref).',
  },
  WIMLIB_ERR_NOMEM: { code: 'IO_ERROR', hint: 'Not enough memory: use fewer threads or smaller chunks.' },
}

/** What stands behind some of libwim's codes in the system. */
const SYSTEM = new Set(
  [
    'OPEN',
    'OPENDIR',
    'READ',
    'WRITE',
    'STAT',
    'MKDIR',
    'RENAME',
    'LINK',
    'MKNOD',
    'READLINK',
    'SET_ATTRIBUTES',
    'SET_TIMESTAMPS',
    'SET_SECURITY',
    'SET_XATTR',
    'UNABLE_TO_READ_CAPTURE_CONFIG',
    'NTFS_3G',
    'FUSE',
  ].map(name => `WIMLIB_ERR_${name}`),
)

/**
 * An error of the addon as a StowageError, with libwim's own words, its code and the native error as its cause. `path` is the
 * WIM that was read. An error of writing, and anything else, comes back as it was.
 */
export function nativeError(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || error instanceof StowageError || !('code' in error)) return error
  const native = String(error.code)
  const text = 'details' in error && typeof error.details === 'string' ? error.details : ''
  const details = text ? ` (${text})` : ''
  if (native === 'WIM_CLOSED') return new StowageError('INVALID_ARGUMENT', error.message, { cause: error })
  if (OWN.has(native)) {
    const hint =
      native === 'WIM_CORRUPT' || native === 'LAYER_CORRUPT' ? DAMAGED : native === 'NOT_A_WIM' ? OTHER : undefined
    return new StowageError(native as ErrorCode, error.message + details, { hint, cause: error }) // every name in OWN is one of our codes
  }
  if (native.startsWith('WIMLIB_ERR_')) {
    const cause = new WimlibError(isWimlibErrorCode(native) ? native : 'WIMLIB_ERR_UNKNOWN', error.message, text)
    const message = `${error.message}${details} [${native}]`
    const system =
      'systemCode' in error && SYSTEM.has(native)
        ? systemError(String(error.systemCode), message, path, cause)
        : undefined
    if (system) return system
    const meaning = MEANINGS[native]
    if (meaning) return new StowageError(meaning.code, message, { hint: meaning.hint, cause })
    if (CORRUPT.has(native)) return new StowageError('WIM_CORRUPT', message, { hint: DAMAGED, cause })
    return new StowageError('WIM_ERROR', message, { cause })
  }
  // What failed to be written is named by whoever knows what it will be called in the end.
  return 'written' in error ? error : fileError(error, path)
}

/** libwim's error with the code and hint of the errno behind it, in libwim's words, which name the file. */
function systemError(code: string, message: string, path: string, cause: WimlibError): StowageError | undefined {
  const told = fileError(Object.assign(new Error(message), { code, syscall: 'libwim' }), path)
  return told instanceof StowageError ? new StowageError(told.code, message, { hint: told.hint, cause }) : undefined
}
