/** Blobs as files in a directory, `blobs/sha256/<hex>`: written under a temporary name, checked, then renamed. */
import { constants, createReadStream } from 'node:fs'
import { chmod, copyFile, open, readdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { abortError, fileError, isInterruption, StowageError, systemCode } from '../errors.js'
import { compressionOf, MAGIC_SIZE } from '../oci/compression.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { blobPath } from '../oci/layout.js'
import { isForeignLayer } from '../oci/media-type.js'
import type {
  BlobPlace,
  BlobSink,
  BlobStage,
  BlobStore,
  Bytes,
  FetchOptions,
  HasOptions,
  PutOptions,
  ReadBlob,
  StagedBlob,
} from './blob-store.js'
import { makeDirectory, removeLeavings, syncPath } from './durable.js'
import type { LayerWatch } from './layer-watch.js'
import type { NativeDownloader } from './native-download.js'
import { claimPartial, clearPartials, isUseful, leftPartials, pathToCreate, removeLeft } from './partial.js'
import { rename } from './rename.js'
import { verified } from './verified.js'
import { SLOT, writeBlob } from './write-blob.js'

/** What is still to be written of some blobs. */
export interface Missing {
  readonly blobs: readonly Descriptor[]
  /** Bytes of them that are there. */
  readonly held: number
}

/** Size of one read, in bytes: hashing 1 MiB pieces is twice as fast as hashing Node's default of 64 KiB. */
const PIECE = 1024 * 1024
const BLOBS = join('blobs', 'sha256')

/**
 * Blobs below `root`. A blob that `put` or `create` wrote, or that `has` hashed, counts as complete for the life of
 * this object; a file that existed before is hashed first.
 */
export class BlobDirectory implements BlobStore, BlobSink, BlobStage {
  readonly #root: string
  readonly #admit: () => Promise<void>
  readonly #whole = new Set<Digest>()
  /** Until it is found that the file system cannot share blocks. */
  #clones = true

  /** `admit` is called before a blob gets its final name, and throws to prevent that. */
  constructor(root: string, admit = async (): Promise<void> => {}) {
    this.#root = root
    this.#admit = admit
  }

  path(digest: Digest): string {
    return join(this.#root, blobPath(digest))
  }

  /** Whether there is a file of the blob's name and size; it is not hashed. */
  async holds({ digest, size }: Descriptor): Promise<boolean> {
    const found = await stat(this.path(digest)).catch(() => undefined) // reported when the blob is read
    return found?.isFile() === true && found.size === size
  }

  /** Those of `blobs` that are not there by name and size, and how much of them an interrupted run has left. */
  async missing(blobs: readonly Descriptor[]): Promise<Missing> {
    const missing: Descriptor[] = []
    for (const blob of blobs) if (!(await this.holds(blob))) missing.push(blob)
    const sizes = new Map(missing.map(({ digest, size }) => [digest, size]))
    const left = await leftPartials(join(this.#root, BLOBS)).catch(() => []) // of a directory that is not there
    const held = new Map<Digest, number>()
    for (const { digest, size } of left) {
      const most = digest && sizes.get(digest)
      if (digest && most !== undefined) held.set(digest, Math.max(held.get(digest) ?? 0, Math.min(size, most)))
    }
    return { blobs: missing, held: [...held.values()].reduce((sum, size) => sum + size, 0) }
  }

  /** Whether any blob is there, or a part of one that {@link put} would go on with; neither is hashed. */
  async holdsAny(): Promise<boolean> {
    const directory = join(this.#root, BLOBS)
    const names = await readdir(directory).catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') return []
      throw fileError(error, directory)
    })
    for (const name of names) if (/^[0-9a-f]{64}$/.test(name) || (await isUseful(directory, name))) return true
    return false
  }

  async has(blob: Descriptor, { signal, watch }: HasOptions = {}): Promise<boolean> {
    if (this.#whole.has(blob.digest) && (!watch || (await this.#isTar(blob, watch)))) return true
    try {
      const found = await stat(this.path(blob.digest))
      if (!found.isFile() || found.size !== blob.size) return false
      if (watch) {
        const layer = watch.begin()
        for await (const piece of this.fetch(blob, { signal })) await layer.add(piece)
        const { digest, plain } = await layer.finish()
        if (digest !== blob.digest) return false
        watch.found(plain)
      } else {
        for await (const _piece of verified(blob, this.fetch(blob, { signal }))) signal?.throwIfAborted()
      }
    } catch (error) {
      if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return false
      if (error instanceof StowageError && (error.code === 'DIGEST_MISMATCH' || error.code === 'BLOB_MISSING'))
        return false
      throw abortError(error, signal)
    }
    this.#whole.add(blob.digest)
    return true
  }

  /** Whether a blob that is complete is not compressed: its digest is then that of the tar. */
  async #isTar(blob: Descriptor, watch: LayerWatch): Promise<boolean> {
    const head = Buffer.alloc(MAGIC_SIZE)
    try {
      const file = await open(this.path(blob.digest), 'r')
      try {
        await file.read(head)
      } finally {
        await file.close()
      }
    } catch {
      return false // reported when all of it is read
    }
    if (compressionOf(head)) return false
    watch.found({ diffId: blob.digest })
    return true
  }

  async *fetch(blob: Descriptor, options?: FetchOptions): Bytes {
    yield* this.fetchFrom(blob, 0, options)
  }

  async *fetchFrom(blob: Descriptor, start: number, { signal }: FetchOptions = {}): Bytes {
    const path = this.path(blob.digest)
    try {
      yield* createReadStream(path, { start, highWaterMark: PIECE, ...(signal ? { signal } : {}) })
    } catch (error) {
      if (systemCode(error) === 'ENOENT') {
        throw new StowageError('BLOB_MISSING', `${path} does not exist`, { hint: hintFor(blob, path), cause: error })
      }
      throw abortError(fileError(error, path), signal)
    }
  }

  async placeOf(blob: Descriptor): Promise<BlobPlace | undefined> {
    try {
      const file = await realpath(this.path(blob.digest))
      return (await stat(file)).size === blob.size ? { file, offset: 0 } : undefined
    } catch {
      return undefined // the error is reported when the blob is read
    }
  }

  async put(blob: Descriptor, read: ReadBlob, options: PutOptions = {}): Promise<void> {
    await makeDirectory(join(this.#root, BLOBS)).catch((error: unknown) => {
      throw fileError(error, this.#root)
    })
    using partial = await claimPartial(join(this.#root, BLOBS), blob)
    const { path } = partial
    const { place, ...again } = options
    let { held } = partial
    try {
      if (held === 0 && place && blob.size >= SLOT && (await this.#clone(place, path))) {
        held = blob.size // read back below, and hashed
        options.onSaved?.(held)
      }
      const rest = held < blob.size ? (downloader?: NativeDownloader) => read(held, downloader) : nothing
      await writeBlob({ path, held, offset: 0, direct: true }, blob, rest, options)
    } catch (error) {
      // A small blob is never resumed, so nothing would use its partial file
      const useful = blob.size >= SLOT && (await isUseful(dirname(path), basename(path)))
      if (!useful || !isInterruption(error)) await removeLeavings(path)
      // The part left by an earlier attempt may be what is wrong: start again without it
      if (held > 0 && isMismatch(error)) {
        await this.put(blob, read, again)
        return
      }
      throw abortError(fileError(error, path), options.signal)
    }
    await this.#file(path, blob)
    await removeLeft(dirname(path), blob)
  }

  /** Makes the file `path` share the blocks of `place`; false if the file system cannot do that. */
  async #clone({ file, offset }: BlobPlace, path: string): Promise<boolean> {
    if (!this.#clones || offset > 0) return false // blocks of an archive are not blocks of what it holds
    const { mode } = await stat(path)
    try {
      await copyFile(file, path, constants.COPYFILE_FICLONE_FORCE)
      await chmod(path, mode) // the mode was copied as well
      return true
    } catch {
      this.#clones = false // it is copied, which reports what is wrong
      await (await open(path, 'w')).close() // a copy that fails removes it
      return false
    }
  }

  async create<T extends StagedBlob>(produce: (target: { path: string; offset: number }) => Promise<T>): Promise<T> {
    const partial = pathToCreate(join(this.#root, BLOBS))
    try {
      await makeDirectory(dirname(partial))
      await (await open(partial, 'wx')).close()
      const blob = await produce({ path: partial, offset: 0 })
      await syncPath(partial, 'file')
      await this.#file(partial, blob)
      return blob
    } catch (error) {
      await removeLeavings(partial)
      throw fileError(error, dirname(partial))
    }
  }

  /** Removes what interrupted runs left: for one that needed none of it, or has gone on with what it needed. */
  async clearLeft(): Promise<void> {
    await clearPartials(join(this.#root, BLOBS))
  }

  async #file(partial: string, { digest }: StagedBlob): Promise<void> {
    try {
      await this.#admit()
      await rename(partial, this.path(digest))
    } catch (error) {
      await removeLeavings(partial)
      throw fileError(error, dirname(partial))
    }
    this.#whole.add(digest)
  }
}

async function* nothing(): Bytes {
  // there is no more
}

function isMismatch(error: unknown): boolean {
  return error instanceof StowageError && (error.code === 'DIGEST_MISMATCH' || error.code === 'SIZE_MISMATCH')
}

function hintFor({ mediaType, urls = [] }: Descriptor, path: string): string {
  if (!isForeignLayer(mediaType)) return 'Not all of the image is there: copy it again, with all its platforms.'
  const from = urls.length > 0 ? `from ${urls.join(' or ')}` : 'from its publisher'
  return `It is a foreign layer, which most tools leave out: fetch it ${from}, and put it there as ${path}.`
}
