/** An archive for standard output that is not written front to back: a temporary file, which goes there when complete. */
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Bytes } from '../blob/blob-store.js'
import { readFileBytes } from '../blob/hash-file.js'
import { Workspace } from '../blob/workspace.js'
import { outputError } from '../errors.js'
import { refuseTerminal, writeToStandardOutput } from './archive-stream.js'

/** A file that becomes an output when it is published, and leaves nothing when it is disposed of before. */
export interface Output extends AsyncDisposable {
  /** The final path, or that of the temporary file for standard output. */
  readonly path: string
  readonly file: FileHandle
  publish(): Promise<void>
}

export class StandardOutput implements Output {
  readonly path: string
  readonly file: FileHandle
  readonly #workspace: Workspace
  readonly #signal: AbortSignal | undefined

  /** Throws INVALID_ARGUMENT if standard output is a terminal, and what creating a temporary file throws. */
  static async open(signal?: AbortSignal): Promise<StandardOutput> {
    refuseTerminal()
    const workspace = new Workspace()
    try {
      const path = join(await workspace.path(), 'output')
      return new StandardOutput(path, await open(path, 'wx+'), workspace, signal)
    } catch (error) {
      await workspace[Symbol.asyncDispose]()
      throw outputError(error, 'standard output')
    }
  }

  private constructor(path: string, file: FileHandle, workspace: Workspace, signal: AbortSignal | undefined) {
    this.path = path
    this.file = file
    this.#workspace = workspace
    this.#signal = signal
  }

  async publish(): Promise<void> {
    const bytes: Bytes = readFileBytes(this.path, { signal: this.#signal })
    await writeToStandardOutput(bytes, this.#signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close()
    await this.#workspace[Symbol.asyncDispose]()
  }
}
