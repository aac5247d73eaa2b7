/**
 * Writes a blob to a file and hashes it on a native thread: one thread that also reads the network is slower than a
 * disk.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { abortError, fileError } from '../errors.js'
import { nativePart, readFailure } from '../native.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { BlobPlace, Bytes, PutOptions } from './blob-store.js'
import { type NativePlain, type Plain, plainOf } from './layer-watch.js'
import { writeAll } from './durable.js'
import type { NativeDownload, NativeDownloader, NativeRequest } from './native-download.js'
import { expectDigest, tooLong, tooShort } from './verified.js'

/** Alignment, in bytes, that direct writes on Linux require of the offset, length and memory address. */
export const ALIGNMENT = 4096
/** Blobs smaller than this, in bytes, are not worth sending to a thread. */
export const SLOT = 1024 * 1024
/** Bytes queued for the thread before the reader must wait. */
const MOST_QUEUED = 2 * SLOT

export interface BlobFile {
  /** A file that exists. */
  readonly path: string
  /** The same file, if it is already open. It stays open, and its owner syncs it. */
  readonly open?: FileHandle
  /** Called with the number of bytes that are in an open file, or soon will be. What it throws ends the writing. */
  readonly onWritten?: (size: number) => void
  /** Offset of the blob in the file, in bytes. */
  readonly offset: number
  /** Bytes of the blob already present: a multiple of {@link ALIGNMENT}. They are hashed again. */
  readonly held: number
  /**
   * Bypass the page cache if supported: `offset` must be a multiple of {@link ALIGNMENT}, and the blob ends the file.
   */
  readonly direct: boolean
}

/** `native/blob_write_job.h`: the thread that writes one blob. Calls are carried out in order. */
interface NativeBlobWriteJob {
  /** Returns the number of bytes queued. */
  push(bytes: Uint8Array): number
  ask(request: NativeRequest & { readonly turn: number }): void
  land(skip: number, length: number): void
  read(turn: number, path: string, offset: number, length: number): void
  /** Cancels the request or range `turn` immediately. */
  leave(turn: number): void
  /** Ends the blob: hashes and syncs everything received. */
  finish(): void
  /** Instead of finish(): writes everything received to the file. */
  keep(): void
  /** Stops the thread and releases the file and memory. */
  close(): void
}

interface NativeEvent {
  readonly room: boolean
  readonly answered?: { readonly turn: number; readonly head?: Buffer; readonly failure?: Error }
  /** Bytes downloaded to the file since the last event. */
  readonly landing: number
  readonly landed?: { readonly failure?: Error }
  /** SHA-256 in hex, at the end. */
  readonly result?: string
  /** Of the tar in the blob, if that was asked for; without `hex` and `failure`, the blob is the tar. */
  readonly plain?: NativePlain
  readonly error?: Error
}

type NativeBlobWriting = new (
  file: Omit<BlobFile, 'open' | 'onWritten'> & { readonly handle: number; readonly plain: boolean },
  callback: (event: NativeEvent) => void,
) => NativeBlobWriteJob

/**
 * Writes the bytes that `read` yields or downloads, after the part of `blob` that `file` already holds. When this
 * returns, the blob is complete and synced. When it throws, the bytes received are in the file, which is closed. Throws
 * SIZE_MISMATCH, DIGEST_MISMATCH, ABORTED, {@link fileError}s such as NO_SPACE, and whatever `read` and `watch` throw.
 */
export async function writeBlob(
  file: BlobFile,
  blob: Descriptor,
  read: (downloader?: NativeDownloader) => Bytes,
  options: PutOptions = {},
): Promise<void> {
  const { signal, watch, onSaved, place } = options
  const Native = blob.size < SLOT ? undefined : nativePart<NativeBlobWriting>('BlobWriteJob')
  if (!Native) {
    await writeHere(file, blob, read(), { signal, watch })
    return
  }
  const writing = new Writing(file, Native, watch !== undefined, onSaved)
  try {
    if (place && file.held === 0) await writing.copy(place, blob.size, signal)
    else
      for await (const piece of read(writing)) {
        signal?.throwIfAborted()
        if (writing.size + piece.length > blob.size) throw tooLong(blob)
        await writing.add(piece)
      }
    if (writing.size > blob.size) throw tooLong(blob)
    if (writing.size < blob.size) throw tooShort(blob, writing.size)
    const { hex, plain } = await writing.finish()
    expectDigest(blob, hex, writing.size)
    if (plain) watch?.found(plain)
  } catch (error) {
    throw abortError(error, signal)
  } finally {
    await writing.close()
  }
}

/** Writes without a thread: for small blobs, and for systems without the addon. */
async function writeHere(
  { path, offset, held, open: given, onWritten }: BlobFile,
  blob: Descriptor,
  bytes: Bytes,
  { signal, watch }: PutOptions,
): Promise<void> {
  const hash = createHash('sha256')
  const layer = watch?.begin()
  const add = async (piece: Uint8Array): Promise<void> => {
    hash.update(piece)
    await layer?.add(piece)
  }
  let size = held
  try {
    const file = given ?? (await open(path, 'r+'))
    try {
      if (held > 0)
        for await (const piece of file.createReadStream({ start: offset, end: offset + held - 1, autoClose: false }))
          await add(piece as Uint8Array)
      for await (const piece of bytes) {
        signal?.throwIfAborted()
        if (size + piece.length > blob.size) throw tooLong(blob)
        await add(piece)
        await writeAll(file, piece, offset + size)
        onWritten?.(piece.length)
        size += piece.length
      }
      if (size < blob.size) throw tooShort(blob, size)
      expectDigest(blob, hash.digest('hex'), size)
      if (layer) watch?.found((await layer.finish()).plain)
      if (!given) await file.sync()
    } finally {
      if (!given) await file.close()
    }
  } catch (error) {
    throw abortError(fileError(error, path), signal)
  }
}

/** The JavaScript side of a native thread that writes one blob. */
class Writing implements NativeDownloader {
  readonly #job: NativeBlobWriteJob
  readonly #path: string
  readonly #onSaved: ((size: number) => void) | undefined
  readonly #onWritten: ((size: number) => void) | undefined
  #size: number
  #room = true
  #turn = 0
  #answered: NativeEvent['answered']
  /** Bytes written but not reported yet. */
  #unreported = 0
  #landed: NativeEvent['landed']
  #hex: string | undefined
  #plain: NativeEvent['plain']
  #failure: unknown
  #wake: (() => void) | undefined

  constructor(
    { open: given, onWritten, ...file }: BlobFile,
    Native: NativeBlobWriting,
    plain: boolean,
    onSaved: ((size: number) => void) | undefined,
  ) {
    this.#path = file.path
    this.#size = file.held
    this.#onSaved = onSaved
    this.#onWritten = onWritten
    this.#job = new Native({ ...file, handle: given?.fd ?? -1, plain }, event => this.#onEvent(event))
  }

  /** Bytes of the blob held before, yielded or downloaded. */
  get size(): number {
    return this.#size
  }

  async add(piece: Uint8Array): Promise<void> {
    this.#size += piece.length
    this.#onWritten?.(piece.length)
    await this.#until(() => this.#room)
    if (this.#job.push(piece) > MOST_QUEUED) this.#room = false
  }

  async ask(request: NativeRequest, signal?: AbortSignal): Promise<NativeDownload> {
    this.#turn += 1
    const turn = this.#turn
    const cancel = (): void => this.#job.leave(turn)
    this.#answered = undefined
    this.#job.ask({ ...request, turn })
    signal?.addEventListener('abort', cancel, { once: true })
    if (signal?.aborted) cancel()
    try {
      await this.#until(() => this.#answered?.turn === turn)
    } finally {
      signal?.removeEventListener('abort', cancel)
    }
    const { head = Buffer.alloc(0), failure }: { readonly head?: Buffer; readonly failure?: Error } =
      this.#answered ?? {}
    if (failure) throw failure
    return {
      head,
      read: (skip, length) => this.#landing(() => this.#job.land(skip, length), cancel, signal),
      close: cancel,
    }
  }

  /** Reads `size` bytes of another file, or as many as there are. */
  async copy({ file, offset }: BlobPlace, size: number, signal: AbortSignal | undefined): Promise<void> {
    this.#turn += 1
    const turn = this.#turn
    const cancel = (): void => this.#job.leave(turn)
    signal?.throwIfAborted()
    try {
      for await (const _ of this.#landing(() => this.#job.read(turn, file, offset, size), cancel, signal))
        if (signal?.aborted) break
    } catch (error) {
      throw error === this.#failure ? error : readFailure(error, file)
    }
    signal?.throwIfAborted()
  }

  async *#landing(begin: () => void, cancel: () => void, signal: AbortSignal | undefined): AsyncIterable<number> {
    this.#landed = undefined
    this.#unreported = 0
    begin()
    signal?.addEventListener('abort', cancel, { once: true })
    if (signal?.aborted) cancel()
    try {
      for (;;) {
        await this.#until(() => this.#unreported > 0 || this.#landed !== undefined)
        if (this.#unreported === 0) break
        yield this.#takeUnreported()
      }
    } finally {
      signal?.removeEventListener('abort', cancel)
      cancel()
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

  async finish(): Promise<{ readonly hex: string; readonly plain: Plain | undefined }> {
    this.#job.finish()
    await this.#until(() => this.#hex !== undefined)
    const hex = this.#hex ?? ''
    return { hex, plain: this.#plain && plainOf(this.#plain, hex) }
  }

  /** Writes what was received and closes the file, even after a failure. */
  async close(): Promise<void> {
    if (this.#hex === undefined && this.#failure === undefined) {
      this.#job.keep()
      // the caller already has an error to report, if any
      await this.#until(() => this.#hex !== undefined).catch(() => undefined)
    }
    this.#job.close()
  }

  async #until(done: () => boolean): Promise<void> {
    while (!done()) {
      if (this.#failure !== undefined) throw this.#failure
      await new Promise<void>(resolve => (this.#wake = resolve))
    }
  }

  #onEvent({ room, answered, landing, landed, result, plain, error }: NativeEvent): void {
    if (room) this.#room = true
    if (answered) this.#answered = answered
    if (landing > 0) {
      this.#unreported += landing
      this.#size += landing
      this.#onSaved?.(landing)
      try {
        this.#onWritten?.(landing)
      } catch (thrown) {
        this.#failure = thrown
      }
    }
    if (landed) this.#landed = landed
    if (result !== undefined) this.#hex = result
    if (plain) this.#plain = plain
    if (error) this.#failure = fileError(Object.assign(error, { syscall: 'write' }), this.#path)
    this.#wake?.()
  }
}
