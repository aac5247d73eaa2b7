/** The error class of Stowage: a code that is part of the API, a message with the facts, and a hint. */
import { existsSync, statSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname } from 'node:path'
import { getSystemErrorMap } from 'node:util'
import { isUnmounted } from './mounts.js'

/**
 * What went wrong, for programs to test. Codes are part of the API: they are added, never renamed.
 * The command's exit code follows from the code (`src/cli/exit-code.ts`).
 */
export type ErrorCode =
  // arguments, output and system
  | 'INVALID_ARGUMENT'
  | 'INVALID_REFERENCE'
  | 'IMAGES_FILE_INVALID'
  | 'LOCK_MISMATCH'
  | 'OUTPUT_EXISTS'
  | 'UNSUPPORTED'
  | 'PERMISSION_DENIED'
  | 'IO_ERROR'
  | 'MEDIUM_FAILED'
  | 'NO_SPACE'
  | 'ABORTED'
  | 'BUSY'
  | 'IMAGE_IN_USE'
  // something named does not exist
  | 'FILE_NOT_FOUND'
  | 'IMAGE_NOT_FOUND'
  | 'CONTAINER_NOT_FOUND'
  | 'BASE_MISSING'
  // content is not what it should be
  | 'DIGEST_MISMATCH'
  | 'SIZE_MISMATCH'
  | 'DIFF_ID_MISMATCH'
  | 'BLOB_MISSING'
  | 'INVALID_MANIFEST'
  | 'NOT_A_LAYOUT'
  | 'NOT_A_BUNDLE'
  | 'BUNDLE_INVALID'
  | 'INVALID_TAR'
  | 'VOLUME_MISSING'
  | 'VOLUME_WRONG'
  // WIM archives
  | 'NOT_A_WIM'
  | 'WIM_CORRUPT'
  | 'WIM_PART_MISSING'
  | 'WIM_ERROR'
  | 'ADDON_MISSING'
  | 'LIBWIM_MISSING'
  // layers
  | 'LAYER_UNSUPPORTED'
  | 'LAYER_CORRUPT'
  // registries
  | 'UNAUTHORIZED'
  | 'REGISTRY_UNREACHABLE'
  | 'REGISTRY_REFUSED'
  | 'REGISTRY_PROTOCOL'
  // engines
  | 'ENGINE_UNREACHABLE'
  | 'ENGINE_REFUSED'
  | 'ENGINE_PROTOCOL'
  | 'PLATFORM_MISMATCH'
  | 'LOAD_NOT_PROVED'
  // signatures
  | 'SIGNATURE_MISSING'
  | 'SIGNATURE_INVALID'
  | 'KEY_INVALID'
  | 'ROLLBACK'
  | 'LOG_INVALID'

/** Options of a {@link StowageError}. */
export interface StowageErrorOptions {
  /** What the user can do next, in one sentence. */
  readonly hint?: string | undefined
  /** The error that caused this one. */
  readonly cause?: unknown
}

/**
 * Every error Stowage throws on purpose. `message` says what was expected and what was found;
 * `hint`, if present, says what to do next. No message ever contains a credential.
 */
export class StowageError extends Error {
  readonly code: ErrorCode
  readonly hint: string | undefined

  constructor(code: ErrorCode, message: string, options: StowageErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'StowageError'
    this.code = code
    this.hint = options.hint
  }

  /** A copy with another hint and, if given, another message; this error is its cause. */
  withHint(hint: string | undefined, message: string = this.message): StowageError {
    return new StowageError(this.code, message, { hint, cause: this })
  }
}

/**
 * The `code` of a Node.js system error (`ENOENT`, `ENOSPC` …), or undefined for anything else. What is missing because
 * its medium was unmounted meanwhile is ENODEV; `path` says where it is, if the error does not. libuv has no name for
 * some that a network share reports, such as ESTALE.
 */
export function systemCode(error: unknown, path?: string): string | undefined {
  if (error instanceof StowageError || !(error instanceof Error) || !('code' in error)) return undefined
  if (typeof error.code !== 'string') return undefined
  const where = 'path' in error && typeof error.path === 'string' ? error.path : path
  if ((error.code === 'ENOENT' || error.code === 'ENOTDIR') && where !== undefined && isUnmounted(where))
    return 'ENODEV'
  if (!error.code.startsWith('Unknown system error')) return error.code
  const number = 'errno' in error && typeof error.errno === 'number' ? -error.errno : undefined
  return Object.entries(constants.errno).find(([, value]) => value === number)?.[0] ?? error.code
}

/** What the system says went wrong, in its own words without codes and calls: "permission denied". */
export function systemReason(error: unknown, path?: string): string {
  const code = systemCode(error, path)
  const known = [...getSystemErrorMap().values()].find(([name]) => name === code)?.[1]
  if (known !== undefined) return known
  if (code === 'ESTALE') return 'stale file handle'
  return (error instanceof Error ? error.message : String(error)) || (code ?? '')
}

/**
 * Turns a file system error for `path` into a {@link StowageError}; returns any other error unchanged, so
 * `throw fileError(error, path)` is correct in any catch.
 */
export function fileError(error: unknown, path: string): unknown {
  const reason = `${path}: ${systemReason(error, path)}`
  switch (systemCode(error, path)) {
    case 'ENOENT':
      return new StowageError('FILE_NOT_FOUND', `${path} does not exist`, { cause: error })
    case 'ENOSPC':
    case 'EDQUOT':
      return new StowageError('NO_SPACE', `no space left on the file system of ${path}`, {
        hint: 'Free some space, or write to another file system, and run the command again.',
        cause: error,
      })
    case 'EFBIG':
      return new StowageError('NO_SPACE', `the file system of ${path} cannot hold a file of this size`, {
        hint: 'A file on FAT32 must be smaller than 4 GiB: format the medium as exFAT, or write a directory bundle.',
        cause: error,
      })
    case 'EACCES':
    case 'EPERM':
      return new StowageError('PERMISSION_DENIED', reason, {
        hint: `Run the command as a user who has access, or change the permissions of the file or its directory${process.platform === 'win32' ? '; or close the program that has it open' : ''}.`,
        cause: error,
      })
    case 'EROFS':
      return new StowageError('PERMISSION_DENIED', reason, {
        hint: 'Mount the file system writable (a stick may have a switch that protects it), or name another output.',
        cause: error,
      })
    case 'EEXIST':
      return new StowageError('OUTPUT_EXISTS', `${path} exists already`, { cause: error })
    case 'EISDIR':
    case 'ENOTDIR':
    case 'ELOOP':
    case 'ENAMETOOLONG':
      return new StowageError('INVALID_ARGUMENT', reason, { cause: error })
    case 'EMFILE':
    case 'ENFILE':
    case 'ENOMEM':
      return new StowageError('IO_ERROR', `${path}: the system is out of resources: ${systemReason(error)}`, {
        hint: 'Close other programs, or raise the limits on open files and memory, and run the command again.',
        cause: error,
      })
    case 'EOTHER':
      return new StowageError('IO_ERROR', reason, { cause: error })
    case 'ENXIO':
    case 'ENODEV':
    case 'ENOTCONN':
    case 'ESTALE':
    case 'EHOSTDOWN':
      if (isSpecial(path)) return new StowageError('INVALID_ARGUMENT', reason, { cause: error })
      return new StowageError('MEDIUM_FAILED', `the medium of ${path} is gone: ${systemReason(error, path)}`, {
        hint: 'Plug the medium in again, or mount the share again, and run the same command.',
        cause: error,
      })
    case 'EIO':
      return new StowageError('MEDIUM_FAILED', `the medium of ${path} failed: ${systemReason(error)}`, {
        hint: 'The disk or stick has a defect: copy what can still be read from it, and use another.',
        cause: error,
      })
    default:
      // Any other failed system call is a fault of the system, not of Stowage.
      return error instanceof Error && 'syscall' in error
        ? new StowageError('IO_ERROR', reason, { cause: error })
        : error
  }
}

/** Whether `path` is what cannot be opened on any medium: a socket, a pipe that nobody reads, a device without a driver. */
function isSpecial(path: string): boolean {
  try {
    const found = statSync(path, { throwIfNoEntry: false })
    return found !== undefined && !found.isFile() && !found.isDirectory()
  } catch {
    return false // as its medium is gone
  }
}

/** The error of a system call about a file that it names, as {@link fileError}; any other error unchanged. */
export function callError(error: unknown): unknown {
  if (!(error instanceof Error && 'syscall' in error && 'path' in error)) return error
  return typeof error.path === 'string' ? fileError(error, error.path) : error
}

/** Like {@link fileError}, for a file to be created: if its directory does not exist, the message says so. */
export function outputError(error: unknown, path: string): unknown {
  if (systemCode(error, path) !== 'ENOENT' || existsSync(dirname(path))) return fileError(error, path)
  return new StowageError('FILE_NOT_FOUND', `${dirname(path)} does not exist, so ${path} cannot be created in it`, {
    hint: 'Create the directory first, or mount the medium that should be there.',
    cause: error,
  })
}

/** Turns the rejection of an aborted `signal` into ABORTED; returns any other error unchanged. */
export function abortError(error: unknown, signal: AbortSignal | undefined): unknown {
  if (!signal?.aborted || error instanceof StowageError) return error
  return new StowageError('ABORTED', 'interrupted before the end', { cause: error })
}

/** What interrupts a run from outside. */
const INTERRUPTIONS: readonly ErrorCode[] = [
  'ABORTED',
  'REGISTRY_UNREACHABLE',
  'REGISTRY_REFUSED',
  'UNAUTHORIZED',
  'ENGINE_UNREACHABLE',
  'NO_SPACE',
  'MEDIUM_FAILED',
]

/**
 * Whether `error` means that the user, the network, a registry or a medium interrupted the work: the same call can go
 * on with what was copied before it.
 */
export function isInterruption(error: unknown): error is StowageError {
  return error instanceof StowageError && INTERRUPTIONS.includes(error.code)
}

/**
 * The result of `work`, or the StowageError it threw, so that the caller can go on. Throws ABORTED and all other
 * errors.
 */
export async function orError<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T | StowageError> {
  try {
    return await work()
  } catch (error) {
    const told = abortError(error, signal)
    if (told instanceof StowageError && told.code !== 'ABORTED') return told
    throw told
  }
}
