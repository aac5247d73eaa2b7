/**
 * Writes an image archive: a tar of an OCI image layout, with blobs in the order they arrive. It is a partial file
 * beside its final path until it is complete.
 */
import { dirname } from 'node:path'
import type { Bytes, FetchOptions } from '../blob/blob-store.js'
import { writeAll } from '../blob/durable.js'
import { PartialFile } from '../blob/partial-file.js'
import { verified } from '../blob/verified.js'
import { abortError, fileError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { blobPath, LAYOUT_BYTES, LAYOUT_FILE } from '../oci/layout.js'
import type { WaitOptions } from '../progress.js'
import { encodeHeader, padding, TAR_END } from '../tar/header.js'
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
    path === STANDARD_STREAM ? await StandardOutput.open(options.signal) : await PartialFile.open(path, 'an archive')
  return new ArchiveWriter(output, mtime, readBack)
}

/**
 * Does not support concurrent writes. Nothing is at the final path until finish(); disposing before that leaves no
 * file.
 */
export class ArchiveWriter implements AsyncDisposable {
  readonly #output: Output
  readonly #mtime: number
  readonly #blobs = new Map<Digest, number>()
  readonly #readBack: ReadBack | undefined
  /** What is written, in order. */
  readonly #parts: WrittenPart[] = []
  #end = 0

  constructor(output: Output, mtime: number, readBack?: ReadBack) {
    this.#readBack = readBack
    this.#output = output
    this.#mtime = mtime
  }

  has(blob: Descriptor): boolean {
    return this.#blobs.get(blob.digest) === blob.size
  }

  /** Throws NO_SPACE if there is no room for an archive of `size` bytes. */
  async expect(size: number, advice: Advice): Promise<void> {
    await checkSpace(dirname(this.#output.partial), { sizes: [size], held: this.#end }, advice)
  }

  /** Writes `blobs/sha256/<hex>` and verifies it. If this throws, the next member overwrites it. */
  async put(blob: Descriptor, bytes: Bytes, { signal }: FetchOptions = {}): Promise<void> {
    if (this.#end === 0) {
      await this.putDocument(LAYOUT_FILE, LAYOUT_BYTES)
      for (const name of DIRECTORIES)
        await this.#write(encodeHeader({ name, size: 0, type: 'directory', mtime: this.#mtime }))
    }
    const header = encodeHeader({ name: blobPath(blob.digest), size: blob.size, mtime: this.#mtime })
    let position = this.#end + header.length
    try {
      for await (const piece of verified(blob, bytes)) {
        signal?.throwIfAborted()
        await writeAll(this.#output.file, piece, position)
        position += piece.length
      }
      const rest = padding(blob.size)
      await writeAll(this.#output.file, rest, position)
      await writeAll(this.#output.file, header, this.#end)
      this.#end = position + rest.length
      this.#blobs.set(blob.digest, blob.size)
      this.#note({ bytes: header }, { blob }, { bytes: rest })
    } catch (error) {
      throw abortError(fileError(error, this.#output.path), signal)
    }
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
