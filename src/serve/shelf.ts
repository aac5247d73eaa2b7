/** One place whose images are served: a bundle, or an OCI image layout. */
import { lstat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { openBundleReader } from '../bundle/reader.js'
import { fileError, StowageError, systemCode } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { blobPath, INDEX_FILE, LAYOUT_FILE, nameOf, parseLayoutIndex, REF_NAME_ANNOTATION } from '../oci/layout.js'
import { isReference, parseReference, type Reference } from '../oci/reference.js'
import { readLayoutIndex } from '../transport/oci/source.js'
import { parseLocation } from '../transport/location.js'
import { groupByRoot, selectImage } from '../image/selection.js'

/** A range of a file on disk that should hold a blob. */
export interface BlobPlace {
  readonly file: string
  readonly offset: number
  /** In bytes. */
  readonly size: number
}

export interface ShelfImage {
  readonly root: Descriptor
  /** Those without a domain are of layouts that name their images by tags alone: the path is the directory's name. */
  readonly names: readonly ShelfName[]
}

export interface ShelfName extends Omit<Reference, 'domain'> {
  readonly domain: string | undefined
}

/** Whoever opened it disposes of it. */
export interface Shelf extends AsyncDisposable {
  /** As it was named. */
  readonly name: string
  readonly images: readonly ShelfImage[]
  /** Other roots that it holds, whose manifests may name one of the images as their subject. */
  readonly others: readonly Descriptor[]
  /** Where the blob is; undefined where it is not there, or no regular file. */
  place(digest: Digest): Promise<BlobPlace | undefined>
}

const FOREIGN = /^(?:docker|docker-daemon|docker-archive|oci-archive|wim|dir):/

/**
 * Opens `text`: `PATH` or `bundle:PATH[:REF]` for a bundle, `oci:DIR[:REF]` for a layout. Throws what opening a bundle or a
 * layout throws; INVALID_ARGUMENT for any other place, IMAGE_NOT_FOUND for a REF that is not there.
 */
export async function openShelf(text: string, signal?: AbortSignal): Promise<Shelf> {
  if (/^(?:oci|bundle):/.test(text)) {
    const location = parseLocation(text)
    if (location.type === 'oci') return await openLayoutShelf(text, location.directory, location.ref)
    if (location.type === 'bundle') return await openBundleShelf(text, location.path, location.ref, signal)
  }
  try {
    return await openBundleShelf(text, text, undefined, signal)
  } catch (error) {
    const foreign = error instanceof StowageError && error.code === 'FILE_NOT_FOUND' && FOREIGN.test(text)
    if (!foreign) throw error
    throw new StowageError(
      'INVALID_ARGUMENT',
      `${text} is neither a bundle nor an OCI layout, and nothing else is served`,
      {
        hint: 'Pack it into a bundle first, with "stowage pack".',
        cause: error,
      },
    )
  }
}

async function openBundleShelf(
  name: string,
  path: string,
  ref: string | undefined,
  signal: AbortSignal | undefined,
): Promise<Shelf> {
  const reader = await openBundleReader(path, { ref, signal })
  try {
    const images = await reader.images()
    const pieces: Uint8Array[] = []
    for await (const piece of reader.read(INDEX_FILE, { signal })) pieces.push(piece)
    const own = new Set(images.map(({ root }) => root.digest))
    return {
      name,
      images,
      others: parseLayoutIndex(Buffer.concat(pieces), INDEX_FILE).filter(({ digest }) => !own.has(digest)),
      place: async digest =>
        reader.files.get(blobPath(digest))?.type === 'file' ? reader.place(blobPath(digest)) : undefined,
      [Symbol.asyncDispose]: async () => await reader[Symbol.asyncDispose](),
    }
  } catch (error) {
    await reader[Symbol.asyncDispose]()
    throw error
  }
}

async function openLayoutShelf(name: string, directory: string, ref: string | undefined): Promise<Shelf> {
  const entries = (await readLayoutIndex(directory)).map(({ annotations, platform: _platform, ...root }) => {
    const refName = annotations?.[REF_NAME_ANNOTATION]
    const full = nameOf({ annotations })
    return { root, refName, name: full ?? byTag(directory, refName) }
  })
  const chosen = ref === undefined ? groupByRoot(entries) : [selectImage(entries, ref, directory)]
  const own = new Set(chosen.map(({ root }) => root.digest))
  const images = chosen.map(({ root, names }) => ({ root, names: names.map(withoutMark) }))
  return {
    name,
    images,
    others: groupByRoot(entries)
      .map(({ root }) => root)
      .filter(({ digest }) => !own.has(digest)),
    async place(digest) {
      const file = join(directory, blobPath(digest))
      try {
        const found = await lstat(file) // a link could lead to any file of this machine
        return found.isFile() ? { file, offset: 0, size: found.size } : undefined
      } catch (error) {
        if (systemCode(error) !== 'ENOENT' && systemCode(error) !== 'ENOTDIR') throw fileError(error, file)
        const layout = join(directory, LAYOUT_FILE)
        await lstat(layout).catch((gone: unknown) => {
          throw fileError(gone, layout) // it is the medium that is not there
        })
        return undefined
      }
    },
    async [Symbol.asyncDispose]() {},
  }
}

/** Stands for no domain while names are chosen among: nobody's registry has a single capital letter for its host. */
const NO_DOMAIN = 'X'

/** A layout of skopeo's names its images by tags alone: the directory is the repository then. */
function byTag(directory: string, refName: string | undefined): Reference | undefined {
  if (refName === undefined) return undefined
  const text = `${NO_DOMAIN}/${basename(resolve(directory)).toLowerCase()}:${refName}`
  return isReference(text) ? parseReference(text) : undefined
}

function withoutMark({ domain, ...name }: Reference): ShelfName {
  return { ...name, domain: domain === NO_DOMAIN ? undefined : domain }
}
