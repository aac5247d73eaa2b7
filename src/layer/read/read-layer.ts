/** Reads layers entry by entry through the addon: gzip, zstd or uncompressed, from a file or a stream. */
import { open, stat } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { openStream } from '../../archive/archive-stream.js'
import type { Bytes, FetchOptions } from '../../blob/blob-store.js'
import { abortError, fileError, StowageError } from '../../errors.js'
import { type LayerCompressionType, MAGIC_SIZE } from '../../oci/compression.js'
import { type Digest, digestFromHex } from '../../oci/digest.js'
import type { WaitOptions } from '../../progress.js'
import { otherFile } from '../../tar/other-file.js'
import type { NativeLayerReader, NativeLayerReaderResult } from '../../wim/addon.js'
import { binding, nativeError } from '../../wim/binding.js'
import { isWimHead } from '../../wim/header.js'
import { decodeTarEntries, type LayerTarEntry } from './tar-entry.js'

/** A layer to be read once, as a stream. */
export interface LayerSource {
  /** For errors and progress. */
  readonly name: string
  readonly bytes: Bytes
  /** In bytes; undefined if unknown. */
  readonly size: number | undefined
  /** Called when no more bytes are needed, possibly before the end. */
  readonly close?: (() => void) | undefined
}

/** A layer that can be opened; more than once if there are several layers. */
export interface LayerOrigin {
  /** For errors and progress. */
  readonly name: string
  readonly open: () => Promise<LayerSource>
}

export interface ReadLayerOptions extends WaitOptions {
  /** Calculate a hash of each file's content: SHA-256 if true, by default none. */
  readonly hash?: boolean | 'sha1' | undefined
  /** Number of bytes at the beginning of each file's content to include in its entry, by default 0. */
  readonly headSize?: number | undefined
  /** Paths, without regard to case, of files whose whole content to include as `head`, up to 1 GiB. */
  readonly whole?: readonly string[] | undefined
}

/** Facts about a whole layer. */
export interface LayerFacts {
  readonly compression: LayerCompressionType
  /** SHA-256 of the layer as it was read, and its size in bytes. */
  readonly digest: Digest
  readonly size: number
  /** SHA-256 of the uncompressed tar, and its size in bytes. */
  readonly diffId: Digest
  readonly uncompressedSize: number
  /** Number of global PAX headers. */
  readonly globalHeaders: number
}

/** Bytes to queue in the addon. */
const AHEAD = 4 * 1024 * 1024
const PIECE = 512 * 1024

/**
 * Opens the layer in the file at `path`, or on standard input if that is `-`. Throws FILE_NOT_FOUND, PERMISSION_DENIED,
 * INVALID_ARGUMENT.
 */
export async function openLayer(path: string, { signal }: FetchOptions = {}): Promise<LayerSource> {
  if (path === '-') {
    return { name: 'standard input', bytes: process.stdin, size: undefined, close: () => process.stdin.destroy() }
  }
  try {
    // Opening a pipe waits for its writer, so it is opened when it is read
    if ((await stat(path)).isFIFO()) {
      const closing = new AbortController()
      const either = signal ? AbortSignal.any([signal, closing.signal]) : closing.signal
      return { name: path, bytes: openStream(path, either), size: undefined, close: () => closing.abort() }
    }
    const file = await open(path)
    const found = await file.stat()
    if (found.isDirectory()) {
      await file.close()
      throw new StowageError('INVALID_ARGUMENT', `${path} is a directory, but a layer is a tar`, {
        hint: 'Name the tar, or make one from the directory with stowage layer from-dir.',
      })
    }
    const { size } = found
    const stream = file.createReadStream({ highWaterMark: PIECE }) // closes the file
    return { name: path, bytes: pieces(stream, path), size: size > 0 ? size : undefined, close: () => stream.destroy() }
  } catch (error) {
    throw fileError(error, path)
  }
}

/** `error`, or a clearer one if the file is known to be something else. */
function explained(error: unknown, head: Uint8Array, name: string): unknown {
  if (!(error instanceof StowageError) || error.code !== 'LAYER_CORRUPT') return error
  const other = otherFile(head)
  if (!other) return error
  const hint = isWimHead(head)
    ? 'Name a layer, or make one from this WIM with stowage layer from-wim.'
    : (other.hint?.(name) ?? 'Name a layer.')
  return new StowageError('UNSUPPORTED', `${name} is ${other.title}, not a layer`, { hint, cause: error })
}

async function* pieces(stream: Bytes, path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* stream
  } catch (error) {
    throw fileError(error, path)
  }
}

/**
 * Reads the layer to its end and passes its entries to `onEntries` in batches, in the order of the tar. A promise that
 * it returns is awaited. Memory does not grow with the layer. Throws LAYER_CORRUPT if the layer cannot be read,
 * UNSUPPORTED for a zstd window over 128 MiB, ABORTED, and what the source throws.
 */
export async function readLayer(
  source: LayerSource,
  options: ReadLayerOptions,
  onEntries: (entries: readonly LayerTarEntry[]) => void | Promise<void>,
): Promise<LayerFacts> {
  const { hash = false, headSize = 0, signal, onProgress } = options
  const whole = (options.whole ?? []).map(path => path.toLowerCase())
  if (signal?.aborted) throw new StowageError('ABORTED', 'interrupted before the end')
  let wake = (): void => undefined
  let wakeFeed = (): void => undefined
  let room = true
  let ended: { readonly result?: NativeLayerReaderResult | undefined; readonly error?: unknown } | undefined
  let failed: { readonly error: unknown } | undefined
  let head: Uint8Array = new Uint8Array()
  const create = binding().LayerReader
  const reader = new create(
    { name: source.name, hash: hash === true ? 'sha256' : hash || 'none', headSize, whole },
    ({ room: hasRoom, result, error }) => {
      if (hasRoom) room = true
      if (result !== undefined || error !== undefined) ended = { result, error }
      if (room || ended) wakeFeed()
      wake()
    },
  )
  const cancel = (): void => reader.cancel()
  signal?.addEventListener('abort', cancel, { once: true })
  onProgress?.({ type: 'stage', stage: 'read', subject: source.name })
  const fed = feed().catch((error: unknown) => {
    if (ended) return // what was not read is not needed
    failed = { error }
    reader.cancel()
  })
  try {
    for (;;) {
      const batch = reader.take()
      if (batch) {
        await onEntries(decodeTarEntries(batch, hash))
        await setImmediate() // leave time for other work on the event loop
      } else if (ended) {
        break
      } else {
        await new Promise<void>(resolve => (wake = resolve))
      }
    }
  } finally {
    signal?.removeEventListener('abort', cancel)
    reader.close()
    ended ??= {} // if onEntries threw
    wakeFeed()
    if (source.close) {
      source.close()
      await fed // a pipe that is still being opened would hold up the end of the process
    }
  }
  if (failed) throw abortError(failed.error, signal)
  if (!ended.result) throw abortError(explained(nativeError(ended.error, source.name), head, source.name), signal)
  onProgress?.({ type: 'done', subject: source.name })
  return factsOf(ended.result)

  /** Passes the bytes to the addon as fast as it processes them. */
  async function feed(): Promise<void> {
    let done = 0
    for await (const piece of source.bytes) {
      if (head.length < MAGIC_SIZE) head = Buffer.concat([head, piece.subarray(0, MAGIC_SIZE)])
      while (!room && !ended) await new Promise<void>(resolve => (wakeFeed = resolve))
      if (ended) return
      for (let at = 0; at < piece.length; at += PIECE) push(reader, piece.subarray(at, at + PIECE))
      done += piece.length
      onProgress?.({ type: 'bytes', subject: source.name, done, total: source.size })
    }
    reader.finish()
  }

  function push(to: NativeLayerReader, bytes: Uint8Array): void {
    if (to.push(bytes) > AHEAD) room = false
  }
}

function factsOf({
  compression,
  digest,
  diffId,
  size,
  uncompressedSize,
  globals,
}: NativeLayerReaderResult): LayerFacts {
  return {
    compression,
    digest: digestFromHex(digest),
    size,
    diffId: digestFromHex(diffId),
    uncompressedSize,
    globalHeaders: globals,
  }
}
