/** A bundle written as one tar file: space for the heads, then the blobs; the heads are filled in at the end. */
import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { DOCKER_FILE, type HeadSizes, padHead } from '../archive/heads.js'
import type { Output } from '../archive/standard-output.js'
import type { Bytes, FetchOptions, PutOptions, ReadBlob, StagedBlob } from '../blob/blob-store.js'
import type { BlobDirectory } from '../blob/directory.js'
import { writeAll } from '../blob/durable.js'
import { Workspace } from '../blob/workspace.js'
import { writeBlob } from '../blob/write-blob.js'
import { abortError, fileError, StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { blobPath, INDEX_FILE, LAYOUT_BYTES, LAYOUT_FILE } from '../oci/layout.js'
import { BLOCK, encodeHeader, encodeReservedHeader, padding, TAR_END, type TarMember } from '../tar/header.js'
import { CHECKSUMS_FILE } from './checksums.js'
import { BUNDLE_FILE } from './manifest.js'
import type { BundleMedium, Documents } from './medium.js'
import { openTarOutput } from './packed-output.js'
import { README_FILE, README_TEXT } from './readme.js'

/**
 * Creates `<path>.partial`, which is renamed to `path` when it is sealed. Until then its first block is zero, so any
 * tar reader treats it as an empty archive. A name that ends in `.tar.gz` etc. is compressed then, and `-` is standard
 * output. Every member has `mtime`, in seconds. Throws what {@link openTarOutput} throws.
 */
export async function openTarMedium(
  path: string,
  mtime: number,
  signal: AbortSignal | undefined,
): Promise<BundleMedium> {
  return new TarMedium(await openTarOutput(path, signal), mtime)
}

class TarMedium implements BundleMedium {
  readonly where: string
  readonly #output: Output
  readonly #path: string
  readonly #file: FileHandle
  readonly #mtime: number
  readonly #blobs = new Map<Digest, number>()
  /** Offsets of the members of blobs. */
  readonly #places = new Map<Digest, number>()
  #reserved: HeadSizes = { index: 0, docker: 0 }
  #end = 0
  /** A directory beside the tar for spooled blobs, because a member cannot be removed from the tar. */
  readonly #workspace: Workspace
  /** Serializes the jobs that append members. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(output: Output, mtime: number) {
    this.#output = output
    this.#path = output.path
    this.#file = output.file
    this.#mtime = mtime
    this.where = dirname(output.partial)
    this.#workspace = new Workspace(output.partial)
  }

  async spool(): Promise<BlobDirectory> {
    return await this.#workspace.blobs()
  }

  async holds(): Promise<boolean> {
    return false
  }

  async reserve(heads: HeadSizes): Promise<void> {
    this.#reserved = heads
    this.#end = this.#head().reduce((end, member) => end + this.#footprint(member), 0)
  }

  fit(file: string, json: Uint8Array): Uint8Array {
    return padHead(json, file === INDEX_FILE ? this.#reserved.index : this.#reserved.docker, file)
  }

  async assign(blobs: readonly Descriptor[]): Promise<void> {
    await this.#inTurn(async () => {
      for (const { digest, size } of blobs) {
        if (this.#places.has(digest)) continue
        this.#places.set(digest, this.#end)
        this.#end += this.#footprint(this.#member(blobPath(digest), size))
      }
    })
  }

  async has(blob: Descriptor): Promise<boolean> {
    return this.#blobs.get(blob.digest) === blob.size
  }

  async put(blob: Descriptor, read: ReadBlob, options: PutOptions = {}): Promise<void> {
    await this.assign([blob])
    const place = this.#places.get(blob.digest) ?? 0
    const header = encodeHeader(this.#member(blobPath(blob.digest), blob.size))
    const offset = place + header.length
    try {
      await writeBlob(
        { path: this.#output.partial, open: this.#file, offset, held: 0, direct: false },
        blob,
        downloader => read(0, downloader),
        options,
      )
    } catch (error) {
      throw abortError(fileError(error, this.#path), options.signal)
    }
    await this.#close(blob.digest, header, place, blob.size)
  }

  async putFile(path: string, file: Descriptor, bytes: Bytes, { signal }: FetchOptions = {}): Promise<void> {
    await this.#inTurn(async () => {
      const header = encodeHeader(this.#member(path, file.size))
      const place = this.#end
      try {
        await writeBlob(
          { path: this.#output.partial, open: this.#file, offset: place + header.length, held: 0, direct: false },
          file,
          () => bytes,
          { signal },
        )
        await this.#closeMember(header, place, file.size)
      } catch (error) {
        throw abortError(fileError(error, this.#path), signal)
      }
      this.#end += header.length + file.size + padding(file.size).length
    })
  }

  async create<T extends StagedBlob>(produce: (target: { path: string; offset: number }) => Promise<T>): Promise<T> {
    return await this.#inTurn(async () => {
      try {
        const place = this.#end
        const made = await produce({ path: this.#output.partial, offset: place + BLOCK })
        if (!this.#places.has(made.digest)) {
          const member = this.#member(blobPath(made.digest), made.size)
          this.#places.set(made.digest, place)
          this.#end = place + BLOCK + made.size + padding(made.size).length
          await this.#close(made.digest, encodeReservedHeader(member), place, made.size)
        }
        return made
      } catch (error) {
        throw fileError(error, this.#path)
      }
    })
  }

  async seal(documents: Documents, blobs: ReadonlySet<Digest>): Promise<boolean> {
    const empty = [...this.#places.keys()].find(digest => !this.#blobs.has(digest))
    if (empty)
      throw new StowageError('BLOB_MISSING', `space was reserved for ${empty} in ${this.#path}, but it was not written`)
    const lost = [...this.#blobs.keys()].find(digest => !blobs.has(digest))
    if (lost) {
      throw new StowageError('UNSUPPORTED', `${lost} was written to ${this.#path}, but no image of the bundle has it`)
    }
    try {
      for (const path of [BUNDLE_FILE, CHECKSUMS_FILE]) this.#end = await this.#write(path, documents, this.#end)
      await writeAll(this.#file, TAR_END, this.#end)
      await this.#file.truncate(this.#end + TAR_END.length)
      let position = 0
      for (const member of this.#head()) {
        if (member.type === 'directory') {
          await writeAll(this.#file, encodeHeader(member), position)
          position += this.#footprint(member)
        } else {
          position = await this.#write(member.name, documents, position)
        }
      }
      await this.#output.publish()
      await this.#workspace[Symbol.asyncDispose]()
      return true
    } catch (error) {
      throw fileError(error, this.#path)
    }
  }

  async discard(): Promise<void> {
    await this.#output[Symbol.asyncDispose]()
    await this.#workspace[Symbol.asyncDispose]()
  }

  /** The members before the first blob, in order. */
  #head(): readonly TarMember[] {
    return [
      this.#member(LAYOUT_FILE, LAYOUT_BYTES.length),
      this.#member(INDEX_FILE, this.#reserved.index),
      this.#member(DOCKER_FILE, this.#reserved.docker),
      { ...this.#member('blobs', 0), type: 'directory' as const },
      { ...this.#member('blobs/sha256', 0), type: 'directory' as const },
      this.#member(README_FILE, Buffer.byteLength(README_TEXT)),
    ]
  }

  #member(name: string, size: number): TarMember {
    return { name, size, mtime: this.#mtime }
  }

  #footprint(member: TarMember): number {
    return encodeHeader(member).length + member.size + padding(member.size).length
  }

  /** Writes the header last: until then the blocks are not a member. */
  async #close(digest: Digest, header: Uint8Array, place: number, size: number): Promise<void> {
    try {
      await this.#closeMember(header, place, size)
    } catch (error) {
      throw fileError(error, this.#path)
    }
    this.#blobs.set(digest, size)
  }

  async #closeMember(header: Uint8Array, place: number, size: number): Promise<void> {
    await writeAll(this.#file, padding(size), place + header.length + size)
    await writeAll(this.#file, header, place)
  }

  async #write(path: string, documents: Documents, position: number): Promise<number> {
    const bytes = documents.get(path) ?? new Uint8Array()
    const whole = Buffer.concat([encodeHeader(this.#member(path, bytes.length)), bytes, padding(bytes.length)])
    await writeAll(this.#file, whole, position)
    return position + whole.length
  }

  async #inTurn<T>(job: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(job)
    this.#turn = mine.catch(() => undefined) // the caller gets the error; the next job runs anyway
    return await mine
  }
}
