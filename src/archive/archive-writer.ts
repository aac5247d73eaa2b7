/**
 * Writes an image archive: a tar of an OCI image layout, with blobs in the order they arrive. It is a partial file
 * beside its final path until it is complete. One that an earlier run has left is gone over, and what is whole in it stays.
 */
import { createHash } from 'node:crypto'
import { dirname } from 'node:path'
import type { Bytes, FetchOptions } from '../blob/blob-store.js'
import { writeAll } from '../blob/durable.js'
import { PartialFile } from '../blob/partial-file.js'
import { resumableFile } from '../blob/resumable.js'
import { verified } from '../blob/verified.js'
import { abortError, fileError, isInterruption } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { blobPath, LAYOUT_BYTES, LAYOUT_FILE } from '../oci/layout.js'
import type { WaitOptions } from '../progress.js'
import { encodeHeader, padding, TAR_END } from '../tar/header.js'
import { pieces } from '../tar/pieces.js'
import { openReadBack, type ReadBack, regionsOf, type Verified, type WrittenPart } from './read-back.js'
import { type Advice, checkSpace } from './space.js'
import { type Output, StandardOutput } from './standard-output.js'
import { STANDARD_STREAM } from './standard-stream.js'

/** The directories of an archive, before its first blob. */
const DIRECTORIES = ['blobs', 'blobs/sha256']

/** The size of the archive of these blobs and files, in bytes, if every member has `mtime`. */
export function archiveSize(
  blobs: readonly Descriptor[],
  documents: ReadonlyMap<string, Uint8Array>,
  mtime: number,
): number {
  const member = (name: string, size: number): number =>
    encodeHeader({ name, size, mtime }).length + size + padding(size).length
  const parts = [
    member(LAYOUT_FILE, LAYOUT_BYTES.length),
    ...DIRECTORIES.map(name => encodeHeader({ name, size: 0, type: 'directory', mtime }).length),
    ...blobs.map(({ digest, size }) => member(blobPath(digest), size)),
    ...[...documents].map(([name, { length }]) => member(name, length)),
    TAR_END.length,
  ]
  return parts.reduce((sum, size) => sum + size, 0)
}

/**
 * Creates `<path>.partial`, which {@link ArchiveWriter.finish} renames; for `-`, a file that it writes to standard output.
 * With `verify`, see isReadBack(), it is read back before that. Throws what {@link PartialFile.open} and {@link StandardOutput.open} throw.
 */
export async function openArchiveWriter(
  path: string,
  mtime: number,
  { verify, ...options }: WaitOptions & { readonly verify?: boolean | undefined } = {},
): Promise<ArchiveWriter> {
  const readBack = await openReadBack(path, verify, options)
  const output =
    path === STANDARD_STREAM
      ? await StandardOutput.open(options)
      : await PartialFile.open(path, 'an archive', { resume: true })
  const left = 'resumed' in output && output.resumed ? (await output.file.stat()).size : 0
  return new ArchiveWriter(output, mtime, { readBack, left })
}

/**
 * Does not support concurrent writes. Nothing is at the final path until finish(); disposing before that leaves no
 * file, unless {@link giveUp} keeps it.
 */
export class ArchiveWriter implements AsyncDisposable {
  readonly #output: Output
  readonly #mtime: number
  readonly #blobs = new Map<Digest, number>()
  readonly #readBack: ReadBack | undefined
  /** What is written, in order. */
  readonly #parts: WrittenPart[] = []
  /** How many bytes an earlier run has left. */
  readonly #left: number
  #end = 0

  constructor(
    output: Output,
    mtime: number,
    { readBack, left = 0 }: { readonly readBack?: ReadBack | undefined; readonly left?: number } = {},
  ) {
    this.#readBack = readBack
    this.#left = left
    this.#output = output
    this.#mtime = mtime
  }

  has(blob: Descriptor): boolean {
    return this.#blobs.get(blob.digest) === blob.size
  }

  /** Throws NO_SPACE if there is no room for an archive of `size` bytes. */
  async expect(size: number, advice: Advice): Promise<void> {
    await checkSpace(dirname(this.#output.partial), { sizes: [size], held: Math.max(this.#end, this.#left) }, advice)
  }

  /** Whether an earlier run has left `blob` where it is to be written next, and it is whole: it then counts as written. */
  async resume(blob: Descriptor, { signal }: FetchOptions = {}): Promise<boolean> {
    if (this.#left <= this.#end) return false
    await this.#begin()
    const header = encodeHeader({ name: blobPath(blob.digest), size: blob.size, mtime: this.#mtime })
    const start = this.#end + header.length
    const hash = createHash('sha256')
    try {
      const found = Buffer.alloc(header.length)
      await this.#output.file.read(found, 0, found.length, this.#end)
      if (!found.equals(header)) return false
      for await (const piece of pieces(this.#output.file, start, blob.size, signal)) hash.update(piece)
      if (`sha256:${hash.digest('hex')}` !== blob.digest) return false
    } catch (error) {
      throw abortError(fileError(error, this.#output.path), signal)
    }
    await this.#close(blob, header)
    return true
  }

  /** If `error` is an interruption, disposing leaves the blobs that are written, if there are any, and the error returned says so. */
  async giveUp(error: unknown): Promise<unknown> {
    const left = (this.#blobs.size > 0 || this.#left > 0) && !this.#readBack?.lost
    if (!left) this.#output.keep?.(false)
    if (!left || !this.#output.keep || !isInterruption(error)) return error
    this.#output.keep(true)
    return await resumableFile(error, this.#output.partial)
  }

  /** Writes `blobs/sha256/<hex>` and verifies it. If this throws, the next member overwrites it. */
  async put(blob: Descriptor, bytes: Bytes, { signal }: FetchOptions = {}): Promise<void> {
    await this.#begin()
    const header = encodeHeader({ name: blobPath(blob.digest), size: blob.size, mtime: this.#mtime })
    let position = this.#end + header.length
    try {
      for await (const piece of verified(blob, bytes)) {
        signal?.throwIfAborted()
        await writeAll(this.#output.file, piece, position)
        this.#output.written?.(piece.length)
        position += piece.length
      }
    } catch (error) {
      throw abortError(fileError(error, this.#output.path), signal)
    }
    await this.#close(blob, header)
  }

  /** After finish(): what was read back, if it was. */
  get verified(): Verified | undefined {
    return this.#readBack?.verified
  }

  async putDocument(name: string, bytes: Uint8Array): Promise<void> {
    await this.#write(
      Buffer.concat([encodeHeader({ name, size: bytes.length, mtime: this.#mtime }), bytes, padding(bytes.length)]),
    )
  }

  /** Ends the tar, syncs it, and renames it. Throws OUTPUT_EXISTS if another process has created the file since. */
  async finish(): Promise<void> {
    await this.#write(TAR_END)
    await this.#output.file.truncate(this.#end).catch((error: unknown) => {
      throw fileError(error, this.#output.path)
    })
    await this.#output.publish(this.#readBack && (async () => await this.#check()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#output[Symbol.asyncDispose]()
  }

  /** Writes what comes before the first blob. */
  async #begin(): Promise<void> {
    if (this.#end > 0) return
    await this.putDocument(LAYOUT_FILE, LAYOUT_BYTES)
    for (const name of DIRECTORIES)
      await this.#write(encodeHeader({ name, size: 0, type: 'directory', mtime: this.#mtime }))
  }

  /** Ends a member whose content is written; its header comes last. */
  async #close(blob: Descriptor, header: Uint8Array): Promise<void> {
    const rest = padding(blob.size)
    const end = this.#end + header.length + blob.size
    try {
      await writeAll(this.#output.file, rest, end)
      await writeAll(this.#output.file, header, this.#end)
    } catch (error) {
      throw fileError(error, this.#output.path)
    }
    this.#end = end + rest.length
    this.#blobs.set(blob.digest, blob.size)
    this.#note({ bytes: header }, { blob }, { bytes: rest })
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      await writeAll(this.#output.file, bytes, this.#end)
    } catch (error) {
      throw fileError(error, this.#output.path)
    }
    this.#end += bytes.length
    this.#note({ bytes })
  }

  #note(...parts: readonly WrittenPart[]): void {
    if (this.#readBack) this.#parts.push(...parts)
  }

  async #check(): Promise<void> {
    const { partial, path } = this.#output
    await this.#readBack?.check([{ path: partial, name: path, regions: regionsOf(this.#parts) }])
  }
}
