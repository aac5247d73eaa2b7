/** Copies blobs from stores to a sink: blobs already present are skipped, the others go through the queue. */
import type { Descriptor } from '../oci/descriptor.js'
import type { WaitOptions } from '../progress.js'
import { type BlobSink, type BlobStore, type Bytes, fetchFrom } from './blob-store.js'
import { blobsOf, type ImageContent, sizeOf } from './closure.js'
import { copyQueued, type QueueOptions } from './queue.js'

/** A blob to copy, and the store that has it. */
export interface WantedBlob {
  readonly blob: Descriptor
  readonly store: BlobStore
}

export interface FillOptions extends QueueOptions {
  /** Called with the bytes that were already present, and the bytes that were copied. */
  readonly onBytes?: (kind: 'held' | 'sent', size: number) => void
}

/**
 * Copies the blobs of `wanted` that `sink` lacks, each once. Throws the first error; other blobs may have been copied.
 */
export async function fill(
  sink: BlobSink,
  wanted: readonly WantedBlob[],
  { onBytes, ...options }: FillOptions = {},
): Promise<void> {
  const once = new Map(wanted.map(({ blob, store }) => [blob.digest, { blob, store }]))
  await copyQueued(
    [...once.values()].map(({ blob, store }) => ({
      blob,
      host: store.host,
      copy: async signal => {
        if (await sink.has(blob, { signal })) return onBytes?.('held', blob.size)
        const onSaved = (size: number): void => onBytes?.('sent', size)
        const place = await store.placeOf?.(blob)
        await sink.put(
          blob,
          (offset, downloader) => counted(fetchFrom(store, blob, offset, { signal, downloader }), offset),
          { signal, place, onSaved },
        )
      },
    })),
    options,
  )

  async function* counted(bytes: Bytes, offset: number): Bytes {
    if (offset > 0) onBytes?.('held', offset)
    for await (const piece of bytes) {
      onBytes?.('sent', piece.length)
      yield piece
    }
  }
}

/** All blobs of `image`: manifests and configs from memory, the rest from `store`. */
export function wantedBlobs(image: ImageContent, store: BlobStore): readonly WantedBlob[] {
  const bytes = new Map(
    [...image.manifests, ...image.configs].map(document => [document.descriptor.digest, document.bytes]),
  )
  const documents: BlobStore = {
    has: async ({ digest }) => bytes.has(digest),
    async *fetch({ digest }: Descriptor): Bytes {
      yield bytes.get(digest) ?? new Uint8Array()
    },
  }
  return blobsOf(image).map(blob => ({ blob, store: bytes.has(blob.digest) ? documents : store }))
}

/**
 * {@link fill} for all blobs of `image`. Returns the bytes sent and skipped; progress is reported under the name
 * `subject`.
 */
export async function fillWith(
  sink: BlobSink,
  image: ImageContent,
  store: BlobStore,
  { subject, onProgress, ...options }: QueueOptions & WaitOptions & { readonly subject: string },
): Promise<{ readonly sent: number; readonly skipped: number }> {
  const total = sizeOf(image)
  let [sent, skipped] = [0, 0]
  await fill(sink, wantedBlobs(image, store), {
    ...options,
    onBytes(kind, size) {
      if (kind === 'sent') sent += size
      else skipped += size
      onProgress?.({ type: 'bytes', subject, done: Math.min(sent + skipped, total), total })
    },
  })
  return { sent, skipped }
}
