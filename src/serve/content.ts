/** The blobs that are served, read from where they lie: each is checked against its digest once, before anyone has all of it. */
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { Bytes } from '../blob/blob-store.js'
import { readVerified, verified } from '../blob/verified.js'
import { HashPool } from '../blob/hash-pool.js'
import { fileError, StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import type { ServedBlob, Shelf } from '../image/shelf.js'

/** An open blob. The caller disposes of it. */
export interface OpenBlob extends AsyncDisposable {
  readonly blob: Descriptor
  /**
   * Its bytes from `start` up to `end`. Where the blob was not checked yet, its last piece is held back until it was. Throws
   * DIGEST_MISMATCH, SIZE_MISMATCH, IO_ERROR and the like.
   */
  bytes(start: number, end: number, signal: AbortSignal): Bytes
}

/** Bytes of a read. A transfer holds two pieces at most. */
const PIECE = 256 * 1024

/** What a check of one place said; it holds as long as the file is the same. */
interface Finding {
  readonly identity: string
  readonly error: StowageError | undefined
}

export class ServedContent implements AsyncDisposable {
  readonly #shelves: readonly Shelf[]
  readonly #findings = new Map<string, Finding>()
  readonly #checks = new Map<string, Promise<void>>()
  readonly #pool = new HashPool()
  readonly #ending = new AbortController()
  readonly #waiting: (() => void)[] = []
  #hashing = 0

  /** The shelves stay whose they are. */
  constructor(shelves: readonly Shelf[]) {
    this.#shelves = shelves
  }

  /** Whether some shelf has a file of the right size for it. */
  async has(blob: Descriptor): Promise<boolean> {
    for (const shelf of this.#shelves) if ((await shelf.place(blob.digest))?.size === blob.size) return true
    return false
  }

  /**
   * Opens the blob on the first shelf that has it whole, as far as is known. Throws BLOB_MISSING, SIZE_MISMATCH, DIGEST_MISMATCH
   * for one that was found wrong, FILE_NOT_FOUND, IO_ERROR where the medium is gone.
   */
  async open(blob: Descriptor): Promise<OpenBlob> {
    let failure: unknown = new StowageError('BLOB_MISSING', `no file holds ${blob.digest}`)
    for (const shelf of this.#shelves) {
      try {
        const place = await shelf.place(blob.digest)
        if (place) return await this.#openPlace(blob, place)
      } catch (error) {
        failure = fileError(error, shelf.name)
      }
    }
    throw failure
  }

  /** All of a small blob, checked. Throws as {@link ServedContent.open} does, and INVALID_MANIFEST for one over `limit` bytes. */
  async read(blob: Descriptor, limit: number, signal: AbortSignal): Promise<Uint8Array> {
    await using opened = await this.open(blob)
    return await readVerified(blob, opened.bytes(0, blob.size, signal), limit)
  }

  /** Reads all of the blob on every shelf that has it, unless that was done before. Throws as {@link ServedContent.open} does. */
  async check(blob: Descriptor): Promise<void> {
    await using _opened = await this.open(blob)
    for (const shelf of this.#shelves) {
      const place = await shelf.place(blob.digest)
      if (place) await this.#checkPlace(blob, place)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort(new StowageError('ABORTED', 'the server is shutting down'))
    await Promise.allSettled(this.#checks.values())
    await this.#pool[Symbol.asyncDispose]()
  }

  async #openPlace(blob: Descriptor, place: ServedBlob): Promise<OpenBlob> {
    if (place.size !== blob.size) {
      throw new StowageError(
        'SIZE_MISMATCH',
        `expected ${blob.size} bytes for ${blob.digest} but ${place.file} has ${place.size}`,
      )
    }
    const file = await openFile(place.file)
    try {
      const identity = await identityOf(file, place)
      const known = this.#known(place, identity)
      if (known?.error) throw known.error
      return {
        blob,
        bytes: (start, end, signal) => this.#bytes(blob, place, file, identity, start, end, signal),
        [Symbol.asyncDispose]: async () => await file.close(),
      }
    } catch (error) {
      await file.close()
      throw error
    }
  }

  async *#bytes(
    blob: Descriptor,
    place: ServedBlob,
    file: FileHandle,
    identity: string,
    start: number,
    end: number,
    signal: AbortSignal,
  ): Bytes {
    const from = place.offset + start
    const known = this.#known(place, identity)
    if (known?.error) throw known.error
    if (known || end < blob.size) yield* pieces(file, place, from, end - start, signal)
    else if (start === 0) yield* this.#checking(blob, place, file, identity, pieces(file, place, from, end, signal))
    else yield* this.#heldBack(blob, place, pieces(file, place, from, end - start, signal))
  }

  /** The whole blob, checked as it passes. */
  async *#checking(blob: Descriptor, place: ServedBlob, file: FileHandle, identity: string, bytes: Bytes): Bytes {
    try {
      yield* verified(blob, bytes)
      if ((await identityOf(file, place)) === identity) this.#keep(place, { identity, error: undefined })
    } catch (error) {
      if (error instanceof StowageError && isWrong(error)) this.#keep(place, { identity, error })
      throw error
    }
  }

  /** The end of a blob, whose last piece waits until all of the blob was read beside it. */
  async *#heldBack(blob: Descriptor, place: ServedBlob, bytes: Bytes): Bytes {
    const checked = this.#checkPlace(blob, place)
    checked.catch(() => undefined) // thrown below, unless the reader left before
    let held: Uint8Array | undefined
    for await (const piece of bytes) {
      if (held) yield held
      held = piece
    }
    await checked
    if (held) yield held
  }

  /** One reading however many wait for it; it goes on when they leave, so that who comes again waits for less. */
  async #checkPlace(blob: Descriptor, place: ServedBlob): Promise<void> {
    const key = keyOf(place)
    const pending = this.#checks.get(key) ?? this.#hash(blob, place).finally(() => this.#checks.delete(key))
    this.#checks.set(key, pending)
    await pending
  }

  async #hash(blob: Descriptor, place: ServedBlob): Promise<void> {
    await this.#turn()
    try {
      const identity = await identityAt(place)
      const known = this.#known(place, identity)
      if (known?.error) throw known.error
      if (known) return
      const { digest, read } = await this.#pool.hash(place, () => undefined, this.#ending.signal)
      const error = wrong(blob, place, digest, read)
      if ((await identityAt(place)) === identity) this.#keep(place, { identity, error })
      if (error) throw error
    } finally {
      this.#hashing -= 1
      this.#waiting.shift()?.()
    }
  }

  async #turn(): Promise<void> {
    while (this.#hashing >= this.#pool.threads) await new Promise<void>(resolve => this.#waiting.push(resolve))
    this.#hashing += 1
  }

  #known(place: ServedBlob, identity: string): Finding | undefined {
    const finding = this.#findings.get(keyOf(place))
    return finding?.identity === identity ? finding : undefined
  }

  #keep(place: ServedBlob, finding: Finding): void {
    this.#findings.set(keyOf(place), finding)
  }
}

function keyOf({ file, offset }: ServedBlob): string {
  return `${offset} ${file}`
}

/** Whether `error` says that the content is wrong, and not that it could not be read. */
export function isWrong({ code }: StowageError): boolean {
  return code === 'DIGEST_MISMATCH' || code === 'SIZE_MISMATCH'
}

function wrong(
  { digest, size }: Descriptor,
  { file }: ServedBlob,
  found: Digest,
  read: number,
): StowageError | undefined {
  if (read < size)
    return new StowageError('SIZE_MISMATCH', `expected ${size} bytes for ${digest} but read ${read} of ${file}`)
  if (found === digest) return undefined
  return new StowageError('DIGEST_MISMATCH', `expected ${digest} but the ${read} bytes in ${file} are ${found}`)
}

/** A link in the last place is not followed, and a pipe that was put there is not waited for. */
async function openFile(path: string): Promise<FileHandle> {
  return await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)).catch(
    (error: unknown) => {
      throw fileError(error, path)
    },
  )
}

/** What changes when another file, or another medium, takes the place of this one. */
async function identityOf(file: FileHandle, { file: path }: ServedBlob): Promise<string> {
  const { dev, ino, size, mtimeNs } = await file.stat({ bigint: true }).catch((error: unknown) => {
    throw fileError(error, path)
  })
  return [dev, ino, size, mtimeNs].join(' ')
}

async function identityAt(place: ServedBlob): Promise<string> {
  const file = await openFile(place.file)
  try {
    return await identityOf(file, place)
  } finally {
    await file.close()
  }
}

/** `size` bytes from `position` on. Throws SIZE_MISMATCH if the file ends before. */
async function* pieces(
  file: FileHandle,
  { file: path }: ServedBlob,
  position: number,
  size: number,
  signal: AbortSignal,
): Bytes {
  for (let at = 0; at < size;) {
    signal.throwIfAborted()
    const buffer = Buffer.allocUnsafeSlow(Math.min(PIECE, size - at))
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position + at).catch((error: unknown) => {
      throw fileError(error, path)
    })
    if (bytesRead === 0) throw new StowageError('SIZE_MISMATCH', `${path} ends ${size - at} bytes early`)
    at += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}
