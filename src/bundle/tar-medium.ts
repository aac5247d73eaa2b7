/** A bundle written as one tar file: space for the heads, then the blobs; the heads are filled in at the end. */
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type ReadBack, regionsOf } from '../archive/read-back.js'
import type { Output } from '../archive/standard-output.js'
import type { Bytes, FetchOptions, HasOptions, PutOptions, ReadBlob, StagedBlob } from '../blob/blob-store.js'
import type { BlobDirectory, Missing } from '../blob/directory.js'
import { writeAll } from '../blob/durable.js'
import { Workspace } from '../blob/workspace.js'
import { type BlobFile, writeBlob } from '../blob/write-blob.js'
import { abortError, fileError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { blobPath } from '../oci/layout.js'
import { BLOCK, encodeHeader, encodeReservedHeader, padding, TAR_END } from '../tar/header.js'
import { pieces } from '../tar/pieces.js'
import { CHECKSUMS_FILE } from './checksums.js'
import { BUNDLE_FILE } from './manifest.js'
import type { BundleHeads, BundleMedium, Documents } from './medium.js'
import { openTarOutput } from './packed-output.js'
import type { WaitOptions } from '../progress.js'
import { encodeMember, type LaidOutMember, TarLayout, tarSegments } from './tar-layout.js'

/**
 * Creates `<path>.partial`, which is renamed to `path` when it is sealed. Until then its first block is zero, so any
 * tar reader treats it as an empty archive. If an earlier run has left one, the blobs in it that are whole and in their
 * place are kept. A name that ends in `.tar.gz` etc. is compressed then, and `-` is standard output. With `readBack`, it is
 * read back before that. Every member has `mtime`, in seconds. Throws what {@link openTarOutput} throws.
 */
export async function openTarMedium(
  path: string,
  mtime: number,
  { readBack, ...waiting }: WaitOptions & { readonly readBack: ReadBack | undefined },
): Promise<BundleMedium> {
  const output = await openTarOutput(path, { readBack, ...waiting })
  if (output.resumed) await writeAll(output.file, new Uint8Array(BLOCK), 0) // it may have been killed while it was sealed
  return new TarMedium(output, mtime, readBack)
}

class TarMedium implements BundleMedium {
  readonly where: string
  readonly #output: Output
  readonly #path: string
  readonly #file: FileHandle
  readonly #layout: TarLayout
  readonly #readBack: ReadBack | undefined
  readonly #blobs = new Map<Digest, number>()
  /** What is written, by the offset of its header. */
  readonly #members = new Map<number, LaidOutMember<{ readonly blob: { digest: Digest; size: number } }>>()
  #resumed: boolean
  /** Whether there may be blobs in the file that another run need not copy again. */
  #copied: boolean
  /** A directory beside the tar for spooled blobs, because a member cannot be removed from the tar. */
  readonly #workspace: Workspace
  /** Serializes the jobs that append members. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(output: Output, mtime: number, readBack: ReadBack | undefined) {
    this.#output = output
    this.#readBack = readBack
    this.#path = output.path
    this.#file = output.file
    this.#layout = new TarLayout(mtime)
    this.#resumed = output.resumed ?? false
    this.#copied = this.#resumed
    this.where = dirname(output.partial)
    this.#workspace = new Workspace(output.partial)
  }

  get #openFile(): Omit<BlobFile, 'offset'> {
    const { partial, file } = this.#output
    return { path: partial, open: file, held: 0, direct: false, onWritten: size => this.#output.written?.(size) }
  }

  async spool(): Promise<BlobDirectory> {
    return await this.#workspace.blobs()
  }

  async missing(blobs: readonly Descriptor[]): Promise<Missing> {
    const missing: Descriptor[] = []
    let held = 0
    for (const blob of blobs) {
      if ((await this.#left(blob)) === undefined) missing.push(blob)
      else held += blob.size
    }
    return { blobs: missing, held }
  }

  async restart(): Promise<boolean> {
    if (!this.#resumed) return false
    this.#resumed = false
    this.#copied = false
    await this.#file.truncate(0)
    return true
  }

  async reserve(heads: BundleHeads): Promise<void> {
    this.#layout.reserve(heads)
  }

  fit(file: string, json: Uint8Array): Uint8Array {
    return this.#layout.fit(file, json)
  }

  async assign(blobs: readonly Descriptor[]): Promise<void> {
    await this.#inTurn(async () => this.#layout.assign(blobs))
  }

  async has(blob: Descriptor, { signal, watch }: HasOptions = {}): Promise<boolean> {
    if (this.#blobs.get(blob.digest) === blob.size) return true
    const place = await this.#left(blob)
    if (place === undefined) return false
    const header = this.#layout.header(blobPath(blob.digest), blob.size)
    const hash = createHash('sha256')
    const layer = watch?.begin()
    try {
      for await (const piece of pieces(this.#file, place + header.length, blob.size, signal)) {
        hash.update(piece)
        await layer?.add(piece)
      }
    } catch (error) {
      throw abortError(fileError(error, this.#path), signal)
    }
    if (`sha256:${hash.digest('hex')}` !== blob.digest) return false
    if (layer) watch?.found((await layer.finish()).plain)
    await this.#close(blob, header, place)
    return true
  }

  /** Where the blob's header is, if a killed run has left it in its place: it was written after the content. */
  async #left({ digest, size }: Descriptor): Promise<number | undefined> {
    const place = this.#resumed ? this.#layout.placeOf(digest) : undefined
    if (place === undefined) return undefined
    const header = this.#layout.header(blobPath(digest), size)
    const found = Buffer.alloc(header.length)
    await this.#file.read(found, 0, found.length, place)
    return found.equals(header) ? place : undefined
  }

  async put(blob: Descriptor, read: ReadBlob, options: PutOptions = {}): Promise<void> {
    await this.assign([blob])
    const place = this.#layout.placeOf(blob.digest) ?? 0
    const header = this.#layout.header(blobPath(blob.digest), blob.size)
    const offset = place + header.length
    try {
      await writeBlob({ ...this.#openFile, offset }, blob, downloader => read(0, downloader), options)
    } catch (error) {
      throw abortError(fileError(error, this.#path), options.signal)
    }
    await this.#close(blob, header, place)
    this.#copied = true
  }

  async putFile(path: string, file: Descriptor, read: () => Bytes, { signal }: FetchOptions = {}): Promise<void> {
    await this.#inTurn(async () => {
      const header = this.#layout.header(path, file.size)
      const place = this.#layout.end
      try {
        await writeBlob({ ...this.#openFile, offset: place + header.length }, file, read, { signal })
        await this.#closeMember(header, place, file)
      } catch (error) {
        throw abortError(fileError(error, this.#path), signal)
      }
      this.#layout.append(header, file.size)
    })
  }

  async create<T extends StagedBlob>(produce: (target: { path: string; offset: number }) => Promise<T>): Promise<T> {
    return await this.#inTurn(async () => {
      try {
        const place = this.#layout.end
        const made = await produce({ path: this.#output.partial, offset: place + BLOCK })
        if (this.#layout.placeOf(made.digest) === undefined) {
          const member = this.#layout.member(blobPath(made.digest), made.size)
          this.#layout.assignReserved(made.digest, made.size)
          await this.#close(made, encodeReservedHeader(member), place)
        }
        return made
      } catch (error) {
        throw fileError(error, this.#path)
      }
    })
  }

  async seal(documents: Documents, blobs: ReadonlySet<Digest>): Promise<boolean> {
    this.#layout.expectWritten(this.#path, digest => this.#blobs.has(digest), blobs)
    try {
      let end = this.#layout.end
      for (const path of [BUNDLE_FILE, CHECKSUMS_FILE]) end = await this.#write(path, documents, end)
      await writeAll(this.#file, TAR_END, end)
      await this.#file.truncate(end + TAR_END.length)
      let position = 0
      for (const member of this.#layout.head()) {
        if (member.type === 'directory') {
          const header = encodeHeader(member)
          await writeAll(this.#file, header, position)
          position += header.length
        } else {
          position = await this.#write(member.name, documents, position)
        }
      }
      await this.#output.publish(this.#readBack && (async () => await this.#check(documents)))
      await this.#workspace[Symbol.asyncDispose]()
      return true
    } catch (error) {
      throw fileError(error, this.#path)
    }
  }

  async discard(keep: boolean): Promise<void> {
    this.#output.keep?.(false)
    if (this.#copied && !this.#readBack?.lost && (keep || this.#output.resumed)) await this.#leave()
    await this.#output[Symbol.asyncDispose]()
    await this.#workspace[Symbol.asyncDispose]()
  }

  /** Leaves the file for another run, as an empty archive, even if it was being sealed. A medium that fails may lose it. */
  async #leave(): Promise<void> {
    try {
      const first = Buffer.alloc(BLOCK)
      await this.#file.read(first, 0, BLOCK, 0)
      if (first.some(byte => byte !== 0)) await writeAll(this.#file, new Uint8Array(BLOCK), 0)
      this.#output.keep?.(true)
    } catch {
      return // the caller has an error to report already
    }
  }

  /** Writes the header last: until then the blocks are not a member. */
  async #close(blob: StagedBlob, header: Uint8Array, place: number): Promise<void> {
    try {
      await this.#closeMember(header, place, blob)
    } catch (error) {
      throw fileError(error, this.#path)
    }
    this.#blobs.set(blob.digest, blob.size)
  }

  async #closeMember(header: Uint8Array, place: number, { digest, size }: StagedBlob): Promise<void> {
    await writeAll(this.#file, padding(size), place + header.length + size)
    await writeAll(this.#file, header, place)
    this.#members.set(place, { header, content: { blob: { digest, size } } })
  }

  async #check(documents: Documents): Promise<void> {
    const members = [...this.#members].sort(([a], [b]) => a - b).map(([, member]) => member)
    const regions = regionsOf(tarSegments(this.#layout, documents, members))
    await this.#readBack?.check([{ path: this.#output.partial, name: this.#path, regions }])
  }

  async #write(path: string, documents: Documents, position: number): Promise<number> {
    const bytes = documents.get(path) ?? new Uint8Array()
    const whole = encodeMember(this.#layout.header(path, bytes.length), bytes)
    await writeAll(this.#file, whole, position)
    return position + whole.length
  }

  async #inTurn<T>(job: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(job)
    this.#turn = mine.catch(() => undefined) // the caller gets the error; the next job runs anyway
    return await mine
  }
}
