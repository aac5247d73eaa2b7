/** Which blobs of a layout an image needs: the mark of mark and sweep. */
import type { BlobStore, FetchOptions } from '../../blob/blob-store.js'
import { DEPTH_LIMIT } from '../../blob/closure.js'
import { readVerified } from '../../blob/verified.js'
import { StowageError } from '../../errors.js'
import type { Descriptor } from '../../oci/descriptor.js'
import { type Digest, isDigest } from '../../oci/digest.js'
import { MANIFEST_LIMIT, parseManifest } from '../../oci/manifest.js'
import { isIndex, isManifest } from '../../oci/media-type.js'

/** What images were found to need, and which documents were read for it. */
export class Marks {
  readonly reached = new Set<Digest>()
  readonly read = new Set<string>()
}

/** What a document names: documents again, and blobs that name nothing. */
interface Named {
  readonly documents: readonly Descriptor[]
  readonly blobs: readonly Digest[]
}

const NOTHING: Named = { documents: [], blobs: [] }

/**
 * What the documents of a layout name, each read once. `subject` is no such name: what is about an image does not keep it. A document
 * that an index names and that is not there has been left out, and reaches nothing. Of a document of another type than manifests
 * and indexes every digest in it counts.
 */
export class Reach {
  readonly #blobs: BlobStore
  readonly #named = new Map<string, Named>()

  constructor(blobs: BlobStore) {
    this.#blobs = blobs
  }

  /** Marks all that `root` needs, itself first. Throws BLOB_MISSING, DIGEST_MISMATCH, INVALID_MANIFEST and what reading throws. */
  async mark(root: Descriptor, marks: Marks, options: FetchOptions = {}): Promise<void> {
    await this.#visit(root, marks, 0, async (document, depth) => await this.#namedBy(document, depth, options))
  }

  /** As {@link mark} of what can be read: whatever is below what cannot is passed over. */
  async markReadable(root: Descriptor, marks: Marks, options: FetchOptions = {}): Promise<void> {
    await this.#visit(root, marks, 0, async (document, depth) => {
      try {
        return await this.#namedBy(document, depth, options)
      } catch (error) {
        if (error instanceof StowageError && error.code !== 'ABORTED') return NOTHING
        throw error
      }
    })
  }

  async #visit(
    document: Descriptor,
    marks: Marks,
    depth: number,
    namedBy: (document: Descriptor, depth: number) => Promise<Named>,
  ): Promise<void> {
    const key = keyOf(document)
    if (marks.read.has(key)) return
    marks.read.add(key)
    marks.reached.add(document.digest)
    const { documents, blobs } = await namedBy(document, depth)
    for (const child of documents) await this.#visit(child, marks, depth + 1, namedBy)
    for (const blob of blobs) marks.reached.add(blob)
  }

  async #namedBy(document: Descriptor, depth: number, options: FetchOptions): Promise<Named> {
    const known = this.#named.get(keyOf(document))
    if (known) return known
    const opaque = !isIndex(document.mediaType) && !isManifest(document.mediaType)
    if (opaque && document.size > MANIFEST_LIMIT) return NOTHING
    if (depth > DEPTH_LIMIT)
      throw new StowageError('INVALID_MANIFEST', `${document.digest}: indexes nested over ${DEPTH_LIMIT} deep`)
    let bytes: Uint8Array
    try {
      bytes = await readVerified(document, this.#blobs.fetch(document, options), MANIFEST_LIMIT)
    } catch (error) {
      if (depth > 0 && error instanceof StowageError && error.code === 'BLOB_MISSING') return NOTHING
      throw error
    }
    const named = opaque ? digestsIn(bytes) : parsed(bytes, document)
    this.#named.set(keyOf(document), named)
    return named
  }
}

/** The same bytes may be one document to one who names them and another to the next. */
function keyOf({ mediaType, digest }: Descriptor): string {
  return `${digest} ${mediaType}`
}

function parsed(bytes: Uint8Array, { digest, mediaType }: Descriptor): Named {
  const manifest = parseManifest(bytes, digest, mediaType)
  if (manifest.type === 'index') return { documents: manifest.manifests, blobs: [] }
  return { documents: [], blobs: [manifest.config, ...manifest.layers].map(blob => blob.digest) }
}

function digestsIn(bytes: Uint8Array): Named {
  const found: readonly string[] =
    Buffer.from(bytes)
      .toString('latin1')
      .match(/sha256:[0-9a-f]{64}/g) ?? []
  return { documents: [], blobs: found.filter(isDigest) }
}
