/** An archive for standard output that is not written front to back: a temporary file, which goes there when complete. */
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { readFileBytes } from '../blob/hash-file.js'
import { Workspace } from '../blob/workspace.js'
import { outputError } from '../errors.js'
import type { WaitOptions } from '../progress.js'
import { counted, refuseTerminal, writeToStandardOutput } from './archive-stream.js'

const TITLE = 'standard output'

/** A file that becomes an output when it is published. Disposing of it before that leaves nothing, unless it is to be kept. */
export interface Output extends AsyncDisposable {
  /** The final path, or what messages call it. */
  readonly path: string
  /** The path of the temporary file, which `file` is. */
  readonly partial: string
  readonly file: FileHandle
  /** Whether the file has what an earlier run has left. */
  readonly resumed?: boolean
  /** So many more bytes are in `file`: the medium can take them already. Throws if it did not take those before. */
  written?(size: number): void
  /** Whether disposing of it leaves `partial`, which the next run resumes. */
  keep?(left: boolean): void
  /** Call it when the file is complete. `check` looks at `partial` once more, and throws to prevent that. */
  publish(check?: () => Promise<void>): Promise<void>
}

export class StandardOutput implements Output {
  readonly path = TITLE
  readonly partial: string
  readonly file: FileHandle
  readonly #workspace: Workspace
  readonly #options: WaitOptions

  /** Throws INVALID_ARGUMENT if standard output is a terminal, and what creating a temporary file throws. */
  static async open(options: WaitOptions = {}): Promise<StandardOutput> {
    refuseTerminal()
    const workspace = new Workspace()
    try {
      const partial = join(await workspace.path(), 'output')
      return new StandardOutput(partial, await open(partial, 'wx+'), workspace, options)
    } catch (error) {
      await workspace[Symbol.asyncDispose]()
      throw outputError(error, TITLE)
    }
  }

  private constructor(partial: string, file: FileHandle, workspace: Workspace, options: WaitOptions) {
    this.partial = partial
    this.file = file
    this.#workspace = workspace
    this.#options = options
  }

  async publish(): Promise<void> {
    const { signal, onProgress } = this.#options
    const { size } = await this.file.stat()
    onProgress?.({ type: 'stage', stage: 'write', subject: TITLE })
    await writeToStandardOutput(counted(readFileBytes(this.partial, { signal }), TITLE, size, onProgress), signal)
    onProgress?.({ type: 'done', subject: TITLE })
    await this[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close()
    await this.#workspace[Symbol.asyncDispose]()
  }
}
