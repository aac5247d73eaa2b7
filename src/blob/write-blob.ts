/** One blob into one file, written and hashed on a native thread: a single thread reads a network slower than a disk writes. */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { abortError, fileError } from '../errors.js'
import { nativePart } from '../native.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Bytes, PutOptions } from './blob-store.js'
import { writeAll } from './durable.js'
import type { NativeDownload, NativeDownloader, NativeRequest } from './native-download.js'
import { expectDigest, tooLong, tooShort } from './verified.js'

/** What a direct write of Linux wants its place, its length and its memory to be a multiple of, in bytes. */
export const ALIGNMENT = 4096
/** A smaller blob is not worth the way to a thread, in bytes. */
export const SLOT = 1024 * 1024
/** Bytes on their way to the thread of a blob before whoever gives them must wait. */
const MOST_QUEUED = 2 * SLOT

export interface BlobFile {
  /** A file that exists. */
  readonly path: string
  /** The same file where it is open already: it stays open, and making it last is its owner's. */
  readonly open?: FileHandle
  /** Where in it the blob begins, in bytes. */
  readonly offset: number
  /** How much of the blob is there already, in bytes: a multiple of {@link ALIGNMENT}. It is hashed, not believed. */
  readonly held: number
  /** Past the page cache where the system can: `offset` must be a multiple of {@link ALIGNMENT}, and the file ends with the blob. */
  readonly direct: boolean
}

/** `native/blob_write_job.h`: the thread of one blob. What it is told is done in its order. */
interface NativeBlobWriteJob {
  /** Bytes queued. */
  push(bytes: Uint8Array): number
  ask(request: NativeRequest & { readonly turn: number }): void
  land(skip: number, length: number): void
  /** Lets go at once of what was asked for as `turn`. */
  leave(turn: number): void
  /** The last: all that came is hashed, and on the medium. */
  finish(): void
  /** Instead of finish(): all that came is in the file. */
  keep(): void
  /** Ends what still runs, and lets go of file and memory. */
  close(): void
}

interface NativeEvent {
  readonly room: boolean
  readonly answered?: { readonly turn: number; readonly head?: Buffer; readonly failure?: Error }
  /** Bytes that landed since the last event. */
  readonly landing: number
  readonly landed?: { readonly failure?: Error }
  /** SHA-256 in hex, at the end. */
  readonly result?: string
  readonly error?: Error
}

type NativeBlobWriting = new (
  file: Omit<BlobFile, 'open'> & { readonly handle: number },
  callback: (event: NativeEvent) => void,
) => NativeBlobWriteJob

/**
 * Writes what `read` gives, or lets land, which begins behind what `file` holds of `blob`. When it returns, the blob is whole and on the medium. When it
 * throws, what came is in the file, which is closed: SIZE_MISMATCH, DIGEST_MISMATCH, ABORTED, NO_SPACE and what else
 * {@link fileError} makes, and what `read` throws.
 */
export async function writeBlob(
  file: BlobFile,
  blob: Descriptor,
  read: (downloader?: NativeDownloader) => Bytes,
  options: PutOptions = {},
): Promise<void> {
  const { signal, onSaved } = options
  const Native = blob.size < SLOT ? undefined : nativePart<NativeBlobWriting>('BlobWriteJob')
  if (!Native) {
    await writeHere(file, blob, read(), signal)
    return
  }
  const writing = new Writing(file, Native, onSaved)
  try {
    for await (const piece of read(writing)) {
      signal?.throwIfAborted()
      if (writing.size + piece.length > blob.size) throw tooLong(blob)
      await writing.add(piece)
    }
    if (writing.size > blob.size) throw tooLong(blob)
    if (writing.size < blob.size) throw tooShort(blob, writing.size)
    expectDigest(blob, await writing.finish(), writing.size)
  } catch (error) {
    throw abortError(error, signal)
  } finally {
    await writing.close()
  }
}

/** Without a thread: a small blob is not worth the way there, and not every system has the addon. */
async function writeHere(
  { path, offset, held, open: given }: BlobFile,
  blob: Descriptor,
  bytes: Bytes,
  signal: AbortSignal | undefined,
): Promise<void> {
  const hash = createHash('sha256')
  let size = held
  try {
    const file = given ?? (await open(path, 'r+'))
    try {
      if (held > 0)
        for await (const piece of file.createReadStream({ start: offset, end: offset + held - 1, autoClose: false }))
          hash.update(piece as Uint8Array)
      for await (const piece of bytes) {
        signal?.throwIfAborted()
        if (size + piece.length > blob.size) throw tooLong(blob)
        hash.update(piece)
        await writeAll(file, piece, offset + size)
        size += piece.length
      }
      if (size < blob.size) throw tooShort(blob, size)
      expectDigest(blob, hash.digest('hex'), size)
      if (!given) await file.sync()
    } finally {
      if (!given) await file.close()
    }
  } catch (error) {
    throw abortError(fileError(error, path), signal)
  }
}

/** The near side of one blob on a thread of its own. */
class Writing implements NativeDownloader {
  readonly #job: NativeBlobWriteJob
  readonly #path: string
  readonly #onSaved: ((size: number) => void) | undefined
  #size: number
  #room = true
  #turn = 0
  #answered: NativeEvent['answered']
  /** Bytes that were saved and not reported yet. */
  #unreported = 0
  #landed: NativeEvent['landed']
  #hex: string | undefined
  #failure: unknown
  #wake: (() => void) | undefined

  constructor(
    { open: given, ...file }: BlobFile,
    Native: NativeBlobWriting,
    onSaved: ((size: number) => void) | undefined,
  ) {
    this.#path = file.path
    this.#size = file.held
    this.#onSaved = onSaved
    this.#job = new Native({ ...file, handle: given?.fd ?? -1 }, event => this.#onEvent(event))
  }

  /** Of the blob, what was held, given or has landed, in bytes. */
  get size(): number {
    return this.#size
  }

  async add(piece: Uint8Array): Promise<void> {
    this.#size += piece.length
    await this.#until(() => this.#room)
    if (this.#job.push(piece) > MOST_QUEUED) this.#room = false
  }

  async ask(request: NativeRequest, signal?: AbortSignal): Promise<NativeDownload> {
    this.#turn += 1
    const turn = this.#turn
    const leave = (): void => this.#job.leave(turn)
    this.#answered = undefined
    this.#job.ask({ ...request, turn })
    signal?.addEventListener('abort', leave, { once: true })
    if (signal?.aborted) leave()
    try {
      await this.#until(() => this.#answered?.turn === turn)
    } finally {
      signal?.removeEventListener('abort', leave)
    }
    const { head = Buffer.alloc(0), failure }: { readonly head?: Buffer; readonly failure?: Error } =
      this.#answered ?? {}
    if (failure) throw failure
    return { head, read: (skip, length) => this.#land(skip, length, leave, signal), close: leave }
  }

  async *#land(
    skip: number,
    length: number,
    leave: () => void,
    signal: AbortSignal | undefined,
  ): AsyncIterable<number> {
    this.#landed = undefined
    this.#unreported = 0
    this.#job.land(skip, length)
    signal?.addEventListener('abort', leave, { once: true })
    if (signal?.aborted) leave()
    try {
      for (;;) {
        await this.#until(() => this.#unreported > 0 || this.#landed !== undefined)
        if (this.#unreported === 0) break
        yield this.#takeUnreported()
      }
    } finally {
      signal?.removeEventListener('abort', leave)
      leave()
      await this.#until(() => this.#landed !== undefined).catch(() => undefined) // the next write throws it
    }
    const { failure }: { readonly failure?: Error } = this.#landed ?? {}
    if (failure) throw failure
  }

  #takeUnreported(): number {
    const size = this.#unreported
    this.#unreported = 0
    return size
  }

  async finish(): Promise<string> {
    this.#job.finish()
    await this.#until(() => this.#hex !== undefined)
    return this.#hex ?? ''
  }

  /** What came is written, and the file is closed, whatever happened. */
  async close(): Promise<void> {
    if (this.#hex === undefined && this.#failure === undefined) {
      this.#job.keep()
      await this.#until(() => this.#hex !== undefined).catch(() => undefined) // whoever closes has an error of its own, or none to tell
    }
    this.#job.close()
  }

  async #until(done: () => boolean): Promise<void> {
    while (!done()) {
      if (this.#failure !== undefined) throw this.#failure
      await new Promise<void>(resolve => (this.#wake = resolve))
    }
  }

  #onEvent({ room, answered, landing, landed, result, error }: NativeEvent): void {
    if (room) this.#room = true
    if (answered) this.#answered = answered
    if (landing > 0) {
      this.#unreported += landing
      this.#size += landing
      this.#onSaved?.(landing)
    }
    if (landed) this.#landed = landed
    if (result !== undefined) this.#hex = result
    if (error) this.#failure = fileError(Object.assign(error, { syscall: 'write' }), this.#path)
    this.#wake?.()
  }
}
