/** Interfaces for reading and writing content addressed by its digest. */
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import type { LayerWatch } from './layer-watch.js'
import type { NativeDownloader } from './native-download.js'

export type Bytes = AsyncIterable<Uint8Array>

export interface FetchOptions {
  readonly signal?: AbortSignal | undefined
  /** Writes bytes directly to their destination. Those bytes are not yielded, but count as fetched. */
  readonly downloader?: NativeDownloader | undefined
}

/** Content to read. `fetch` does not check the bytes: the caller passes them through `verified()`. */
export interface BlobStore {
  /** A registry's domain. Stores of the same host share a limit on concurrent reads. */
  readonly host?: string | undefined
  has(blob: Descriptor): Promise<boolean>
  /** Lazy: nothing is opened before the first byte is requested. Throws BLOB_MISSING. */
  fetch(blob: Descriptor, options?: FetchOptions): Bytes
  /** Like `fetch`, starting at byte `offset`, if the store supports reading from the middle. */
  fetchFrom?(blob: Descriptor, offset: number, options?: FetchOptions): Bytes
  /** Where the blob is on disk, for a native thread to read; undefined if it is not on disk or has another size. */
  placeOf?(blob: Descriptor): Promise<BlobPlace | undefined>
  /** Layers that the store leaves out because the destination has them, by digest, each with what proves that. */
  readonly leftOut?: ReadonlyMap<Digest, LeftOutBlob> | undefined
  /** Says that these blobs of the image that is being read will not be fetched: a stream need not keep them. */
  forgo?(blobs: readonly Descriptor[]): void
}

/** A blob that is to be at the destination already. */
export interface LeftOutBlob {
  readonly size: number
  /** Manifests of images that have the blob: a destination that has one of them, whole, has the blob. */
  readonly manifests?: readonly Digest[]
}

/** A range of a file, as long as the blob. If the last component of the path is a symbolic link, it is not followed. */
export interface BlobPlace {
  readonly file: string
  readonly offset: number
}

/** A range of a file on disk, in bytes. */
export interface DiskRange extends BlobPlace {
  readonly size: number
}

/** Fetches from byte `offset`. If the store can only read from the start, the bytes before `offset` are dropped. */
export async function* fetchFrom(store: BlobStore, blob: Descriptor, offset: number, options?: FetchOptions): Bytes {
  if (offset > 0 && store.fetchFrom) {
    yield* store.fetchFrom(blob, offset, options)
    return
  }
  yield* withoutFirst(offset, store.fetch(blob, offset > 0 ? { ...options, downloader: undefined } : options))
}

/** `bytes` without the first `count` bytes. */
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
  /** Whether the blob is present and complete: a file with the right name is not enough. Throws what a watch throws. */
  has(blob: Descriptor, options?: HasOptions): Promise<boolean>
  /**
   * Writes the bytes that `read` yields and checks them against `blob`. The offset passed to `read` is over 0 if an
   * earlier attempt left part of the blob. When this returns, the blob is complete; when it throws, no file has the
   * blob's name. A piece is not kept once the next one is requested.
   */
  put(blob: Descriptor, read: ReadBlob, options?: PutOptions): Promise<void>
}

/** Reads a blob from byte `offset`, without the bytes that `downloader` writes itself. */
export type ReadBlob = (offset: number, downloader?: NativeDownloader) => Bytes

export interface HasOptions {
  readonly signal?: AbortSignal | undefined
  /** Looks into the blob, if it is read to answer. */
  readonly watch?: LayerWatch | undefined
}

export interface PutOptions {
  readonly signal?: AbortSignal | undefined
  /** Looks into the blob while it is written. */
  readonly watch?: LayerWatch | undefined
  /** Where the blob is on disk: a sink on the same file system may share its blocks instead of copying them. */
  readonly place?: BlobPlace | undefined
  /** Called with the number of bytes that came without being yielded. The code that yields bytes counts those itself. */
  readonly onSaved?: ((size: number) => void) | undefined
}

/** A blob that was created in place: what its descriptor needs. */
export interface StagedBlob {
  readonly digest: Digest
  /** In bytes, as written. */
  readonly size: number
}

/**
 * Stores content that is generated locally (a layer made from a WIM) without copying it: it is written once, to its
 * final medium. `produce` writes any number of bytes to `path`, starting at `offset`, and returns their digest and
 * size; the stage then stores them under that digest. If `produce` throws, nothing is kept.
 */
export interface BlobStage {
  create<T extends StagedBlob>(
    produce: (target: { readonly path: string; readonly offset: number }) => Promise<T>,
  ): Promise<T>
}
