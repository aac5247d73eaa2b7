/** Runs the plan of a layer through the addon: bytes and blobs, hashed, compressed and written in one pass. */
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
  /** Of the tar, in bytes. */
  readonly uncompressedSize: number
}

export interface LayerJobOptions {
  /** An existing file, written from `offset` on. */
  readonly path: string
  readonly offset: number
  readonly compression: Required<LayerCompression>
  readonly threads: number
  readonly signal: AbortSignal | undefined
  /** Told how many bytes of the tar are done. */
  readonly onWritten: (uncompressed: number) => void
  /** What was read, in errors. */
  readonly subject: string
}

/** Bytes of the plan given to the addon ahead of its work. */
const PLAN_AHEAD = 2 * 1024 * 1024
const NO_CUTS = new Uint32Array()

/**
 * Writes a layer: `segments`, as fast as they are taken, with `blobs` of `wim` at their cuts. The same input gives the same
 * bytes. On an error what was written is the caller's to remove. Throws what the segments throw, WIM_CORRUPT, NO_SPACE, ABORTED.
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
      // What went wrong on this side: the job then ends with ABORTED, when it has let go of the file.
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
    await source.return(undefined).catch(() => undefined) // what went wrong in it was thrown already
  }
}

/** Gives segments to `push` until it has enough ahead; one run at a time, however often it is asked. */
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
        await setImmediate() // others want the event loop too
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
