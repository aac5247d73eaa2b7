/** Where content named by its digest is read from, and where it is written to. */
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import type { NativeDownloader } from './native-download.js'

export type Bytes = AsyncIterable<Uint8Array>

export interface FetchOptions {
  readonly signal?: AbortSignal | undefined
  /** Where bytes may go straight: what lands there is not among what is given, and counts as given. */
  readonly downloader?: NativeDownloader | undefined
}

/** Content to read. What `fetch` gives is not checked: the caller passes it through `verified()`. */
export interface BlobStore {
  /** What reads of several stores share, and do not like too many of at a time: a registry's domain. */
  readonly host?: string | undefined
  has(blob: Descriptor): Promise<boolean>
  /** Lazy: nothing is opened before the first byte is asked for. Throws BLOB_MISSING. */
  fetch(blob: Descriptor, options?: FetchOptions): Bytes
  /** The same from byte `offset` on, where the place can begin in the middle. */
  fetchFrom?(blob: Descriptor, offset: number, options?: FetchOptions): Bytes
  /** Where its bytes are on disk, for a native thread that reads them; undefined if they are nowhere, or not so many. */
  placeOf?(blob: Descriptor): Promise<BlobPlace | undefined>
}

/** A range of a file, as long as the blob. A link in the last place of the path is not followed. */
export interface BlobPlace {
  readonly file: string
  readonly offset: number
}

/** `fetch` from byte `offset` on, whatever the place can do: where it begins at the start, what is not wanted is dropped. */
export async function* fetchFrom(store: BlobStore, blob: Descriptor, offset: number, options?: FetchOptions): Bytes {
  if (offset > 0 && store.fetchFrom) {
    yield* store.fetchFrom(blob, offset, options)
    return
  }
  yield* withoutFirst(offset, store.fetch(blob, offset > 0 ? { ...options, downloader: undefined } : options))
}

/** `bytes` but for the first `count`. */
export async function* withoutFirst(count: number, bytes: Bytes): Bytes {
  let skip = count
  for await (const piece of bytes) {
    const rest = piece.subarray(Math.min(skip, piece.length))
    skip -= piece.length - rest.length
    if (rest.length > 0) yield rest
  }
}

/** Content to write. */
export interface BlobSink {
  /** Whether the blob is there and whole: a file that merely has the right name is not enough. */
  has(blob: Descriptor, options?: FetchOptions): Promise<boolean>
  /**
   * Writes what `read` gives from an offset on, checked against `blob`: an offset over 0 if an earlier try left a part. When
   * it returns, the blob is wholly there; when it throws, nothing has its name. No piece is kept beyond the next.
   */
  put(blob: Descriptor, read: ReadBlob, options?: PutOptions): Promise<void>
}

/** A blob from a byte on, but for what lands. */
export type ReadBlob = (offset: number, downloader?: NativeDownloader) => Bytes

export interface PutOptions {
  readonly signal?: AbortSignal | undefined
  /** Told of bytes that landed: those that passed are whoever's who gave them. */
  readonly onSaved?: ((size: number) => void) | undefined
}

/** A blob that was made in its place: what its descriptor needs. */
export interface StagedBlob {
  readonly digest: Digest
  /** In bytes, as written. */
  readonly size: number
}

/**
 * A place where content that is made here (a layer made from a WIM) is written once, straight to where it will stay.
 * `produce` writes to `path` from `offset` on, with as many bytes as it likes, and says what it wrote; the stage then
 * files it under its digest. When `produce` throws, nothing stays.
 */
export interface BlobStage {
  create<T extends StagedBlob>(
    produce: (target: { readonly path: string; readonly offset: number }) => Promise<T>,
  ): Promise<T>
}
