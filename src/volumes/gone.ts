/** Media that are full, or are unplugged while they are written or read. */
import { type FileHandle, open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileError, StowageError, systemCode } from '../errors.js'

/** Why another medium, or the same one again, is needed. */
export interface MediumRequest {
  /** `full`: the next volume does not fit. `gone`: the directory cannot be written any more. */
  readonly reason: 'full' | 'gone'
  readonly directory: string
  /** The file name of the tar. */
  readonly tar: string
  /** The volume to write next, its size, and how many there are. */
  readonly number: number
  readonly size: number
  readonly count: number
  /** The volumes that are complete in `directory`. */
  readonly written: readonly number[]
}

/**
 * Asks for another medium, or for the same one again. Resolves when it is there: with its directory, if that is another
 * one. Throws to give up.
 */
export type AskForMedium = (request: MediumRequest) => Promise<string | undefined>

/** Whether the error is one of a medium that was unplugged. */
export function isGone(error: unknown): boolean {
  const code = systemCode(error)
  return (
    code !== undefined &&
    ['ENOENT', 'ENOTDIR', 'ENODEV', 'ENXIO', 'EIO', 'ESTALE', 'ENOTCONN', 'EHOSTDOWN'].includes(code)
  )
}

/** The medium cannot be used any more; `reported` is the error to throw if it is not asked for. */
export class Gone extends Error {
  readonly reported: unknown

  constructor(reported: unknown) {
    super('the medium is gone')
    this.reported = reported
  }

  /** If the directory is not that of the medium any more. */
  static from(directory: string): Gone {
    return new Gone(
      new StowageError('MEDIUM_FAILED', `${directory} is gone: its medium was removed`, {
        hint: 'Plug the medium in again, and run the same command: it goes on from what is there.',
      }),
    )
  }
}

/** Runs `work` on the file `path`. Throws {@link Gone} if its medium is gone, and {@link fileError}s. */
export async function onMedium<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw mediumError(error, path)
  }
}

/** The file, to read; undefined if it is not there. Throws as {@link onMedium}. */
export async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw mediumError(error, path)
  }
}

/** What {@link onMedium} throws for `error`. */
export function mediumError(error: unknown, path: string): unknown {
  const cause = error instanceof StowageError && error.cause !== undefined ? error.cause : error
  const reported = fileError(error, path)
  return isGone(cause) ? new Gone(reported) : reported
}

/** The device of the nearest directory above that is on another one. */
export async function deviceBelow(directory: string, device: number): Promise<number> {
  const above = dirname(directory)
  const { dev } = await stat(above)
  return dev !== device || above === directory ? dev : await deviceBelow(above, device)
}
