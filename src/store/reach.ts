/** Which blobs of a layout an image needs: the mark of mark and sweep. */
import type { BlobStore, FetchOptions } from '../blob/blob-store.js'
import { readVerified } from '../blob/verified.js'
import { StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { MANIFEST_LIMIT, parseManifest } from '../oci/manifest.js'
import { isIndex, isManifest } from '../oci/media-type.js'

const DEPTH_LIMIT = 8

/**
 * What manifests and indexes name, read once each. `subject` is no such name: what is about an image does not keep it. A manifest that
 * an index names and that is not there has been left out, and reaches nothing.
 */
export class Reach {
  readonly #blobs: BlobStore
  readonly #children = new Map<Digest, readonly Descriptor[] | undefined>()

  constructor(blobs: BlobStore) {
    this.#blobs = blobs
  }

  /** Adds to `reached` all that `root` needs, itself first. Throws BLOB_MISSING, DIGEST_MISMATCH, INVALID_MANIFEST and what reading throws. */
  async mark(root: Descriptor, reached: Set<Digest>, options: FetchOptions = {}): Promise<void> {
    await this.#visit(root, 0, async (blob, depth) => {
      if (reached.has(blob.digest)) return []
      reached.add(blob.digest)
      return await this.#childrenOf(blob, depth, options)
    })
  }

  /** As {@link mark} of what can be read: whatever is below what cannot is passed over. */
  async markReadable(root: Descriptor, reached: Set<Digest>, options: FetchOptions = {}): Promise<void> {
    await this.#visit(root, 0, async (blob, depth) => {
      if (reached.has(blob.digest)) return []
      reached.add(blob.digest)
      try {
        return await this.#childrenOf(blob, depth, options)
      } catch (error) {
        if (error instanceof StowageError && error.code !== 'ABORTED') return []
        throw error
      }
    })
  }

  async #visit(blob: Descriptor, depth: number, childrenOf: (blob: Descriptor, depth: number) => Promise<readonly Descriptor[]>): Promise<void> {
    for (const child of await childrenOf(blob, depth)) await this.#visit(child, depth + 1, childrenOf)
  }

  async #childrenOf(blob: Descriptor, depth: number, options: FetchOptions): Promise<readonly Descriptor[]> {
    if (!isIndex(blob.mediaType) && !isManifest(blob.mediaType)) return []
    const known = this.#children.get(blob.digest)
    if (known) return known
    if (depth > DEPTH_LIMIT) throw new StowageError('INVALID_MANIFEST', `${blob.digest}: indexes nested over ${DEPTH_LIMIT} deep`)
    let bytes: Uint8Array
    try {
      bytes = await readVerified(blob, this.#blobs.fetch(blob, options), MANIFEST_LIMIT)
    } catch (error) {
      if (depth > 0 && error instanceof StowageError && error.code === 'BLOB_MISSING') return []
      throw error
    }
    const parsed = parseManifest(bytes, blob.digest, blob.mediaType)
    const children = parsed.type === 'index' ? parsed.manifests : [parsed.config, ...parsed.layers]
    this.#children.set(blob.digest, children)
    return children
  }
}
