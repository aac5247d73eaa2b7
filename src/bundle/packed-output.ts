/** Where a tar bundle is written: its start is filled in at the end, so a compressed one is a plain file first. */
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { compressed } from '../archive/compression.js'
import { type ReadBack, RegionSum } from '../archive/read-back.js'
import { type Output, StandardOutput } from '../archive/standard-output.js'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import { writeAll } from '../blob/durable.js'
import { PartialFile } from '../blob/partial-file.js'
import { Workspace } from '../blob/workspace.js'
import { outputError } from '../errors.js'
import { type ArchiveCompression, compressionOfName } from '../oci/compression.js'
import { pieces } from '../tar/pieces.js'

/**
 * Opens the output for a tar at `path`: the file itself, or a temporary file that publish() compresses into `path`, or
 * writes to standard output if `path` is `-`. What is compressed is read back with `readBack`, instead of by the check
 * that publish() is given. Throws OUTPUT_EXISTS, FILE_NOT_FOUND, and INVALID_ARGUMENT if standard
 * output is a terminal.
 */
export async function openTarOutput(
  path: string,
  signal: AbortSignal | undefined,
  readBack?: ReadBack,
): Promise<Output> {
  if (path === STANDARD_STREAM) return await StandardOutput.open(signal)
  const compression = compressionOfName(path)
  const target = await PartialFile.open(path, 'a bundle', { resume: compression === undefined })
  if (!compression) return target
  const workspace = new Workspace(path)
  try {
    const partial = join(await workspace.path(), 'bundle.tar')
    return new PackedOutput(partial, await open(partial, 'wx+'), { workspace, target, compression, signal, readBack })
  } catch (error) {
    await workspace[Symbol.asyncDispose]()
    await target[Symbol.asyncDispose]()
    throw outputError(error, path)
  }
}

interface Packing {
  /** Holds the plain tar. */
  readonly workspace: Workspace
  readonly target: PartialFile
  readonly compression: ArchiveCompression
  readonly signal: AbortSignal | undefined
  readonly readBack: ReadBack | undefined
}

class PackedOutput implements Output {
  readonly path: string
  readonly partial: string
  readonly file: FileHandle
  readonly #packing: Packing

  constructor(partial: string, file: FileHandle, packing: Packing) {
    this.path = packing.target.path
    this.partial = partial
    this.file = file
    this.#packing = packing
  }

  async publish(): Promise<void> {
    const { target, compression, signal, readBack } = this.#packing
    const { size } = await this.file.stat()
    const sum = readBack && new RegionSum()
    let position = 0
    for await (const piece of compressed(pieces(this.file, 0, size, signal), compression, { signal })) {
      await writeAll(target.file, piece, position)
      sum?.add(piece)
      position += piece.length
    }
    await target.publish(
      readBack &&
        (async () =>
          await readBack.check([{ path: target.partial, name: target.path, regions: sum?.regions() ?? [] }])),
    )
    await this[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close()
    await this.#packing.workspace[Symbol.asyncDispose]()
    await this.#packing.target[Symbol.asyncDispose]()
  }
}
