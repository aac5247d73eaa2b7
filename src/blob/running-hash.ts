/** SHA-256 of pieces that are also needed elsewhere: each is hashed on a thread of the addon, beside what is done with it. */
import { createHash, type Hash } from 'node:crypto'
import { nativePart } from '../native.js'

/** `native/running_hash.h`. */
interface NativeHash {
  add(piece: Uint8Array): Promise<undefined>
  end(): string
}

/** One content; without the addon, it is hashed on this thread. */
export class RunningHash {
  readonly #native: NativeHash | undefined
  readonly #here: Hash | undefined
  #adding: Promise<undefined> | undefined

  /** `addon`: whether to use it if there is one. */
  constructor({ addon = true }: { readonly addon?: boolean } = {}) {
    const Native = addon ? nativePart<new () => NativeHash>('RunningHash') : undefined
    if (Native) this.#native = new Native()
    else this.#here = createHash('sha256')
  }

  /** Resolves when the piece before this one is hashed. A piece must not change. */
  async add(piece: Uint8Array): Promise<void> {
    this.#here?.update(piece)
    await this.#adding
    this.#adding = this.#native?.add(piece)
  }

  /** The digest of what was added, in hexadecimal. */
  async end(): Promise<string> {
    await this.#adding
    return this.#native?.end() ?? this.#here?.digest('hex') ?? ''
  }
}
