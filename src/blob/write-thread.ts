/** The other side of write-blob.ts: writes and hashes blobs, on a thread of its own. */
import { createHash, type Hash } from 'node:crypto'
import { closeSync, constants, fsync, ftruncateSync, openSync, readSync, write } from 'node:fs'
import { promisify } from 'node:util'
import { parentPort } from 'node:worker_threads'
import { ALIGNMENT, SLOT, type WriteAnswer, type WriteRequest } from './write-blob.js'

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

  /** Hashed when it returns, written later. */
  async write(slot: number, length: number): Promise<void> {
    const bytes = this.#slots.subarray(slot * SLOT, slot * SLOT + length)
    this.#hash.update(bytes)
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

const writings = new Map<number, Writing>()

parentPort?.on('message', (request: WriteRequest) => {
  serve(request).catch(async (error: unknown) => {
    const { id } = request
    const writing = writings.get(id)
    writings.delete(id)
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
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

function answer(message: WriteAnswer): void {
  parentPort?.postMessage(message)
}
