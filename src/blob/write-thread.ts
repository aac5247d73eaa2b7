/** The other side of write-blob.ts: writes and hashes blobs, on a thread of its own. */
import { createHash, type Hash } from 'node:crypto'
import { closeSync, constants, fsync, ftruncateSync, openSync, readSync, write } from 'node:fs'
import { promisify } from 'node:util'
import { parentPort } from 'node:worker_threads'
import type { LandingReader, OpenReader, Room } from './landing.js'
import { ALIGNMENT, type ReadFailure, SLOT, SLOTS, type WriteAnswer, type WriteRequest } from './write-blob.js'

/** Bytes that land between two words on how far it is. */
const STEP = 4 * SLOT
/** `O_DIRECT` is Linux's alone. */
const DIRECT = (constants as Readonly<Record<string, number | undefined>>)['O_DIRECT'] ?? 0

class Writing {
  readonly #path: string
  readonly #slots: Uint8Array
  readonly #start: number
  readonly #hash: Hash = createHash('sha256')
  /** Not ours to close, nor to make last. */
  readonly #given: boolean
  #direct: boolean
  #file: number
  #size = 0
  /** Of the slot that is being filled, the bytes that were hashed. */
  #hashed = 0
  readonly #pending = new Set<Promise<void>>()
  /** Handles that are not used any more, for the same file. */
  readonly #stale = new Set<number>()

  constructor({ path, offset, held, direct, memory, handle }: Extract<WriteRequest, { type: 'open' }>) {
    this.#path = path
    this.#slots = new Uint8Array(memory)
    this.#start = offset
    this.#direct = direct && DIRECT !== 0
    this.#given = handle !== undefined
    this.#file = handle ?? this.#open()
    try {
      this.#readHeld(held)
    } catch (error) {
      if (!this.#given) closeSync(this.#file)
      throw error
    }
  }

  /** What of a slot comes is hashed while the processor still has it at hand. */
  hashTo(slot: number, filled: number): void {
    if (filled > this.#hashed) this.#hash.update(this.#slots.subarray(slot * SLOT + this.#hashed, slot * SLOT + filled))
    this.#hashed = filled
  }

  /** Hashed when it returns, written later. */
  async write(slot: number, length: number): Promise<void> {
    this.hashTo(slot, length)
    this.#hashed = 0
    const position = this.#start + this.#size
    this.#size += length
    // Only the last is no multiple: what is too much of it is cut off again
    const padded = this.#direct ? Math.ceil(length / ALIGNMENT) * ALIGNMENT : length
    const written = this.#writeAll(this.#slots.subarray(slot * SLOT, slot * SLOT + padded), position)
    this.#pending.add(written)
    try {
      await written
    } finally {
      this.#pending.delete(written)
    }
  }

  /** Gives the digest once all of it is on the medium. */
  async finish(): Promise<string> {
    await this.close(true)
    return this.#hash.digest('hex')
  }

  async close(durably = false): Promise<void> {
    await Promise.all(this.#pending)
    if (this.#given) return
    try {
      if (this.#direct) ftruncateSync(this.#file, this.#start + this.#size)
      if (durably) await promisify(fsync)(this.#file)
    } finally {
      this.#closeFiles()
    }
  }

  /** After an error, which is the one to tell. */
  async abandon(): Promise<void> {
    await Promise.allSettled(this.#pending)
    if (!this.#given) this.#closeFiles()
  }

  #closeFiles(): void {
    for (const file of [this.#file, ...this.#stale]) closeSync(file)
  }

  #open(): number {
    const flags = constants.O_RDWR | (constants.O_NOFOLLOW ?? 0)
    if (this.#direct) {
      try {
        return openSync(this.#path, flags | DIRECT)
      } catch (error) {
        if (codeOf(error) !== 'EINVAL') throw error
        this.#direct = false
      }
    }
    return this.#openBuffered()
  }

  #openBuffered(): number {
    return openSync(this.#path, constants.O_RDWR | (constants.O_NOFOLLOW ?? 0))
  }

  #readHeld(held: number): void {
    if (held === 0) return
    const file = openSync(this.#path, constants.O_RDONLY)
    const memory = Buffer.allocUnsafe(SLOT) // the slots are being filled meanwhile
    try {
      while (this.#size < held) {
        const length = readSync(file, memory, 0, Math.min(SLOT, held - this.#size), this.#start + this.#size)
        if (length === 0) throw Object.assign(new Error(`${this.#path} was cut short while it was read`), { code: 'EIO' })
        this.#hash.update(memory.subarray(0, length))
        this.#size += length
      }
    } finally {
      closeSync(file)
    }
  }

  /** The memory of `slots` slots to read into, of which the first `filled` bytes of `slot` are filled. */
  room(slot: number, filled: number, onFilled: (length: number) => void): SlotRoom {
    return new SlotRoom(this, this.#slots, slot, filled, onFilled)
  }

  async #writeAll(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const file = this.#file
      try {
        done += (await promisify(write)(file, bytes, done, bytes.length - done, position + done)).bytesWritten
      } catch (error) {
        // Some file systems take the flag, and then not the write
        if (!this.#direct || codeOf(error) !== 'EINVAL') throw error
        if (file === this.#file) this.#file = this.#openBuffered()
        this.#stale.add(file)
        continue
      }
      if (this.#direct) done -= done % ALIGNMENT
    }
  }
}

/** The slots of a blob as what a reader fills: one is filled, the others are being written. */
class SlotRoom implements Room {
  readonly #slots: Uint8Array
  readonly #free: number[]
  readonly #writing: Writing
  readonly #onFilled: (length: number) => void
  #slot: number | undefined
  #filled: number
  #failure: { readonly error: unknown } | undefined
  #wake: (() => void) | undefined

  constructor(writing: Writing, slots: Uint8Array, slot: number, filled: number, onFilled: (length: number) => void) {
    this.#writing = writing
    this.#slots = slots
    this.#slot = slot
    this.#filled = filled
    this.#free = Array.from({ length: SLOTS }, (_, n) => n).filter(n => n !== slot)
    this.#onFilled = onFilled
  }

  next(): Uint8Array | undefined {
    this.#slot ??= this.#free.shift()
    return this.#slot === undefined ? undefined : this.#slots.subarray(this.#slot * SLOT + this.#filled, (this.#slot + 1) * SLOT)
  }

  took(length: number): void {
    this.#filled += length
    this.#onFilled(length)
    if (this.#slot === undefined) return
    this.#writing.hashTo(this.#slot, this.#filled)
    if (this.#filled < SLOT) return
    const slot = this.#slot
    this.#slot = undefined
    this.#filled = 0
    this.#writing.write(slot, SLOT).then(() => this.#free.push(slot), (error: unknown) => (this.#failure ??= { error })).finally(() => this.#wake?.())
  }

  async free(): Promise<void> {
    await this.#until(() => this.#slot !== undefined || this.#free.length > 0)
  }

  /** Once nothing is being written any more: what is filled of which slot. */
  async rest(): Promise<{ readonly slot: number; readonly filled: number }> {
    await this.#until(() => this.#free.length >= (this.#slot === undefined ? SLOTS : SLOTS - 1))
    return { slot: this.#slot ?? 0, filled: this.#filled }
  }

  async #until(done: () => boolean): Promise<void> {
    while (this.#failure || !done()) {
      if (this.#failure) throw this.#failure.error
      await new Promise<void>(resolve => (this.#wake = resolve))
    }
  }
}

/** What was opened for a blob to be read, until it is left. */
class Reached {
  readonly #stop = new AbortController()
  readonly #reader: Promise<LandingReader>

  constructor(reader: string, request: unknown) {
    this.#reader = this.#open(reader, request)
    this.#reader.catch(() => undefined) // whoever waits for it is told
  }

  async head(): Promise<unknown> {
    return (await this.#reader).head
  }

  async read(skip: number, length: number, room: Room): Promise<void> {
    await (await this.#reader).read(skip, length, room)
  }

  leave(): void {
    this.#stop.abort()
    this.#reader.then(reader => reader.close(), () => undefined) // one that failed has nothing open
  }

  async #open(reader: string, request: unknown): Promise<LandingReader> {
    const { open } = (await import(reader)) as { readonly open: OpenReader } // whoever names it says that it is one
    return await open(request, this.#stop.signal)
  }
}

const writings = new Map<number, Writing>()
const reached = new Map<number, Reached>()

parentPort?.on('message', (request: WriteRequest) => {
  serve(request).catch(async (error: unknown) => {
    const { id } = request
    const writing = writings.get(id)
    writings.delete(id)
    reached.get(id)?.leave()
    reached.delete(id)
    await writing?.abandon()
    answer({ type: 'error', id, code: codeOf(error) ?? '', message: error instanceof Error ? error.message : String(error) })
  })
})

async function serve(request: WriteRequest): Promise<void> {
  const { id } = request
  const writing = writings.get(id)
  switch (request.type) {
    case 'open':
      writings.set(id, new Writing(request))
      return
    case 'write':
      await writing?.write(request.slot, request.length)
      return answer({ type: 'written', id, slot: request.slot })
    case 'finish':
      if (!writing) return
      answer({ type: 'finished', id, hex: await writing.finish() })
      writings.delete(id)
      return
    case 'close':
      await writing?.close()
      writings.delete(id)
      return answer({ type: 'closed', id })
    case 'reach': {
      reached.get(id)?.leave()
      const opened = new Reached(request.reader, request.request)
      reached.set(id, opened)
      try {
        return answer({ type: 'reached', id, turn: request.turn, head: await opened.head() })
      } catch (error) {
        return answer({ type: 'unreached', id, turn: request.turn, failure: failureOf(error) })
      }
    }
    case 'land':
      if (writing) await land(writing, request)
      return
    case 'leave':
      reached.get(id)?.leave()
      reached.delete(id)
  }
}

async function land(writing: Writing, { id, slot, filled, skip, length }: Extract<WriteRequest, { type: 'land' }>): Promise<void> {
  let news = 0
  const room = writing.room(slot, filled, size => {
    news += size
    if (news < STEP) return
    answer({ type: 'landing', id, size: news })
    news = 0
  })
  let failure: ReadFailure | undefined
  try {
    await reached.get(id)?.read(skip, length, room)
  } catch (error) {
    failure = failureOf(error)
  }
  const rest = await room.rest() // throws what writing did, which is what matters then
  answer({ type: 'landed', id, size: news, ...rest, failure })
}

function failureOf(error: unknown): ReadFailure {
  if (error instanceof AggregateError && error.errors[0] instanceof Error) return failureOf(error.errors[0])
  return { code: codeOf(error) ?? '', message: error instanceof Error ? error.message : String(error) }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

function answer(message: WriteAnswer): void {
  parentPort?.postMessage(message)
}
