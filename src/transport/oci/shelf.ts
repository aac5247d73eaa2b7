/** An OCI image layout as a shelf. */
import { lstat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { fileError, systemCode } from '../../errors.js'
import { groupByRoot, selectImage } from '../../image/selection.js'
import type { Shelf, ShelfName } from '../../image/shelf.js'
import { blobPath, LAYOUT_FILE, nameOf, REF_NAME_ANNOTATION } from '../../oci/layout.js'
import { isReference, parseReference, type Reference } from '../../oci/reference.js'
import { readLayoutIndex } from './source.js'

/** `ref` chooses one image of it. Throws what {@link readLayoutIndex} throws, IMAGE_NOT_FOUND for a reference that is not there. */
export async function openLayoutShelf(name: string, directory: string, ref: string | undefined): Promise<Shelf> {
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
