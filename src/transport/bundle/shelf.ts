/** Serves a bundle to registry clients, as a {@link Shelf}. */
import { DOCUMENT_LIMIT } from '../../bundle/contents.js'
import { mergeHint } from '../../bundle/delta.js'
import { readSmall } from '../../bundle/files.js'
import { openBundleReader } from '../../bundle/reader.js'
import { StowageError } from '../../errors.js'
import type { Shelf } from '../../image/shelf.js'
import { blobPath, INDEX_FILE, parseLayoutIndex } from '../../oci/layout.js'
import { parseReference } from '../../oci/reference.js'
import type { OpenShelfOptions } from '../transport.js'

/**
 * `ref` selects one image. Throws what {@link openBundleReader} throws, and IMAGE_NOT_FOUND if the bundle does not have
 * it.
 */
export async function openBundleShelf(
  path: string,
  ref: string | undefined,
  { name, more, trust, signal, onNotice, onProgress }: OpenShelfOptions,
): Promise<Shelf> {
  const reader = await openBundleReader(path, { ref, more, trust, signal, onNotice, onProgress })
  try {
    if (reader.manifest.assumes)
      throw new StowageError('UNSUPPORTED', `${path} is a delta: its images are not whole, so it cannot be served`, {
        hint: mergeHint(path),
      })
    const chosen = new Set((await reader.images()).map(({ root }) => root.digest))
    const all = reader.manifest.images.filter(({ root, original = root }) => chosen.has(original.digest))
    // Clients get the complete index; the original, which may be signed, is served by its digest
    const images = all.map(({ root, original, names }) => ({ root, original, names: names.map(parseReference) }))
    const index = await readSmall(reader, INDEX_FILE, DOCUMENT_LIMIT, signal)
    const own = new Set(images.map(({ root }) => root.digest))
    return {
      name,
      images,
      others: parseLayoutIndex(index, INDEX_FILE).filter(({ digest }) => !own.has(digest)),
      place: async digest =>
        reader.files.get(blobPath(digest))?.type === 'file' ? reader.ranges(blobPath(digest)) : undefined,
      [Symbol.asyncDispose]: async () => await reader[Symbol.asyncDispose](),
    }
  } catch (error) {
    await reader[Symbol.asyncDispose]()
    throw error
  }
}
