/** The native addon for WIM files and layers, and the conversion of its errors. */
import { type ErrorCode, fileError, StowageError } from '../errors.js'
import { nativeAddon } from '../native.js'
import type { Binding } from './addon.js'
import { isWimlibErrorCode, WimlibError } from './error.js'
import { initFlags } from './flags.js'
import { installLibwim } from './install-libwim.js'
import type { WimlibSettings } from './options.js'

/** The addon, which loads libwim when it is first needed. Throws ADDON_MISSING. */
export function binding(): Binding {
  return nativeAddon() as Binding // Binding declares its exports
}

/**
 * Sets how libwim behaves in this process. Throws INVALID_ARGUMENT to change settings after the first WIM was opened.
 */
export function setUpWimlib(settings: WimlibSettings): void {
  try {
    binding().setUp(initFlags(settings))
  } catch (error) {
    throw nativeError(error, 'libwim')
  }
}

/** Version of the libwim that was found, such as `1.13.6`. Throws LIBWIM_MISSING and ADDON_MISSING. */
export function wimlibVersion(): string {
  try {
    return binding().libraryVersion()
  } catch (error) {
    throw nativeError(error, 'libwim')
  }
}

/** Codes of libwim which mean that the content of the archive is not valid. */
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

/** Codes of the addon itself. */
const ADDON_CODES = new Set<string>([
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

const NOT_A_WIM = 'Name a .wim, .esd or .swm file. If this should be one, it is damaged: copy it again.'
const UNMAKEABLE = 'No directory can be made there: name another one.'
const DAMAGED = 'The file is damaged or truncated: compare its checksum with that of the original, and copy it again.'

/** Error codes and hints for codes of the addon and of libwim. */
const MEANINGS: Readonly<Record<string, { readonly code: ErrorCode; readonly hint?: string }>> = {
  NOT_A_LAYER: {
    code: 'LAYER_CORRUPT',
    hint: 'Name a layer: a tar, uncompressed or compressed with gzip or zstd.',
  },
  NOT_A_WIM: { code: 'NOT_A_WIM', hint: NOT_A_WIM },
  WIM_CORRUPT: { code: 'WIM_CORRUPT', hint: DAMAGED },
  LAYER_CORRUPT: { code: 'LAYER_CORRUPT', hint: DAMAGED },
  WIMLIB_ERR_NOT_A_WIM_FILE: { code: 'NOT_A_WIM', hint: NOT_A_WIM },
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
  WIMLIB_ERR_ALREADY_LOCKED: { code: 'BUSY', hint: 'Another program is changing this WIM: wait until it is done.' },
  WIMLIB_ERR_MOUNTED_IMAGE_IS_BUSY: {
    code: 'BUSY',
    hint: 'Close all files that are open in the mounted image, or use --force.',
  },
  WIMLIB_ERR_IMAGE_HAS_MULTIPLE_REFERENCES: {
    code: 'BUSY',
    hint: 'First close the WIM that the image was exported to or from.',
  },
  WIMLIB_ERR_RESOURCE_NOT_FOUND: {
    code: 'BLOB_MISSING',
    hint: 'This is a delta WIM, or a part is missing: name the other WIM files with --ref. To extract the rest, use --skip-missing.',
  },
  WIMLIB_ERR_NOMEM: { code: 'IO_ERROR', hint: 'Not enough memory: use fewer threads or smaller chunks.' },
}

/** Codes of libwim that may be caused by a system error. */
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
 * Converts an error of the addon to a StowageError with libwim's message and code, and the native error as its cause.
 * `path` is the WIM that was read. Errors from writing, and all others, are returned unchanged.
 */
export function nativeError(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || error instanceof StowageError || !('code' in error)) return error
  const native = String(error.code)
  const text = 'details' in error && typeof error.details === 'string' ? faultIn(error.details) : ''
  const details = text ? ` (${text})` : ''
  if (native === 'WIM_CLOSED') return new StowageError('INVALID_ARGUMENT', error.message, { cause: error })
  if (native === 'LIBWIM_MISSING')
    return new StowageError('LIBWIM_MISSING', error.message, { hint: libwimHint(error.message), cause: error })
  const meaning = MEANINGS[native]
  if (ADDON_CODES.has(native)) {
    // Every one of these codes that is not in MEANINGS is an ErrorCode
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
  // Errors from writing are named by the caller, which knows the final name of the file
  return 'written' in error ? error : fileError(error, path)
}

/** What libwim printed, without the warnings of what an extraction leaves out, which come before what stopped it. */
function faultIn(details: string): string {
  const parts = details.split('; ')
  const faults = parts.filter(part => !part.startsWith('Ignoring '))
  return (faults.length > 0 ? faults : parts).join('; ')
}

/** What to do about a libwim that is missing, or of which the addon says why it cannot be used. */
function libwimHint(message: string): string {
  const needs = /^LZX needs libwim, but (.*)/s.exec(message)
  if (needs) return `${libwimHint(needs[1] ?? '')} XPRESS needs none: --compress xpress.`
  if (message.includes('STOWAGE_LIBWIM')) return 'Unset it, or set it to the path of libwim itself.'
  // The loader's words: it has no error codes
  if (/version `.*' not found|ELF|too short|cannot open shared object/.test(message))
    return `It was made for another system, or what it needs is missing. ${installLibwim()}`
  return installLibwim()
}

/**
 * libwim's error with its own message, which names the file, and with the code and hint for the errno that caused it.
 */
function systemError(code: string, message: string, path: string, cause: WimlibError): StowageError | undefined {
  const known = fileError(Object.assign(new Error(message), { code, syscall: 'libwim' }), path)
  return known instanceof StowageError
    ? new StowageError(known.code, message, {
        hint: known.hint ?? (cause.code === 'WIMLIB_ERR_MKDIR' ? UNMAKEABLE : undefined),
        cause,
      })
    : undefined
}
