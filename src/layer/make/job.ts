/** Runs the plan of a layer in the addon, which hashes, compresses and writes bytes and blobs in one pass. */
import { setImmediate } from 'node:timers/promises'
import type { StagedBlob } from '../../blob/blob-store.js'
import { layerMediaType } from '../../oci/compression.js'
import { type Digest, digestFromHex } from '../../oci/digest.js'
import type { NativeLayerJob, NativeLayerResult, NativeWimFile } from '../../wim/addon.js'
import { binding, nativeError } from '../../wim/binding.js'
import type { LayerCompression } from '../compression.js'
import type { LayerSegment } from './segments.js'

/** A layer that was written. */
export interface WrittenLayer extends StagedBlob {
  readonly mediaType: string
  /** SHA-256 of the uncompressed tar. */
  readonly diffId: Digest
  /** Size of the tar, in bytes. */
  readonly uncompressedSize: number
}

export interface LayerJobOptions {
  /** An existing file, written from `offset` on. */
  readonly path: string
  readonly offset: number
  readonly compression: Required<LayerCompression>
  readonly threads: number
  readonly signal: AbortSignal | undefined
  /** Called with the number of bytes of the tar that are done. */
  readonly onWritten: (uncompressed: number) => void
  /** The name of the input, for errors. */
  readonly subject: string
}

/** Bytes of the plan to queue in the addon. */
const PLAN_AHEAD = 2 * 1024 * 1024
const NO_CUTS = new Uint32Array()

/**
 * Writes a layer from `segments`, with `blobs` of `wim` at their cuts. The same input gives the same bytes. On an
 * error, the caller must remove what was written. Throws what the segments throw, WIM_CORRUPT, NO_SPACE, ABORTED.
 */
export async function runLayerJob(
  wim: NativeWimFile | undefined,
  blobs: Uint32Array,
  segments: Iterable<LayerSegment> | AsyncIterable<Uint8Array>,
  options: LayerJobOptions,
): Promise<WrittenLayer> {
  const { path, offset, compression, threads, signal, onWritten, subject } = options
  const source = steps(segments)
  let job: NativeLayerJob | undefined
  const cancel = (): void => job?.cancel()
  signal?.addEventListener('abort', cancel, { once: true })
  try {
    const result = await new Promise<NativeLayerResult>((resolve, reject) => {
      // An error on the JavaScript side. The job then ends with ABORTED, after it has closed the file
      let failure: { readonly error: unknown } | undefined
      const fail = (error: unknown): void => {
        failure ??= { error }
        cancel()
      }
      const feed = feeder(
        source,
        segment => job?.push(segment.bytes, segment.cuts) ?? 0,
        () => job?.finish(),
      )
      const create = binding().LayerJob
      const settings = { path, offset, compression: compression.type, level: compression.level, threads }
      job = new create(wim, blobs, settings, ({ room, uncompressed, result: done, error }) => {
        try {
          if (!failure) onWritten(uncompressed)
        } catch (thrown) {
          fail(thrown)
        }
        if (failure && (done || error !== undefined)) reject(failure.error)
        else if (error !== undefined) reject(nativeError(error, subject))
        else if (done) resolve(done)
        else if (room && !failure) feed().catch(fail)
      })
    })
    const { diffId, digest, uncompressedSize, size } = result
    return {
      mediaType: layerMediaType(compression.type),
      diffId: digestFromHex(diffId),
      digest: digestFromHex(digest),
      size,
      uncompressedSize,
    }
  } finally {
    signal?.removeEventListener('abort', cancel)
    job?.close()
    await source.return(undefined).catch(() => undefined) // its error has already been thrown
  }
}

/** A function that passes segments to `push` until enough are queued. Calls while it is running have no effect. */
function feeder(
  source: AsyncIterator<LayerSegment>,
  push: (segment: LayerSegment) => number,
  finish: () => void,
): () => Promise<void> {
  let running = false
  return async () => {
    if (running) return
    running = true
    try {
      for (;;) {
        const next = await source.next()
        if (next.done) {
          finish()
          return
        }
        if (push(next.value) > PLAN_AHEAD) return
        await setImmediate() // leave time for other work on the event loop
      }
    } finally {
      running = false
    }
  }
}

async function* steps(segments: Iterable<LayerSegment> | AsyncIterable<Uint8Array>): AsyncGenerator<LayerSegment> {
  if (Symbol.iterator in segments) yield* segments
  else for await (const bytes of segments) yield { bytes, cuts: NO_CUTS }
}
