/** Serves an OCI image layout to registry clients, as a {@link Shelf}. */
import { lstat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { fileError, systemCode } from '../../errors.js'
import { groupByRoot, selectImage } from '../../image/selection.js'
import type { Shelf, ShelfName } from '../../image/shelf.js'
import { blobPath, LAYOUT_FILE, nameOf, REF_NAME_ANNOTATION } from '../../oci/layout.js'
import { isReference, parseReference, type Reference } from '../../oci/reference.js'
import { readLayoutIndex } from './source.js'

/**
 * `ref` selects one image. Throws what {@link readLayoutIndex} throws, and IMAGE_NOT_FOUND if the layout does not have
 * it.
 */
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
        const found = await lstat(file) // a link could lead to any file on this machine
        return found.isFile() ? [{ file, offset: 0, size: found.size }] : undefined
      } catch (error) {
        if (systemCode(error) !== 'ENOENT' && systemCode(error) !== 'ENOTDIR') throw fileError(error, file)
        const layout = join(directory, LAYOUT_FILE)
        await lstat(layout).catch((gone: unknown) => {
          throw fileError(gone, layout) // the medium itself is gone
        })
        return undefined
      }
    },
    async [Symbol.asyncDispose]() {},
  }
}

/** Placeholder for a missing domain while an image is selected: no registry has a one-letter uppercase host. */
const NO_DOMAIN = 'X'

/** skopeo's layouts name images only by tag: the directory is then the repository. */
function byTag(directory: string, refName: string | undefined): Reference | undefined {
  if (refName === undefined) return undefined
  const text = `${NO_DOMAIN}/${basename(resolve(directory)).toLowerCase()}:${refName}`
  return isReference(text) ? parseReference(text) : undefined
}

function withoutMark({ domain, ...name }: Reference): ShelfName {
  return { ...name, domain: domain === NO_DOMAIN ? undefined : domain }
}
