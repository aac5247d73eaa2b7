/** The exit code for each error code, as listed in `stowage --help` and docs/json-output.md. */
import type { ErrorCode } from '../errors.js'

export const EXIT_FAILED = 1
export const EXIT_INTEGRITY = 4
export const EXIT_SIGNATURE = 9
export const EXIT_MEDIUM = 11

/** What each number means, as the help, docs/commands.md and docs/json-output.md say it. */
export const EXIT_MEANINGS: Readonly<Record<string, string>> = {
  '0': 'success',
  '1': 'failure',
  '2': 'usage error',
  '3': 'not found',
  '4': 'integrity check failed',
  '5': 'authentication failed',
  '6': 'unreachable',
  '7': 'no space',
  '8': 'engine refused the image or the load could not be verified',
  '9': 'signature, key or serial number refused',
  '10': 'registry refused the request',
  '11': 'medium failed',
  '129, 130 and 143': 'interrupted',
}

const EXIT_CODES: Readonly<Record<ErrorCode, number>> = {
  OUTPUT_EXISTS: EXIT_FAILED,
  UNSUPPORTED: EXIT_FAILED,
  PERMISSION_DENIED: EXIT_FAILED,
  IO_ERROR: EXIT_FAILED,
  BUSY: EXIT_FAILED,
  IMAGE_IN_USE: EXIT_FAILED,
  ADDON_MISSING: EXIT_FAILED,
  LIBWIM_MISSING: EXIT_FAILED,
  WIM_ERROR: EXIT_FAILED,
  LAYER_UNSUPPORTED: EXIT_FAILED,
  LOCK_MISMATCH: EXIT_FAILED,
  INVALID_ARGUMENT: 2,
  INVALID_REFERENCE: 2,
  IMAGES_FILE_INVALID: 2,
  FILE_NOT_FOUND: 3,
  IMAGE_NOT_FOUND: 3,
  CONTAINER_NOT_FOUND: 3,
  BASE_MISSING: 3,
  WIM_PART_MISSING: 3,
  DIGEST_MISMATCH: EXIT_INTEGRITY,
  SIZE_MISMATCH: EXIT_INTEGRITY,
  DIFF_ID_MISMATCH: EXIT_INTEGRITY,
  BLOB_MISSING: EXIT_INTEGRITY,
  INVALID_MANIFEST: EXIT_INTEGRITY,
  NOT_A_LAYOUT: EXIT_INTEGRITY,
  NOT_A_BUNDLE: EXIT_INTEGRITY,
  BUNDLE_INVALID: EXIT_INTEGRITY,
  INVALID_TAR: EXIT_INTEGRITY,
  VOLUME_MISSING: EXIT_INTEGRITY,
  VOLUME_WRONG: EXIT_INTEGRITY,
  NOT_A_WIM: EXIT_INTEGRITY,
  WIM_CORRUPT: EXIT_INTEGRITY,
  LAYER_CORRUPT: EXIT_INTEGRITY,
  LOG_INVALID: EXIT_INTEGRITY,
  UNAUTHORIZED: 5,
  REGISTRY_UNREACHABLE: 6,
  REGISTRY_PROTOCOL: 6,
  ENGINE_UNREACHABLE: 6,
  NO_SPACE: 7,
  ENGINE_REFUSED: 8,
  ENGINE_PROTOCOL: 8,
  PLATFORM_MISMATCH: 8,
  LOAD_NOT_PROVED: 8,
  SIGNATURE_MISSING: EXIT_SIGNATURE,
  SIGNATURE_INVALID: EXIT_SIGNATURE,
  KEY_INVALID: EXIT_SIGNATURE,
  ROLLBACK: EXIT_SIGNATURE,
  REGISTRY_REFUSED: 10,
  MEDIUM_FAILED: EXIT_MEDIUM,
  ABORTED: 130,
}

/** ABORTED gives 130 (SIGINT); main() replaces it with 143 or 129 if SIGTERM or SIGHUP ended the command. */
export function exitCodeOf(code: ErrorCode): number {
  return EXIT_CODES[code]
}
