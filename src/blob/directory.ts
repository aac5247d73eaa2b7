/** Blobs as files of a directory, `blobs/sha256/<hex>`: written beside their place, checked, then renamed. */
import { randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { abortError, fileError, StowageError, systemCode } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { blobPath } from '../oci/layout.js'
import { isForeignLayer } from '../oci/media-type.js'
import type { BlobSink, BlobStage, BlobStore, Bytes, FetchOptions, StagedBlob } from './blob-store.js'
import { PARTIAL, syncPath } from './durable.js'
import { verified } from './verified.js'

/** Bytes a read of a blob asks for at a time: hashing 1 MiB pieces is twice as fast as Node's default of 64 KiB. */
const PIECE = 1024 * 1024

/**
 * Blobs below `root`. What `put` or `create` wrote, or `has` once hashed, counts as whole for the life of this object;
 * a file that was there before is hashed before it is believed.
 */
export class BlobDirectory implements BlobStore, BlobSink, BlobStage {
  readonly #root: string
  readonly #whole = new Set<Digest>()

  constructor(root: string) {
    this.#root = root
  }

  path(digest: Digest): string {
    return join(this.#root, blobPath(digest))
  }

  async has(blob: Descriptor, { signal }: FetchOptions = {}): Promise<boolean> {
    if (this.#whole.has(blob.digest)) return true
    try {
      const found = await stat(this.path(blob.digest))
      if (!found.isFile() || found.size !== blob.size) return false
      for await (const _piece of verified(blob, this.fetch(blob, { signal }))) signal?.throwIfAborted()
    } catch (error) {
      if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return false
      if (error instanceof StowageError && (error.code === 'DIGEST_MISMATCH' || error.code === 'BLOB_MISSING')) return false
      throw abortError(error, signal)
    }
    this.#whole.add(blob.digest)
    return true
  }

  async *fetch(blob: Descriptor, { signal }: FetchOptions = {}): Bytes {
    const path = this.path(blob.digest)
    try {
      yield* createReadStream(path, { highWaterMark: PIECE, ...(signal ? { signal } : {}) })
    } catch (error) {
      if (systemCode(error) === 'ENOENT') {
        throw new StowageError('BLOB_MISSING', `${path} does not exist`, { hint: hintFor(blob, path), cause: error })
      }
      throw abortError(fileError(error, path), signal)
    }
  }

  async put(blob: Descriptor, bytes: Bytes, { signal }: FetchOptions = {}): Promise<void> {
    await this.#write(async partial => {
      // Made before anything can fail: a stream that opens it itself may do so after it was removed.
      await (await open(partial, 'wx')).close()
      const out = createWriteStream(partial, { flags: 'r+', highWaterMark: PIECE })
      await pipeline(verified(blob, bytes), out, signal ? { signal } : {})
      return blob
    }, signal)
  }

  async create<T extends StagedBlob>(produce: (target: { path: string; offset: number }) => Promise<T>): Promise<T> {
    return await this.#write(async partial => {
      await (await open(partial, 'wx')).close()
      return await produce({ path: partial, offset: 0 })
    }, undefined)
  }

  async #write<T extends StagedBlob>(fill: (partial: string) => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const partial = join(this.#root, 'blobs', 'sha256', `${randomUUID()}${PARTIAL}`)
    try {
      await mkdir(dirname(partial), { recursive: true })
      const blob = await fill(partial)
      await syncPath(partial, 'file')
      await rename(partial, this.path(blob.digest))
      this.#whole.add(blob.digest)
      return blob
    } catch (error) {
      await rm(partial, { force: true })
      throw abortError(fileError(error, dirname(partial)), signal)
    }
  }
}

function hintFor({ mediaType, urls = [] }: Descriptor, path: string): string {
  if (!isForeignLayer(mediaType)) return 'Not all of the image is there: copy it again, with all its platforms.'
  const from = urls.length > 0 ? `from ${urls.join(' or ')}` : 'from whoever publishes it'
  return `It is a foreign layer, which most tools leave out: fetch it ${from}, and put it there as ${path}.`
}
