/** Writes a tar bundle to where it cannot be filled in at the end: into a compressed file, or to standard output. */
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { refuseTerminal, writeToStandardOutput } from '../archive/archive-stream.js'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import { compressed } from '../archive/compression.js'
import { writeAll } from '../blob/durable.js'
import { PartialFile } from '../blob/partial-file.js'
import { Workspace } from '../blob/workspace.js'
import { outputError } from '../errors.js'
import { compressionOfName } from '../oci/compression.js'
import { pieces } from '../tar/pieces.js'

/** Where the tar medium writes to. */
export interface TarOutput extends AsyncDisposable {
  /** The name of the bundle, for messages. */
  readonly path: string
  /** The file that is written. */
  readonly partial: string
  readonly file: FileHandle
  /** Called when the file is complete: makes the bundle appear at `path`. */
  publish(): Promise<void>
}

/**
 * Opens the output for a tar at `path`: the file itself, or a temporary file that publish() compresses into `path`, or
 * writes to standard output if `path` is `-`. Throws OUTPUT_EXISTS, FILE_NOT_FOUND, and INVALID_ARGUMENT if standard
 * output is a terminal.
 */
export async function openTarOutput(path: string, signal: AbortSignal | undefined): Promise<TarOutput> {
  const compression = compressionOfName(path)
  if (path !== STANDARD_STREAM && !compression) return await PartialFile.open(path, 'a bundle')
  if (path === STANDARD_STREAM) refuseTerminal()
  const target = path === STANDARD_STREAM ? undefined : await PartialFile.open(path, 'a bundle')
  const workspace = new Workspace(target && path)
  try {
    const partial = join(await workspace.path(), 'bundle.tar')
    return new PackedOutput(path, partial, await open(partial, 'wx+'), workspace, target, signal)
  } catch (error) {
    await workspace[Symbol.asyncDispose]()
    await target?.[Symbol.asyncDispose]()
    throw outputError(error, path)
  }
}

class PackedOutput implements TarOutput {
  readonly path: string
  readonly partial: string
  readonly file: FileHandle
  readonly #workspace: Workspace
  /** Undefined for standard output. */
  readonly #target: PartialFile | undefined
  readonly #signal: AbortSignal | undefined

  constructor(
    path: string,
    partial: string,
    file: FileHandle,
    workspace: Workspace,
    target: PartialFile | undefined,
    signal: AbortSignal | undefined,
  ) {
    this.path = path
    this.partial = partial
    this.file = file
    this.#workspace = workspace
    this.#target = target
    this.#signal = signal
  }

  async publish(): Promise<void> {
    const { size } = await this.file.stat()
    const tar = pieces(this.file, 0, size, this.#signal)
    const compression = compressionOfName(this.path)
    const bytes = compression ? compressed(tar, compression, { signal: this.#signal }) : tar
    if (this.#target) {
      let position = 0
      for await (const piece of bytes) {
        await writeAll(this.#target.file, piece, position)
        position += piece.length
      }
      await this.#target.publish()
    } else {
      await writeToStandardOutput(bytes, this.#signal)
    }
    await this[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close()
    await this.#workspace[Symbol.asyncDispose]()
    await this.#target?.[Symbol.asyncDispose]()
  }
}
