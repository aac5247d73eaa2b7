/** One blob into one file, written and hashed on another thread: a single thread reads a network slower than a disk writes. */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { abortError, fileError, StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Bytes, FetchOptions } from './blob-store.js'
import { writeAll } from './durable.js'
import { expectDigest, tooLong, tooShort } from './verified.js'

/** What a direct write of Linux wants its place, its length and its memory to be a multiple of, in bytes. */
export const ALIGNMENT = 4096
/** Bytes that go to the thread at a time. */
export const SLOT = 1024 * 1024
/** Pieces on their way to the thread for each blob. */
const SLOTS = 3
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

export type WriteAnswer =
  | { readonly type: 'written'; readonly id: number; readonly slot: number }
  | { readonly type: 'finished'; readonly id: number; readonly hex: string }
  | { readonly type: 'closed'; readonly id: number }
  | { readonly type: 'error'; readonly id: number; readonly code: string; readonly message: string }

/**
 * Writes `bytes`, which begin behind what `file` holds of `blob`. When it returns, the blob is whole and on the medium. When it
 * throws, what came is in the file, which is closed: SIZE_MISMATCH, DIGEST_MISMATCH, ABORTED, NO_SPACE and what else
 * {@link fileError} makes, and what `bytes` throws.
 */
export async function writeBlob(file: BlobFile, blob: Descriptor, bytes: Bytes, { signal }: FetchOptions = {}): Promise<void> {
  if (blob.size < SLOT && file.held === 0) return await writeHere(file, blob, bytes, signal)
  const writing = await Writing.begin(file)
  try {
    let size = file.held
    for await (const piece of bytes) {
      signal?.throwIfAborted()
      size += piece.length
      if (size > blob.size) throw tooLong(blob)
      await writing.add(piece)
    }
    if (size < blob.size) throw tooShort(blob, size)
    expectDigest(blob, await writing.finish(), size)
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
class Writing {
  readonly #thread: Thread
  readonly #id: number
  readonly #path: string
  readonly #memory: SharedArrayBuffer
  readonly #slots: Uint8Array
  readonly #free: number[] = Array.from({ length: SLOTS }, (_, slot) => slot)
  #slot: number | undefined
  #filled = 0
  #hex: string | undefined
  #closed = false
  #failure: unknown
  #wake: (() => void) | undefined

  static async begin(file: BlobFile): Promise<Writing> {
    return new Writing(file, leastBusy())
  }

  private constructor(file: BlobFile, thread: Thread) {
    this.#thread = thread
    this.#path = file.path
    this.#memory = memories.pop() ?? new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true }).buffer
    this.#slots = new Uint8Array(this.#memory)
    this.#id = thread.begin(answer => this.#hear(answer), error => this.#fail(error))
    const { open: given, ...place } = file
    thread.tell({ type: 'open', id: this.#id, ...place, memory: this.#memory, ...(given ? { handle: given.fd } : {}) })
  }

  async add(piece: Uint8Array): Promise<void> {
    for (let at = 0; at < piece.length;) {
      this.#slot ??= await this.#takeSlot()
      const length = Math.min(piece.length - at, SLOT - this.#filled)
      this.#slots.set(piece.subarray(at, at + length), this.#slot * SLOT + this.#filled)
      this.#filled += length
      at += length
      if (this.#filled === SLOT) this.#send()
    }
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
    else this.#failure = fileError(Object.assign(new Error(answer.message), { code: answer.code, syscall: 'write' }), this.#path)
    this.#wake?.()
  }

  #fail(error: unknown): void {
    this.#failure = error
    this.#wake?.()
  }
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
