/** Blobs from where they are read to where they are kept: what is there already stays, the rest goes through the queue. */
import type { Descriptor } from '../oci/descriptor.js'
import type { WaitOptions } from '../progress.js'
import { type BlobSink, type BlobStore, type Bytes, fetchFrom } from './blob-store.js'
import { blobsOf, type ImageContent, sizeOf } from './closure.js'
import { copyQueued, type QueueOptions } from './queue.js'

/** A blob that is wanted, and where it can be had. */
export interface WantedBlob {
  readonly blob: Descriptor
  readonly store: BlobStore
}

export interface FillOptions extends QueueOptions {
  /** Bytes that were there, and bytes that came. */
  readonly onBytes?: (kind: 'held' | 'sent', size: number) => void
}

/** Puts into `sink` what it lacks of `wanted`, each blob once. Throws what the first that failed throws; others may be there then. */
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
        await sink.put(
          blob,
          (offset, downloader) => counted(fetchFrom(store, blob, offset, { signal, downloader }), offset),
          { signal, onSaved },
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

/** All blobs of `image`: manifests and configs as they were read, the rest from `store`. */
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
 * {@link fill} with all blobs of `image`, and what became of them, in bytes; progress goes by the name `subject`.
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
