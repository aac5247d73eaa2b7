/** An OCI image layout as an image store. Source: OCI image-spec, image-layout.md. */
import { constants } from 'node:fs'
import { open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { BlobStore, FetchOptions } from '../../blob/blob-store.js'
import { syncPath } from '../../blob/durable.js'
import { changeLayoutIndex, type LayoutEntry, refuseBundle } from './layout-index.js'
import { abortError, fileError, StowageError, systemCode } from '../../errors.js'
import type { Descriptor } from '../../oci/descriptor.js'
import type { Digest } from '../../oci/digest.js'
import { record } from '../../oci/json.js'
import {
  blobPath,
  IMAGE_NAME_ANNOTATION,
  INDEX_FILE,
  namedDescriptor,
  nameOf,
  REF_NAME_ANNOTATION,
} from '../../oci/layout.js'
import { formatReference, type Reference, withDefaultTag } from '../../oci/reference.js'
import type { OnProgress } from '../../progress.js'
import { readLayoutIndex } from './source.js'
import { BlobImages, type IndexedImage } from '../../image/blob-images.js'
import type {
  HistoryStep,
  ImageStore,
  ImageUser,
  Removal,
  RemoveOptions,
  StoredImage,
} from '../../image/image-store.js'
import { Marks, Reach } from './reach.js'

export interface LayoutStoreOptions {
  readonly onProgress?: OnProgress | undefined
  /** Whether a directory that does not exist, or has no index yet, counts as an empty store. */
  readonly mayBeMissing?: boolean | undefined
}

/**
 * Opens the layout `directory`. Changes are made under its lock, so several processes can make them at once. Throws
 * FILE_NOT_FOUND, NOT_A_LAYOUT, INVALID_MANIFEST.
 */
export async function openLayoutStore(
  directory: string,
  { mayBeMissing = false, onProgress }: LayoutStoreOptions = {},
): Promise<ImageStore> {
  const store = new LayoutStore(directory, mayBeMissing, onProgress)
  await store.entries()
  return store
}

class LayoutStore implements ImageStore {
  readonly location: string
  readonly #directory: string
  readonly #mayBeMissing: boolean
  readonly #onProgress: OnProgress | undefined
  readonly #images: BlobImages
  readonly #reach: Reach

  constructor(directory: string, mayBeMissing: boolean, onProgress: OnProgress | undefined) {
    this.location = `oci:${directory}`
    this.#directory = directory
    this.#mayBeMissing = mayBeMissing
    this.#onProgress = onProgress
    const blobs = smallBlobs(directory)
    this.#images = new BlobImages(blobs)
    this.#reach = new Reach(blobs)
  }

  async entries(): Promise<readonly Descriptor[]> {
    try {
      return await readLayoutIndex(this.#directory)
    } catch (error) {
      if (this.#mayBeMissing && error instanceof StowageError && error.code === 'FILE_NOT_FOUND') return []
      throw error
    }
  }

  async names(): Promise<readonly Reference[]> {
    return (await this.entries()).flatMap(entry => nameOf(entry) ?? [])
  }

  async images(options?: FetchOptions): Promise<readonly StoredImage[]> {
    return await this.#images.images(indexedImages(await this.entries()), options)
  }

  async history(image: StoredImage, options?: FetchOptions): Promise<readonly HistoryStep[]> {
    return await this.#images.history(indexedImages(await this.entries()), image, options)
  }

  async users(): Promise<readonly ImageUser[]> {
    return []
  }

  async tag({ id }: StoredImage, name: Reference, { signal }: FetchOptions = {}): Promise<void> {
    await this.#refuseBundle()
    const full = formatReference(name)
    await changeLayoutIndex(
      this.#directory,
      async entries => {
        const twin = entries.find(({ descriptor }) => descriptor.digest === id)
        if (!twin) throw gone(id, this.#directory)
        if (entries.some(({ descriptor }) => descriptor.digest === id && keyOf(descriptor) === full)) return undefined
        const kept = withoutNames(entries, ({ descriptor }) => keyOf(descriptor) === full)
        const rest = kept.filter(({ descriptor }) => descriptor.digest !== id || keyOf(descriptor) !== undefined)
        const refNames = new Set(rest.map(({ descriptor }) => descriptor.annotations?.[REF_NAME_ANNOTATION]))
        const short = name.tag !== undefined && !refNames.has(name.tag) ? name.tag : full
        return [...rest.map(({ raw }) => raw), namedDescriptor(twin.descriptor, name, short)]
      },
      { signal, onProgress: this.#onProgress },
    )
  }

  /**
   * Updates the index first, then deletes the blobs that are no longer needed: even if interrupted, every image that
   * has a name is complete.
   */
  async remove(
    { id, names: known, refNames }: StoredImage,
    names: readonly string[] | undefined,
    { signal }: RemoveOptions = {},
  ): Promise<readonly Removal[]> {
    await this.#refuseBundle()
    const wanted = new Set(names ?? [...known, ...refNames])
    // Reading all manifests may take longer than the lock should be held: this fills the cache first
    for (const root of await this.entries()) await this.#reach.markReadable(root, new Marks(), { signal })
    const untagged: Removal[] = []
    let swept: readonly Digest[] = []
    await changeLayoutIndex(
      this.#directory,
      async entries => {
        const own = entries.filter(({ descriptor }) => descriptor.digest === id)
        const named = own.filter(({ descriptor }) => wanted.has(keyOf(descriptor) ?? ''))
        const others = own.filter(
          ({ descriptor }) => keyOf(descriptor) !== undefined && !named.some(entry => entry.descriptor === descriptor),
        )
        // An image goes with its last name, even if it also has an entry without a name
        const leaving = others.length === 0 && named.length === wanted.size ? own : named
        const [first] = leaving
        if (!first || named.length < wanted.size) throw gone(id, this.#directory)
        const rest = entries.filter(entry => !leaving.includes(entry))
        for (const { descriptor } of leaving) {
          const key = keyOf(descriptor)
          if (key !== undefined) untagged.push({ untagged: key })
        }
        if (!rest.some(({ descriptor }) => descriptor.digest === id))
          swept = await this.#unreached(first.descriptor, rest, signal)
        return rest.map(({ raw }) => raw)
      },
      {
        signal,
        onProgress: this.#onProgress,
        after: async () => {
          for (const digest of swept) {
            const path = join(this.#directory, blobPath(digest))
            await rm(path, { force: true }).catch((error: unknown) => {
              throw fileError(error, path)
            })
          }
          if (swept.length > 0) await syncPath(join(this.#directory, 'blobs', 'sha256'), 'directory')
        },
      },
    )
    return [...untagged, ...swept.map(deleted => ({ deleted }))]
  }

  async commit(): Promise<never> {
    throw new StowageError('UNSUPPORTED', `${this.location} has no containers: only an engine has them`, {
      hint: 'Commit in the engine, and copy the image: stowage copy docker-daemon:NAME oci:DIR.',
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /**
   * The blobs that only `root` needs. Blobs that no image needed before stay: another process may be about to name
   * them.
   */
  async #unreached(
    { annotations: _annotations, ...root }: Descriptor,
    rest: readonly LayoutEntry[],
    signal: AbortSignal | undefined,
  ): Promise<readonly Digest[]> {
    const needed = new Marks()
    for (const { descriptor } of rest) {
      try {
        await this.#reach.mark(descriptor, needed, { signal })
      } catch (error) {
        const told = abortError(error, signal)
        if (!(told instanceof StowageError) || told.code === 'ABORTED') throw told
        const name = keyOf(descriptor) ?? descriptor.digest
        throw new StowageError(
          told.code,
          `nothing was removed, because what else ${this.#directory} needs cannot be determined: ${name}: ${told.message}`,
          {
            hint: `Copy that image again, or remove it first: stowage rmi ${descriptor.digest}.`,
            cause: told,
          },
        )
      }
    }
    const own = new Marks()
    await this.#reach.markReadable(root, own, { signal })
    return [...own.reached].filter(digest => !needed.reached.has(digest))
  }

  async #refuseBundle(): Promise<void> {
    refuseBundle(
      this.#directory,
      await readdir(this.#directory).catch((error: unknown) => {
        throw fileError(error, this.#directory)
      }),
    )
  }
}

/** The name of an entry's image: the full name, or else the one in the index. */
function keyOf(descriptor: Descriptor): string | undefined {
  const name = nameOf(descriptor)
  return name ? formatReference(withDefaultTag(name)) : descriptor.annotations?.[REF_NAME_ANNOTATION]
}

/**
 * Removes the names of the entries that `taken` accepts; an image with no other name keeps an entry without one, as in
 * docker.
 */
function withoutNames(entries: readonly LayoutEntry[], taken: (entry: LayoutEntry) => boolean): readonly LayoutEntry[] {
  const kept = entries.filter(entry => !taken(entry))
  const held = new Set(kept.map(({ descriptor }) => descriptor.digest))
  const nameless = entries
    .filter(entry => taken(entry) && !held.has(entry.descriptor.digest))
    .map(({ raw, descriptor }): LayoutEntry => {
      const {
        annotations: { [IMAGE_NAME_ANNOTATION]: _name, [REF_NAME_ANNOTATION]: _refName, ...annotations } = {},
        ...root
      } = descriptor
      return { raw: { ...record(raw, INDEX_FILE), annotations }, descriptor: { ...root, annotations } }
    })
  return [...kept, ...new Map(nameless.map(entry => [entry.descriptor.digest, entry])).values()]
}

/** Each image once, with all its names. */
function indexedImages(entries: readonly Descriptor[]): readonly IndexedImage[] {
  const images = new Map<Digest, { root: Descriptor; names: Map<string, Reference>; refNames: Set<string> }>()
  for (const entry of entries) {
    const { annotations: _annotations, ...root } = entry
    const image = images.get(root.digest) ?? { root, names: new Map(), refNames: new Set() }
    images.set(root.digest, image)
    const [name, key] = [nameOf(entry), keyOf(entry)]
    if (name && key !== undefined) image.names.set(key, withDefaultTag(name))
    else if (key !== undefined) image.refNames.add(key)
  }
  return [...images.values()].map(({ root, names, refNames }) => ({
    root,
    names: [...names.values()],
    refNames: [...refNames],
  }))
}

/**
 * Reads manifests and configs, each in one piece: thousands of streams would take longer. The caller checks the size
 * against a limit first.
 */
function smallBlobs(directory: string): BlobStore {
  return {
    async has({ digest, size }) {
      return (await stat(join(directory, blobPath(digest)))).size === size
    },
    async *fetch({ digest, size }, { signal } = {}) {
      const path = join(directory, blobPath(digest))
      try {
        signal?.throwIfAborted()
        yield await readUpTo(path, size + 1) // one extra byte is enough to detect a wrong size
      } catch (error) {
        if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') {
          throw new StowageError('BLOB_MISSING', `${path} does not exist`, {
            hint: 'Not all of the image is there: copy it again, with all its platforms.',
            cause: error,
          })
        }
        throw abortError(fileError(error, path), signal)
      }
    },
  }
}

/** The first `limit` bytes of a file. Does not wait for a writer if there is a named pipe in its place. */
async function readUpTo(path: string, limit: number): Promise<Uint8Array> {
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  try {
    const bytes = Buffer.allocUnsafe(limit)
    let at = 0
    while (at < limit) {
      const { bytesRead } = await file.read(bytes, at, limit - at, at)
      if (bytesRead === 0) break
      at += bytesRead
    }
    return bytes.subarray(0, at)
  } finally {
    await file.close()
  }
}

function gone(id: string, directory: string): StowageError {
  return new StowageError('IMAGE_NOT_FOUND', `${directory} no longer has the image ${id} under that name`, {
    hint: 'Another process changed it first: see stowage images.',
  })
}
