/** The native addon for work on WIM files and layers, and the names of its errors. */
import { type ErrorCode, fileError, StowageError } from '../errors.js'
import { nativeAddon } from '../native.js'
import type { Binding } from './addon.js'
import { isWimlibErrorCode, WimlibError } from './error.js'
import { initFlags } from './flags.js'
import type { WimlibSettings } from './options.js'

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
  'NOT_A_LAYER',
  'LAYER_CORRUPT',
  'UNSUPPORTED',
  'ABORTED',
  'INVALID_ARGUMENT',
  'WIM_ERROR',
])

const OTHER = 'Name a .wim, .esd or .swm file. If this should be one, it is damaged: copy it again.'
const DAMAGED = 'The file is damaged or truncated: compare its checksum with that of the original, and copy it again.'

/** What the addon's codes mean here, and what to do about it. */
const MEANINGS: Readonly<Record<string, { readonly code: ErrorCode; readonly hint?: string }>> = {
  NOT_A_LAYER: {
    code: 'LAYER_CORRUPT',
    hint: 'Name a layer: a tar, uncompressed or compressed with gzip or zstd.',
  },
  NOT_A_WIM: { code: 'NOT_A_WIM', hint: OTHER },
  WIM_CORRUPT: { code: 'WIM_CORRUPT', hint: DAMAGED },
  LAYER_CORRUPT: { code: 'LAYER_CORRUPT', hint: DAMAGED },
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
  const meaning = MEANINGS[native]
  if (OWN.has(native)) {
    // Every name in OWN without a meaning is one of our codes
    const code = meaning?.code ?? (native as ErrorCode)
    return new StowageError(code, error.message + details, { hint: meaning?.hint, cause: error })
  }
  if (native.startsWith('WIMLIB_ERR_')) {
    const cause = new WimlibError(isWimlibErrorCode(native) ? native : 'WIMLIB_ERR_UNKNOWN', error.message, text)
    const message = `${error.message}${details} [${native}]`
    const system =
      'systemCode' in error && SYSTEM.has(native)
        ? systemError(String(error.systemCode), message, path, cause)
        : undefined
    if (system) return system
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
