/** One blob into one file, written and hashed on another thread: a single thread reads a network slower than a disk writes. */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { abortError, fileError, StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Bytes, PutOptions } from './blob-store.js'
import { writeAll } from './durable.js'
import type { Landed, Landing } from './landing.js'
import { expectDigest, tooLong, tooShort } from './verified.js'

/** What a direct write of Linux wants its place, its length and its memory to be a multiple of, in bytes. */
export const ALIGNMENT = 4096
/** Bytes that go to the thread at a time. */
export const SLOT = 1024 * 1024
/** Pieces on their way to the thread for each blob. */
export const SLOTS = 3
const ALL_SLOTS: readonly number[] = Array.from({ length: SLOTS }, (_, slot) => slot)
const MOST_THREADS = 4

export interface BlobFile {
  /** A file that exists. */
  readonly path: string
  /** The same file where it is open already: it stays open, and making it last is its owner's. */
  readonly open?: FileHandle
  /** Where in it the blob begins, in bytes. */
  readonly offset: number
  /** How much of the blob stands there already, in bytes: a multiple of {@link ALIGNMENT}. It is hashed, not believed. */
  readonly held: number
  /** Past the page cache where the system can: `offset` must be a multiple of {@link ALIGNMENT}, and the file ends with the blob. */
  readonly direct: boolean
}

/** As far as it is used here: TypeScript has it among what browsers know. */
declare const WebAssembly: {
  readonly Memory: new (size: { initial: number; maximum: number; shared: true }) => { readonly buffer: SharedArrayBuffer }
}

/** What the thread is told; `id` is the blob's. */
export type WriteRequest =
  | (Omit<BlobFile, 'open'> & { readonly type: 'open'; readonly id: number; readonly memory: SharedArrayBuffer; readonly handle?: number })
  | { readonly type: 'write'; readonly id: number; readonly slot: number; readonly length: number }
  | { readonly type: 'finish'; readonly id: number }
  | { readonly type: 'close'; readonly id: number }
  /** `turn` tells what is opened one after another for one blob. */
  | { readonly type: 'reach'; readonly id: number; readonly turn: number; readonly reader: string; readonly request: unknown }
  /** All slots are the thread's until it answers `landed`; the first `filled` bytes of `slot` are before what is read. */
  | { readonly type: 'land'; readonly id: number; readonly slot: number; readonly filled: number; readonly skip: number; readonly length: number }
  | { readonly type: 'leave'; readonly id: number }

export type WriteAnswer =
  | { readonly type: 'written'; readonly id: number; readonly slot: number }
  | { readonly type: 'finished'; readonly id: number; readonly hex: string }
  | { readonly type: 'closed'; readonly id: number }
  | { readonly type: 'error'; readonly id: number; readonly code: string; readonly message: string }
  | { readonly type: 'reached'; readonly id: number; readonly turn: number; readonly head: unknown }
  | { readonly type: 'unreached'; readonly id: number; readonly turn: number; readonly failure: ReadFailure }
  | { readonly type: 'landing'; readonly id: number; readonly size: number }
  /** All that was read is written but the first `filled` bytes of `slot`. */
  | { readonly type: 'landed'; readonly id: number; readonly size: number; readonly slot: number; readonly filled: number; readonly failure: ReadFailure | undefined }

/** What a reader threw. */
export interface ReadFailure {
  readonly code: string
  readonly message: string
}

/**
 * Writes what `read` gives, or lets land, which begins behind what `file` holds of `blob`. When it returns, the blob is whole and on the medium. When it
 * throws, what came is in the file, which is closed: SIZE_MISMATCH, DIGEST_MISMATCH, ABORTED, NO_SPACE and what else
 * {@link fileError} makes, and what `read` throws.
 */
export async function writeBlob(file: BlobFile, blob: Descriptor, read: (landing?: Landing) => Bytes, options: PutOptions = {}): Promise<void> {
  const { signal, onLanded } = options
  if (blob.size < SLOT && file.held === 0) return await writeHere(file, blob, read(), signal)
  const writing = new Writing(file, leastBusy(), onLanded)
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

/** A small blob is not worth the way to a thread. */
async function writeHere({ path, offset, open: given }: BlobFile, blob: Descriptor, bytes: Bytes, signal: AbortSignal | undefined): Promise<void> {
  const hash = createHash('sha256')
  let size = 0
  try {
    const file = given ?? (await open(path, 'r+'))
    try {
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

/** The near side of one blob on a thread. */
class Writing implements Landing {
  readonly #thread: Thread
  readonly #id: number
  readonly #path: string
  readonly #memory: SharedArrayBuffer
  readonly #slots: Uint8Array
  readonly #free: number[] = [...ALL_SLOTS]
  #slot: number | undefined
  #filled = 0
  #size: number
  #hex: string | undefined
  #closed = false
  #failure: unknown
  #wake: (() => void) | undefined
  readonly #onLanded: ((size: number) => void) | undefined
  #turn = 0
  #reached: { readonly head: unknown } | { readonly failure: ReadFailure } | undefined
  /** What landed and was not told yet, in bytes. */
  #news = 0
  #landed: Extract<WriteAnswer, { type: 'landed' }> | undefined

  constructor(file: BlobFile, thread: Thread, onLanded: ((size: number) => void) | undefined) {
    this.#thread = thread
    this.#path = file.path
    this.#size = file.held
    this.#onLanded = onLanded
    this.#memory = memories.pop() ?? new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true }).buffer
    this.#slots = new Uint8Array(this.#memory)
    this.#id = thread.begin(answer => this.#hear(answer), error => this.#fail(error))
    const { open: given, ...place } = file
    thread.tell({ type: 'open', id: this.#id, ...place, memory: this.#memory, ...(given ? { handle: given.fd } : {}) })
  }

  /** Of the blob, what was held, given or has landed, in bytes. */
  get size(): number {
    return this.#size
  }

  async add(piece: Uint8Array): Promise<void> {
    this.#size += piece.length
    for (let at = 0; at < piece.length;) {
      this.#slot ??= await this.#takeSlot()
      const length = Math.min(piece.length - at, SLOT - this.#filled)
      this.#slots.set(piece.subarray(at, at + length), this.#slot * SLOT + this.#filled)
      this.#filled += length
      at += length
      if (this.#filled === SLOT) this.#send()
    }
  }

  async open(reader: string, request: unknown, signal?: AbortSignal): Promise<Landed> {
    this.#turn += 1
    this.#reached = undefined
    const leave = (): void => this.#thread.tell({ type: 'leave', id: this.#id })
    this.#thread.tell({ type: 'reach', id: this.#id, turn: this.#turn, reader, request })
    signal?.addEventListener('abort', leave, { once: true })
    try {
      await this.#until(() => this.#reached !== undefined)
    } finally {
      signal?.removeEventListener('abort', leave)
    }
    const reached: { readonly head?: unknown; readonly failure?: ReadFailure } = this.#reached ?? {}
    if (reached.failure) throw errorOf(reached.failure)
    return { head: reached.head, read: (skip, length) => this.#land(skip, length, leave, signal), close: leave }
  }

  async *#land(skip: number, length: number, leave: () => void, signal: AbortSignal | undefined): AsyncIterable<number> {
    await this.#until(() => this.#free.length >= (this.#slot === undefined ? SLOTS : SLOTS - 1))
    this.#slot ??= this.#free.shift() ?? 0
    this.#free.length = 0
    this.#landed = undefined
    this.#news = 0
    this.#thread.tell({ type: 'land', id: this.#id, slot: this.#slot, filled: this.#filled, skip, length })
    signal?.addEventListener('abort', leave, { once: true })
    if (signal?.aborted) leave()
    try {
      for (;;) {
        await this.#until(() => this.#news > 0 || this.#landed !== undefined)
        if (this.#news === 0) break
        yield this.#takeNews()
      }
    } finally {
      signal?.removeEventListener('abort', leave)
      leave()
      await this.#until(() => this.#landed !== undefined).catch(() => undefined) // whoever writes next hears of it
    }
    const landed: { readonly failure?: ReadFailure | undefined } = this.#landed ?? {}
    if (landed.failure) throw errorOf(landed.failure)
  }

  #takeNews(): number {
    const size = this.#news
    this.#news = 0
    return size
  }

  async finish(): Promise<string> {
    this.#send()
    this.#thread.tell({ type: 'finish', id: this.#id })
    await this.#until(() => this.#hex !== undefined)
    return this.#hex ?? ''
  }

  /** What came is written, and the file is closed, whatever happened. */
  async close(): Promise<void> {
    if (this.#hex === undefined && this.#failure === undefined) {
      this.#send()
      this.#thread.tell({ type: 'close', id: this.#id })
      await this.#until(() => this.#closed).catch(() => undefined) // whoever closes has an error of its own, or none to tell
    }
    this.#thread.end(this.#id)
    if (!this.#thread.broken) memories.push(this.#memory)
  }

  #send(): void {
    if (this.#slot === undefined) return
    this.#thread.tell({ type: 'write', id: this.#id, slot: this.#slot, length: this.#filled })
    this.#slot = undefined
    this.#filled = 0
  }

  async #takeSlot(): Promise<number> {
    await this.#until(() => this.#free.length > 0)
    return this.#free.shift() ?? 0
  }

  async #until(done: () => boolean): Promise<void> {
    while (!done()) {
      if (this.#failure !== undefined) throw this.#failure
      await new Promise<void>(resolve => (this.#wake = resolve))
    }
  }

  #hear(answer: WriteAnswer): void {
    if (answer.type === 'written') this.#free.push(answer.slot)
    else if (answer.type === 'finished') this.#hex = answer.hex
    else if (answer.type === 'closed') this.#closed = true
    else if (answer.type === 'reached' || answer.type === 'unreached') {
      if (answer.turn === this.#turn) this.#reached = answer
    } else if (answer.type === 'landing') this.#count(answer.size)
    else if (answer.type === 'landed') this.#takeBack(answer)
    else this.#failure = fileError(Object.assign(new Error(answer.message), { code: answer.code, syscall: 'write' }), this.#path)
    this.#wake?.()
  }

  #count(size: number): void {
    this.#news += size
    this.#size += size
    if (size > 0) this.#onLanded?.(size)
  }

  #takeBack(answer: Extract<WriteAnswer, { type: 'landed' }>): void {
    this.#count(answer.size)
    this.#slot = answer.filled > 0 ? answer.slot : undefined
    this.#filled = answer.filled
    this.#free.splice(0, SLOTS, ...ALL_SLOTS.filter(slot => slot !== this.#slot))
    this.#landed = answer
  }

  #fail(error: unknown): void {
    this.#failure = error
    this.#wake?.()
  }
}

function errorOf({ code, message }: ReadFailure): Error {
  return Object.assign(new Error(message), { code })
}

/** A thread that writes; it does not keep the process alive while it has nothing to do. */
class Thread {
  readonly #worker = new Worker(new URL('./write-thread.js', import.meta.url))
  readonly #heard = new Map<number, { readonly hear: (answer: WriteAnswer) => void; readonly fail: (error: unknown) => void }>()
  broken = false

  constructor() {
    this.#worker.unref()
    this.#worker.on('message', (answer: WriteAnswer) => this.#heard.get(answer.id)?.hear(answer))
    this.#worker.on('error', error => this.#break(error))
    this.#worker.on('exit', () => this.#break(new StowageError('IO_ERROR', 'the thread that writes ended')))
  }

  get busy(): number {
    return this.#heard.size
  }

  begin(hear: (answer: WriteAnswer) => void, fail: (error: unknown) => void): number {
    if (this.#heard.size === 0) this.#worker.ref()
    nextId += 1
    this.#heard.set(nextId, { hear, fail })
    return nextId
  }

  tell(request: WriteRequest): void {
    this.#worker.postMessage(request)
  }

  end(id: number): void {
    this.#heard.delete(id)
    if (this.#heard.size === 0) this.#worker.unref()
  }

  #break(error: unknown): void {
    this.broken = true
    for (const { fail } of this.#heard.values()) fail(error)
  }
}

/** In pages of 64 KiB, as WebAssembly counts: the one memory of Node.js that begins at a page, as direct writes need it. */
const PAGES = (SLOTS * SLOT) / 65536
const memories: SharedArrayBuffer[] = []
const threads: Thread[] = []
let nextId = 0

function leastBusy(): Thread {
  for (const [n, thread] of threads.entries()) if (thread.broken) threads.splice(n, 1)
  const idle = threads.find(thread => thread.busy === 0)
  if (idle) return idle
  if (threads.length < Math.min(availableParallelism(), MOST_THREADS)) {
    const thread = new Thread()
    threads.push(thread)
    return thread
  }
  return threads.reduce((least, thread) => (thread.busy < least.busy ? thread : least))
}
