/** Where content named by its digest is read from, and where it is written to. */
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'

export type Bytes = AsyncIterable<Uint8Array>

export interface FetchOptions {
  readonly signal?: AbortSignal | undefined
}

/** Content to read. What `fetch` gives is not checked: whoever uses it passes it through `verified()`. */
export interface BlobStore {
  has(blob: Descriptor): Promise<boolean>
  /** Lazy: nothing is opened before the first byte is asked for. Throws BLOB_MISSING. */
  fetch(blob: Descriptor, options?: FetchOptions): Bytes
}

/** Content to write. */
export interface BlobSink {
  /** Whether the blob is there and whole: a file that merely has the right name is not enough. */
  has(blob: Descriptor): Promise<boolean>
  /** Checks `bytes` against `blob` while writing. When it returns, the blob is wholly there; when it throws, absent. */
  put(blob: Descriptor, bytes: Bytes, options?: FetchOptions): Promise<void>
}

/** A blob that was made in its place: what its descriptor needs. */
export interface StagedBlob {
  readonly digest: Digest
  /** In bytes, as written. */
  readonly size: number
}

/**
 * A place where content that is born here (a layer made from a WIM) is written once, straight to where it will stay.
 * `produce` writes to `path` from `offset` on, with as many bytes as it likes, and says what it wrote; the stage then
 * files it under its digest. When `produce` throws, nothing stays.
 */
export interface BlobStage {
  create<T extends StagedBlob>(produce: (target: { readonly path: string; readonly offset: number }) => Promise<T>): Promise<T>
}
