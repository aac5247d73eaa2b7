/** The error codes of libwim. Source: `enum wimlib_error_code` of wimlib.h. */

const CODES = [
  'ALREADY_LOCKED',
  'DECOMPRESSION',
  'FUSE',
  'GLOB_HAD_NO_MATCHES',
  'IMAGE_COUNT',
  'IMAGE_NAME_COLLISION',
  'INSUFFICIENT_PRIVILEGES',
  'INTEGRITY',
  'INVALID_CAPTURE_CONFIG',
  'INVALID_CHUNK_SIZE',
  'INVALID_COMPRESSION_TYPE',
  'INVALID_HEADER',
  'INVALID_IMAGE',
  'INVALID_INTEGRITY_TABLE',
  'INVALID_LOOKUP_TABLE_ENTRY',
  'INVALID_METADATA_RESOURCE',
  'INVALID_OVERLAY',
  'INVALID_PARAM',
  'INVALID_PART_NUMBER',
  'INVALID_PIPABLE_WIM',
  'INVALID_REPARSE_DATA',
  'INVALID_RESOURCE_HASH',
  'INVALID_UTF16_STRING',
  'INVALID_UTF8_STRING',
  'IS_DIRECTORY',
  'IS_SPLIT_WIM',
  'LINK',
  'METADATA_NOT_FOUND',
  'MKDIR',
  'MQUEUE',
  'NOMEM',
  'NOTDIR',
  'NOTEMPTY',
  'NOT_A_REGULAR_FILE',
  'NOT_A_WIM_FILE',
  'NOT_PIPABLE',
  'NO_FILENAME',
  'NTFS_3G',
  'OPEN',
  'OPENDIR',
  'PATH_DOES_NOT_EXIST',
  'READ',
  'READLINK',
  'RENAME',
  'REPARSE_POINT_FIXUP_FAILED',
  'RESOURCE_NOT_FOUND',
  'RESOURCE_ORDER',
  'SET_ATTRIBUTES',
  'SET_REPARSE_DATA',
  'SET_SECURITY',
  'SET_SHORT_NAME',
  'SET_TIMESTAMPS',
  'SPLIT_INVALID',
  'STAT',
  'UNEXPECTED_END_OF_FILE',
  'UNICODE_STRING_NOT_REPRESENTABLE',
  'UNKNOWN_VERSION',
  'UNSUPPORTED',
  'UNSUPPORTED_FILE',
  'WIM_IS_READONLY',
  'WRITE',
  'XML',
  'WIM_IS_ENCRYPTED',
  'WIMBOOT',
  'ABORTED_BY_PROGRESS',
  'UNKNOWN_PROGRESS_STATUS',
  'MKNOD',
  'MOUNTED_IMAGE_IS_BUSY',
  'NOT_A_MOUNTPOINT',
  'NOT_PERMITTED_TO_UNMOUNT',
  'FVE_LOCKED_VOLUME',
  'UNABLE_TO_READ_CAPTURE_CONFIG',
  'WIM_IS_INCOMPLETE',
  'COMPACTION_NOT_POSSIBLE',
  'IMAGE_HAS_MULTIPLE_REFERENCES',
  'DUPLICATE_EXPORTED_IMAGE',
  'CONCURRENT_MODIFICATION_DETECTED',
  'SNAPSHOT_FAILURE',
  'INVALID_XATTR',
  'SET_XATTR',
] as const

export type WimlibErrorCode = `WIMLIB_ERR_${(typeof CODES)[number]}` | 'WIMLIB_ERR_UNKNOWN'

const KNOWN: ReadonlySet<string> = new Set([...CODES.map(code => `WIMLIB_ERR_${code}`), 'WIMLIB_ERR_UNKNOWN'])

export function isWimlibErrorCode(code: string): code is WimlibErrorCode {
  return KNOWN.has(code)
}

/**
 * An error of libwim, which is the `cause` of the {@link StowageError} that Stowage throws. `message` consists of the
 * operation and libwim's text for the code. `details` is everything that libwim printed about it, lines joined with `;
 * `, or empty.
 */
export class WimlibError extends Error {
  readonly code: WimlibErrorCode
  readonly details: string

  constructor(code: WimlibErrorCode, message: string, details: string) {
    super(message)
    this.name = 'WimlibError'
    this.code = code
    this.details = details
  }
}
