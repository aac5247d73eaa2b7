/** The one module that knows the native addon: loads it when first needed and gives its errors their names. */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { type ErrorCode, fileError, StowageError, systemCode } from '../errors.js'
import type { WimInfo } from './wim-file.js'

/** What `native/addon.cc` exports. */
export interface Binding {
  openWim(paths: readonly string[]): Promise<NativeWimFile>
  readonly BlobStream: new (wim: NativeWimFile, blobs: Uint32Array, threads: number) => NativeBlobStream
  readonly LayerJob: new (
    wim: NativeWimFile, blobs: Uint32Array, options: NativeLayerOptions, callback: NativeLayerCallback,
  ) => NativeLayerJob
  /** Of the libwim that was found at run time, such as `1.13.6`. */
  libraryVersion(): string
}

export interface NativeWimFile {
  info(): NativeWimInfo
  /** UTF-16LE with byte order mark. */
  xml(): Buffer
  property(image: number, name: string): string | undefined
  /** 20 bytes of SHA-1, a size in bytes and a rank in the file for each blob. */
  blobs(): { readonly hashes: Buffer; readonly sizes: Float64Array; readonly ranks: Uint32Array }
  readMetadata(image: number): Promise<NativeDentryReader>
  close(): void
}

export interface NativeWimInfo extends Omit<WimInfo, 'compression' | 'guid'> {
  readonly compression: number
  readonly guid: Buffer
  readonly part: number
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
  /** 0: not compressed. */
  readonly gzipLevel: number
  readonly threads: number
}

export interface NativeLayerResult {
  readonly diffId: string
  readonly digest: string
  readonly uncompressedSize: number
  readonly size: number
}

export type NativeLayerCallback = (
  room: boolean, uncompressed: number, written: number, result: NativeLayerResult | undefined, error: unknown,
) => void

export interface NativeLayerJob {
  push(bytes: Uint8Array, cuts: Uint32Array): number
  finish(): void
  cancel(): void
  /** Cancels what still runs, waits for it, and lets go of the WIM. */
  close(): void
}

let loaded: Binding | undefined

/**
 * The addon. Nothing but WIM work needs it, so a host that only loads bundles needs no libwim.
 * Throws ADDON_MISSING saying what to install.
 */
export function binding(): Binding {
  loaded ??= load()
  return loaded
}

function load(): Binding {
  const require = createRequire(import.meta.url)
  try {
    // The addon is built from native/ in this package; its exports are the ones declared above.
    return require('node-gyp-build')(fileURLToPath(new URL('../..', import.meta.url))) as Binding
  } catch (error) {
    const unloadable = systemCode(error) === 'ERR_DLOPEN_FAILED'
    throw new StowageError(
      'ADDON_MISSING',
      unloadable
        ? `the native addon cannot be loaded: ${error instanceof Error ? error.message.split('\n')[0] : ''}`
        : `there is no native addon for ${process.platform}-${process.arch}`,
      {
        hint: unloadable
          ? 'WIM work needs libwim: on Debian and Ubuntu, apt-get install libwim15. Packing, verifying and loading other images does not.'
          : 'Build it: install libwim-dev, libdeflate-dev, libssl-dev, pkg-config and g++, then run "npm rebuild stowage".',
        cause: error,
      },
    )
  }
}

/** libwim's codes that mean: the archive's content is not what it should be. */
const CORRUPT = new Set([
  'DECOMPRESSION', 'INTEGRITY', 'INVALID_HEADER', 'INVALID_INTEGRITY_TABLE', 'INVALID_LOOKUP_TABLE_ENTRY',
  'INVALID_METADATA_RESOURCE', 'INVALID_PART_NUMBER', 'INVALID_PIPABLE_WIM', 'INVALID_RESOURCE_HASH', 'IMAGE_COUNT',
  'METADATA_NOT_FOUND', 'RESOURCE_NOT_FOUND', 'UNEXPECTED_END_OF_FILE', 'INVALID_CHUNK_SIZE', 'INVALID_COMPRESSION_TYPE',
  'INVALID_UTF16_STRING', 'XML', 'READ', 'WIM_IS_INCOMPLETE',
].map(name => `WIMLIB_ERR_${name}`))

const OWN = new Set<string>(['NOT_A_WIM', 'WIM_CORRUPT', 'WIM_PART_MISSING', 'UNSUPPORTED', 'ABORTED', 'WIM_ERROR'])

const OTHER = 'Name a .wim, .esd or .swm file; if this should be one, it was damaged on its way: copy it again.'
const DAMAGED = 'The file is damaged or was cut short: compare its checksum with the one at its source, and copy it again.'

/**
 * An error of the addon as a StowageError, with libwim's own words and the native error as its cause. `path` is the WIM
 * that was read. An error of writing, and anything else, comes back as it was.
 */
export function nativeError(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || error instanceof StowageError || !('code' in error)) return error
  const native = String(error.code)
  const details = 'details' in error && typeof error.details === 'string' ? ` (${error.details})` : ''
  const message = error.message + details
  if (native === 'WIM_CLOSED') return new StowageError('INVALID_ARGUMENT', message, { cause: error })
  if (OWN.has(native)) {
    const hint = native === 'WIM_CORRUPT' ? DAMAGED : native === 'NOT_A_WIM' ? OTHER : undefined
    return new StowageError(native as ErrorCode, message, { hint, cause: error }) // every name in OWN is one of our codes
  }
  if (native === 'WIMLIB_ERR_NOT_A_WIM_FILE') return new StowageError('NOT_A_WIM', message, { hint: OTHER, cause: error })
  if (CORRUPT.has(native)) return new StowageError('WIM_CORRUPT', message, { hint: DAMAGED, cause: error })
  if (native.startsWith('WIMLIB_ERR_')) return new StowageError('WIM_ERROR', message, { cause: error })
  // What failed to be written is named by whoever knows what it will be called in the end.
  return 'written' in error ? error : fileError(error, path)
}
