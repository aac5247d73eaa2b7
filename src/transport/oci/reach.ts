/** Finds the blobs of a layout that its images need: the mark phase of mark and sweep. */
import type { BlobStore, FetchOptions } from '../../blob/blob-store.js'
import { DEPTH_LIMIT } from '../../blob/closure.js'
import { readVerified } from '../../blob/verified.js'
import { StowageError } from '../../errors.js'
import type { Descriptor } from '../../oci/descriptor.js'
import { type Digest, isDigest } from '../../oci/digest.js'
import { MANIFEST_LIMIT, parseManifest } from '../../oci/manifest.js'
import { isIndex, isManifest } from '../../oci/media-type.js'

/** The blobs that images need, and the documents that were read to find them. */
export class Marks {
  readonly reached = new Set<Digest>()
  readonly read = new Set<string>()
}

/** What a document refers to: other documents, and blobs that refer to nothing. */
interface Named {
  readonly documents: readonly Descriptor[]
  readonly blobs: readonly Digest[]
}

const NOTHING: Named = { documents: [], blobs: [] }

/**
 * The references in the documents of a layout, each document read once. `subject` does not count: a signature does not
 * keep the image that it describes. A document that an index lists but that does not exist was left out, and refers to
 * nothing. In a document that is neither a manifest nor an index, every digest counts.
 */
export class Reach {
  readonly #blobs: BlobStore
  readonly #named = new Map<string, Named>()

  constructor(blobs: BlobStore) {
    this.#blobs = blobs
  }

  /**
   * Marks everything that `root` needs, and `root` itself first. Throws BLOB_MISSING, DIGEST_MISMATCH, INVALID_MANIFEST
   * and what reading throws.
   */
  async mark(root: Descriptor, marks: Marks, options: FetchOptions = {}): Promise<void> {
    await this.#visit(root, marks, 0, async (document, depth) => await this.#namedBy(document, depth, options))
  }

  /** Like {@link mark}, but skips documents that cannot be read, and everything below them. */
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

/** Two references may give the same bytes different media types. */
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
