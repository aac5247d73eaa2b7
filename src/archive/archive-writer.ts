/** An image archive being written: a tar of an OCI image layout, blobs in the order they come, beside its place until it is whole. */
import { open, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Bytes, FetchOptions } from '../blob/blob-store.js'
import { PARTIAL, syncPath, writeAll } from '../blob/durable.js'
import { verified } from '../blob/verified.js'
import { abortError, fileError, outputError, StowageError, systemCode } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { blobPath, LAYOUT_BYTES, LAYOUT_FILE } from '../oci/layout.js'
import { encodeHeader, padding, TAR_END } from '../tar/header.js'
import { checkSpace } from './space.js'

/** Room for the heads and the end of the tar, and for the header and padding of each blob, in bytes. */
const ROOM = 64 * 1024
const ROOM_PER_BLOB = 2048

/** Makes `<path>.partial`, which {@link ArchiveWriter.finish} renames. Throws OUTPUT_EXISTS, FILE_NOT_FOUND where the directory is not there. */
export async function openArchiveWriter(path: string, mtime: number): Promise<ArchiveWriter> {
  await refuseExisting(path)
  const partial = `${path}${PARTIAL}`
  try {
    await rm(partial, { force: true }) // a run that was killed left it: nothing in it can be used
    const file = await open(partial, 'wx')
    const { dev, ino } = await file.stat({ bigint: true })
    return new ArchiveWriter(path, file, `${dev} ${ino}`, mtime)
  } catch (error) {
    throw outputError(error, path)
  }
}

/** One writer at a time. Until it is finished nothing stands at its path; disposed before, it leaves nothing. */
export class ArchiveWriter implements AsyncDisposable {
  readonly #path: string
  readonly #partial: string
  readonly #file: FileHandle
  readonly #identity: string
  readonly #mtime: number
  readonly #blobs = new Map<Digest, number>()
  #end = 0
  #open = true
  #finished = false

  /** `identity`: device and inode of `file`, to know it again by its name. */
  constructor(path: string, file: FileHandle, identity: string, mtime: number) {
    this.#path = path
    this.#partial = `${path}${PARTIAL}`
    this.#file = file
    this.#identity = identity
    this.#mtime = mtime
  }

  has(blob: Descriptor): boolean {
    return this.#blobs.get(blob.digest) === blob.size
  }

  /** Throws NO_SPACE when `blobs`, or those of them that are not here yet, do not fit. */
  async expect(blobs: readonly Descriptor[]): Promise<void> {
    const missing = blobs.filter(blob => !this.has(blob))
    const needed = missing.reduce((sum, blob) => sum + blob.size + ROOM_PER_BLOB, ROOM)
    await checkSpace(dirname(this.#path), needed, this.#end + needed)
  }

  /** Writes `blobs/sha256/<hex>`, checked; when it throws, the next member is written in its place. */
  async put(blob: Descriptor, bytes: Bytes, { signal }: FetchOptions = {}): Promise<void> {
    if (this.#end === 0) {
      await this.putDocument(LAYOUT_FILE, LAYOUT_BYTES)
      for (const name of ['blobs', 'blobs/sha256']) await this.#write(encodeHeader({ name, size: 0, type: 'directory', mtime: this.#mtime }))
    }
    const header = encodeHeader({ name: blobPath(blob.digest), size: blob.size, mtime: this.#mtime })
    let position = this.#end + header.length
    try {
      for await (const piece of verified(blob, bytes)) {
        signal?.throwIfAborted()
        await writeAll(this.#file, piece, position)
        position += piece.length
      }
      const rest = padding(blob.size)
      await writeAll(this.#file, rest, position)
      await writeAll(this.#file, header, this.#end)
      this.#end = position + rest.length
      this.#blobs.set(blob.digest, blob.size)
    } catch (error) {
      throw abortError(fileError(error, this.#path), signal)
    }
  }

  async putDocument(name: string, bytes: Uint8Array): Promise<void> {
    await this.#write(Buffer.concat([encodeHeader({ name, size: bytes.length, mtime: this.#mtime }), bytes, padding(bytes.length)]))
  }

  /** Ends the tar, makes it last, and gives it its name. Throws OUTPUT_EXISTS where somebody else was faster. */
  async finish(): Promise<void> {
    try {
      await this.#write(TAR_END)
      await this.#file.truncate(this.#end)
      await this.#file.sync()
      if (!(await this.#isOurs())) {
        throw new StowageError('OUTPUT_EXISTS', `${this.#partial} was replaced while we wrote it`, {
          hint: 'Another command writes the same archive: let it finish, or name another output.',
        })
      }
      await refuseExisting(this.#path)
      await this.#close() // Windows does not rename an open file
      await rename(this.#partial, this.#path)
      this.#finished = true
      await syncPath(dirname(this.#path), 'directory')
    } catch (error) {
      throw fileError(error, this.#path)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#finished) return
    const ours = await this.#isOurs() // before its inode can be another file's
    await this.#close()
    if (ours) await rm(this.#partial, { force: true })
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      await writeAll(this.#file, bytes, this.#end)
    } catch (error) {
      throw fileError(error, this.#path)
    }
    this.#end += bytes.length
  }

  async #close(): Promise<void> {
    if (!this.#open) return
    this.#open = false
    await this.#file.close()
  }

  /** Whether the partial file is still the one we write: another command for the same output takes its name over. */
  async #isOurs(): Promise<boolean> {
    try {
      const { dev, ino } = await stat(this.#partial, { bigint: true })
      return `${dev} ${ino}` === this.#identity
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return false
      throw fileError(error, this.#partial)
    }
  }
}

async function refuseExisting(path: string): Promise<void> {
  try {
    await stat(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return
    throw fileError(error, path)
  }
  throw new StowageError('OUTPUT_EXISTS', `${path} exists already`, {
    hint: 'Delete it, or name another output: an archive is never overwritten.',
  })
}
