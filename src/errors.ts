/** The one error class of Stowage: a code that is API, a message with the facts, a hint to act on. */
import { dirname } from 'node:path'

/**
 * What went wrong, as a program can test it. Codes are API: they are added, never renamed.
 * The command's exit code follows from the code (`src/cli/exit-code.ts`).
 */
export type ErrorCode =
  // the call itself
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
  // something named is not there
  | 'FILE_NOT_FOUND'
  | 'IMAGE_NOT_FOUND'
  | 'CONTAINER_NOT_FOUND'
  // content is not what it should be
  | 'DIGEST_MISMATCH'
  | 'SIZE_MISMATCH'
  | 'BLOB_MISSING'
  | 'INVALID_MANIFEST'
  | 'NOT_A_LAYOUT'
  | 'NOT_A_BUNDLE'
  | 'BUNDLE_INVALID'
  | 'INVALID_TAR'
  // WIM archives
  | 'NOT_A_WIM'
  | 'WIM_CORRUPT'
  | 'WIM_PART_MISSING'
  | 'WIM_ERROR'
  | 'ADDON_MISSING'
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

/** Settings of a {@link StowageError} beside its code and message. */
export interface StowageErrorOptions {
  /** What the reader can do next, one sentence. */
  readonly hint?: string | undefined
  /** The error this one explains. */
  readonly cause?: unknown
}

/**
 * Every error Stowage throws on purpose. `message` says what was expected and what was found;
 * `hint`, when there is one, says what to do next. No message ever holds a credential.
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

  /** The same error with another hint, and with another message if one is given; this one is its cause. */
  withHint(hint: string | undefined, message: string = this.message): StowageError {
    return new StowageError(this.code, message, { hint, cause: this })
  }
}

/** The `code` of a Node.js system error (`ENOENT`, `ENOSPC` …), or undefined for anything else. */
export function systemCode(error: unknown): string | undefined {
  if (error instanceof StowageError || !(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/**
 * Gives a file system error of `path` its code and message; an error that is none comes back as it was,
 * so `throw fileError(error, path)` is right in any catch.
 */
export function fileError(error: unknown, path: string): unknown {
  const message = error instanceof Error ? error.message : ''
  switch (systemCode(error)) {
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
    case 'EROFS':
      return new StowageError('PERMISSION_DENIED', `${path}: ${message}`, { cause: error })
    case 'EEXIST':
      return new StowageError('OUTPUT_EXISTS', `${path} exists already`, { cause: error })
    case 'EISDIR':
    case 'ENOTDIR':
    case 'ELOOP':
    case 'ENAMETOOLONG':
      return new StowageError('INVALID_ARGUMENT', `${path}: ${message}`, { cause: error })
    case 'EMFILE':
    case 'ENFILE':
    case 'ENOMEM':
      return new StowageError('IO_ERROR', `${path}: the system is out of resources: ${message}`, {
        hint: 'Close other programs, or raise the limits (ulimit -n, memory), and run the command again.',
        cause: error,
      })
    case 'ENXIO':
    case 'EOTHER':
      return new StowageError('IO_ERROR', `${path}: ${message}`, { cause: error })
    case 'EIO':
      return new StowageError('MEDIUM_FAILED', `the medium of ${path} failed: ${message}`, {
        hint: 'The disk or stick has a defect: copy what can still be read from it, and use another.',
        cause: error,
      })
    default:
      // Any other failed system call is the system's fault, not ours.
      return error instanceof Error && 'syscall' in error
        ? new StowageError('IO_ERROR', `${path}: ${message}`, { cause: error })
        : error
  }
}

/** {@link fileError} for a file that is to be made: where it is its directory that is not there, that is what it says. */
export function outputError(error: unknown, path: string): unknown {
  if (systemCode(error) !== 'ENOENT') return fileError(error, path)
  return new StowageError('FILE_NOT_FOUND', `${dirname(path)} does not exist, so ${path} cannot be created in it`, {
    hint: 'Create the directory first, or mount the medium that should be there.',
    cause: error,
  })
}

/** Turns the rejection of an aborted `signal` into ABORTED; any other error comes back as it was. */
export function abortError(error: unknown, signal: AbortSignal | undefined): unknown {
  if (!signal?.aborted || (error instanceof StowageError && error.code !== 'ABORTED')) return error
  return new StowageError('ABORTED', 'interrupted before the end', { cause: error })
}

/** Whether `error` is that a person, the network or a registry's door ended what was under way: what came before it is good. */
export function isInterruption(error: unknown): error is StowageError {
  return (
    error instanceof StowageError &&
    ['ABORTED', 'REGISTRY_UNREACHABLE', 'REGISTRY_REFUSED', 'UNAUTHORIZED'].includes(error.code)
  )
}

/** What `work` gives, or the error it threw, so that others can be tried after it. What is none of ours, and ABORTED, is thrown. */
export async function orError<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T | StowageError> {
  try {
    return await work()
  } catch (error) {
    const told = abortError(error, signal)
    if (told instanceof StowageError && told.code !== 'ABORTED') return told
    throw told
  }
}
