/** The other side of write-blob.ts: writes and hashes blobs, on a thread of its own. */
import { createHash, type Hash } from 'node:crypto'
import { closeSync, constants, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
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
      this.close()
      throw error
    }
  }

  write(slot: number, length: number): void {
    const bytes = this.#slots.subarray(slot * SLOT, slot * SLOT + length)
    this.#hash.update(bytes)
    const padded = this.#direct ? Math.ceil(length / ALIGNMENT) * ALIGNMENT : length
    this.#writeAll(this.#slots.subarray(slot * SLOT, slot * SLOT + padded), this.#start + this.#size)
    this.#size += length
    if (padded > length) ftruncateSync(this.#file, this.#start + this.#size)
  }

  /** Gives the digest once all of it is on the medium. */
  finish(): string {
    if (!this.#given) fsyncSync(this.#file)
    this.close()
    return this.#hash.digest('hex')
  }

  close(): void {
    if (!this.#given) closeSync(this.#file)
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
    return openSync(this.#path, flags)
  }

  #readHeld(held: number): void {
    const file = openSync(this.#path, constants.O_RDONLY)
    try {
      while (this.#size < held) {
        const length = readSync(file, this.#slots, 0, Math.min(SLOT, held - this.#size), this.#start + this.#size)
        if (length === 0) throw Object.assign(new Error(`${this.#path} was cut short while it was read`), { code: 'EIO' })
        this.#hash.update(this.#slots.subarray(0, length))
        this.#size += length
      }
    } finally {
      closeSync(file)
    }
  }

  #writeAll(bytes: Uint8Array, position: number): void {
    let done = 0
    while (done < bytes.length) {
      try {
        done += writeSync(this.#file, bytes, done, bytes.length - done, position + done)
      } catch (error) {
        // Some file systems take the flag and then not the write
        if (!this.#direct || codeOf(error) !== 'EINVAL') throw error
        closeSync(this.#file)
        this.#direct = false
        this.#file = this.#open()
      }
      if (this.#direct && done % ALIGNMENT !== 0) done -= done % ALIGNMENT
    }
  }
}

const writings = new Map<number, Writing>()

parentPort?.on('message', (request: WriteRequest) => {
  const { id } = request
  try {
    switch (request.type) {
      case 'open':
        writings.set(id, new Writing(request))
        return
      case 'write':
        writings.get(id)?.write(request.slot, request.length)
        return answer({ type: 'written', id, slot: request.slot })
      case 'finish': {
        const writing = writings.get(id)
        if (!writing) return
        writings.delete(id)
        return answer({ type: 'finished', id, hex: writing.finish() })
      }
      case 'close': {
        const writing = writings.get(id)
        writings.delete(id)
        writing?.close()
        return answer({ type: 'closed', id })
      }
    }
  } catch (error) {
    const writing = writings.get(id)
    writings.delete(id)
    try {
      writing?.close()
    } catch {
      // the first error is the one to tell
    }
    answer({ type: 'error', id, code: codeOf(error) ?? '', message: error instanceof Error ? error.message : String(error) })
  }
})

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

function answer(message: WriteAnswer): void {
  parentPort?.postMessage(message)
}
