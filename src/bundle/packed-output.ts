/** Where a tar bundle is written: its start is filled in at the end, so a compressed one is a plain file first. */
import type { FileHandle } from 'node:fs/promises'
import { counted } from '../archive/archive-stream.js'
import { compressed } from '../archive/compression.js'
import { type ReadBack, RegionSum } from '../archive/read-back.js'
import { type Output, StandardOutput } from '../archive/standard-output.js'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import { PARTIAL, writeAll } from '../blob/durable.js'
import { PartialFile } from '../blob/partial-file.js'
import { type ArchiveCompression, compressionOfName } from '../oci/compression.js'
import type { OnProgress, WaitOptions } from '../progress.js'
import { pieces } from '../tar/pieces.js'

/**
 * Opens the output for a tar at `path`: the file itself; for a compressed one, `<path>.tar.partial`, which publish()
 * compresses into `path`; for `-`, a temporary file that it writes to standard output. What is compressed is read back with `readBack`, instead of by the check
 * that publish() is given. Throws OUTPUT_EXISTS, FILE_NOT_FOUND, and INVALID_ARGUMENT if standard
 * output is a terminal.
 */
export async function openTarOutput(
  path: string,
  { readBack, ...waiting }: WaitOptions & { readonly readBack?: ReadBack | undefined } = {},
): Promise<Output> {
  if (path === STANDARD_STREAM) return await StandardOutput.open(waiting)
  const compression = compressionOfName(path)
  if (!compression) return await PartialFile.open(path, 'a bundle', { resume: true })
  const target = await PartialFile.open(path, 'a bundle')
  try {
    const plain = await PartialFile.open(path, 'a bundle', { resume: true, partial: plainPartial(path) })
    return new PackedOutput(plain, { target, compression, readBack, ...waiting })
  } catch (error) {
    await target[Symbol.asyncDispose]()
    throw error
  }
}

/** Where a tar that will be `path` is until it is complete; what is compressed is a plain tar until then. */
export function partialTar(path: string): string {
  return compressionOfName(path) ? plainPartial(path) : `${path}${PARTIAL}`
}

function plainPartial(path: string): string {
  return `${path}.tar${PARTIAL}`
}

interface Packing extends WaitOptions {
  readonly target: PartialFile
  readonly compression: ArchiveCompression
  readonly readBack: ReadBack | undefined
}

class PackedOutput implements Output {
  readonly path: string
  readonly partial: string
  readonly file: FileHandle
  readonly resumed: boolean
  readonly #plain: PartialFile
  readonly #packing: Packing

  constructor(plain: PartialFile, packing: Packing) {
    this.path = plain.path
    this.partial = plain.partial
    this.file = plain.file
    this.resumed = plain.resumed
    this.#plain = plain
    this.#packing = packing
  }

  keep(left: boolean): void {
    this.#plain.keep(left)
  }

  async publish(): Promise<void> {
    const { target, compression, signal, onProgress, readBack } = this.#packing
    const { size } = await this.file.stat()
    const sum = readBack && new RegionSum()
    let position = 0
    onProgress?.({ type: 'stage', stage: 'compress', subject: this.path })
    // xz takes in tens of megabytes before it gives the first byte: all is done only when all is written
    const taken: OnProgress = event =>
      onProgress?.(event.type === 'bytes' ? { ...event, done: Math.min(event.done, size - 1) } : event)
    const plain = counted(pieces(this.file, 0, size, signal), this.path, size, taken)
    for await (const piece of compressed(plain, compression, { signal })) {
      await writeAll(target.file, piece, position)
      sum?.add(piece)
      position += piece.length
    }
    onProgress?.({ type: 'bytes', subject: this.path, done: size, total: size })
    onProgress?.({ type: 'done', subject: this.path })
    await target.publish(
      readBack &&
        (async () =>
          await readBack.check([{ path: target.partial, name: target.path, regions: sum?.regions() ?? [] }])),
    )
    this.keep(false)
    try {
      await this[Symbol.asyncDispose]()
    } catch {
      // The bundle is there, and `stowage prune` knows what is left
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#plain[Symbol.asyncDispose]()
    await this.#packing.target[Symbol.asyncDispose]()
  }
}
