/**
 * Reads served blobs straight from their files, checking each against its digest once before any client has all of it.
 */
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
   * Its bytes from `start` up to `end`. If the blob has not been checked yet, the last piece is held back until it has
   * been. Throws DIGEST_MISMATCH, SIZE_MISMATCH, IO_ERROR.
   */
  bytes(start: number, end: number, signal: AbortSignal): Bytes
}

/** Bytes per read. A transfer holds at most two pieces. */
const PIECE = 256 * 1024

/** The result of checking one place, valid as long as the file has the same identity. */
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

  /** The caller still disposes of the shelves. */
  constructor(shelves: readonly Shelf[]) {
    this.#shelves = shelves
  }

  /** Whether a shelf has a file of the right size for the blob. */
  async has(blob: Descriptor): Promise<boolean> {
    for (const shelf of this.#shelves) if (sizeOf((await shelf.place(blob.digest)) ?? []) === blob.size) return true
    return false
  }

  /**
   * Opens the blob on the first shelf where it is not known to be damaged. Throws BLOB_MISSING, SIZE_MISMATCH,
   * DIGEST_MISMATCH if a check found it damaged, FILE_NOT_FOUND, IO_ERROR if the medium cannot be read.
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

  /**
   * All bytes of a small blob, checked. Throws as {@link ServedContent.open}, and INVALID_MANIFEST if over `limit`
   * bytes.
   */
  async read(blob: Descriptor, limit: number, signal: AbortSignal): Promise<Uint8Array> {
    await using opened = await this.open(blob)
    return await readVerified(blob, opened.bytes(0, blob.size, signal), limit)
  }

  /** Checks the blob on every shelf that has it, unless already checked. Throws as {@link ServedContent.open}. */
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
    if (sizeOf(place) !== blob.size) {
      throw new StowageError(
        'SIZE_MISMATCH',
        `expected ${blob.size} bytes for ${blob.digest} but ${titleOf(place)} has ${sizeOf(place)}`,
      )
    }
    const files = await openFiles(place)
    try {
      const identity = await identityOf(files, place)
      const known = this.#known(place, identity)
      if (known?.error) throw known.error
      return {
        blob,
        bytes: (start, end, signal) => this.#bytes(blob, place, files, identity, start, end, signal),
        [Symbol.asyncDispose]: async () => await closeFiles(files),
      }
    } catch (error) {
      await closeFiles(files)
      throw error
    }
  }

  async *#bytes(
    blob: Descriptor,
    place: ServedBlob,
    files: readonly FileHandle[],
    identity: string,
    start: number,
    end: number,
    signal: AbortSignal,
  ): Bytes {
    const known = this.#known(place, identity)
    if (known?.error) throw known.error
    if (known || end < blob.size) yield* pieces(files, place, start, end, signal)
    else if (start === 0) yield* this.#checking(blob, place, files, identity, pieces(files, place, 0, end, signal))
    else yield* this.#heldBack(blob, place, pieces(files, place, start, end, signal))
  }

  /** The whole blob, checked while it is read. */
  async *#checking(
    blob: Descriptor,
    place: ServedBlob,
    files: readonly FileHandle[],
    identity: string,
    bytes: Bytes,
  ): Bytes {
    try {
      yield* verified(blob, bytes)
      if ((await identityOf(files, place)) === identity) this.#keep(place, { identity, error: undefined })
    } catch (error) {
      if (error instanceof StowageError && isContentError(error)) this.#keep(place, { identity, error })
      throw error
    }
  }

  /** The end of a blob. Its last piece is held back until a parallel check has read the whole blob. */
  async *#heldBack(blob: Descriptor, place: ServedBlob, bytes: Bytes): Bytes {
    const checked = this.#checkPlace(blob, place)
    checked.catch(() => undefined) // thrown below, unless the reader stops earlier
    let held: Uint8Array | undefined
    for await (const piece of bytes) {
      if (held) yield held
      held = piece
    }
    await checked
    if (held) yield held
  }

  /**
   * Checks a place once for all callers that wait. The check continues if they leave, so that a repeated request waits
   * less.
   */
  async #checkPlace(blob: Descriptor, place: ServedBlob): Promise<void> {
    const key = keyOf(place)
    const pending = this.#checks.get(key) ?? this.#hash(blob, place).finally(() => this.#checks.delete(key))
    this.#checks.set(key, pending)
    await pending
  }

  async #hash(blob: Descriptor, place: ServedBlob): Promise<void> {
    await this.#waitForTurn()
    try {
      const identity = await identityAt(place)
      const known = this.#known(place, identity)
      if (known?.error) throw known.error
      if (known) return
      const { digest, read } = await this.#pool.hash(place, {
        onRead: () => undefined,
        signal: this.#ending.signal,
      })
      const error = contentError(blob, place, digest, read)
      if ((await identityAt(place)) === identity) this.#keep(place, { identity, error })
      if (error) throw error
    } finally {
      this.#hashing -= 1
      this.#waiting.shift()?.()
    }
  }

  async #waitForTurn(): Promise<void> {
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

function keyOf(place: ServedBlob): string {
  const [first] = place
  return `${first?.offset ?? 0} ${first?.file ?? ''}`
}

/** In bytes. */
function sizeOf(place: ServedBlob): number {
  return place.reduce((sum, { size }) => sum + size, 0)
}

/** The files of the blob, for messages. */
function titleOf(place: ServedBlob): string {
  return place.map(({ file }) => file).join(' and ')
}

/** Whether `error` says that the content is wrong, rather than that it could not be read. */
export function isContentError({ code }: StowageError): boolean {
  return code === 'DIGEST_MISMATCH' || code === 'SIZE_MISMATCH'
}

function contentError(
  { digest, size }: Descriptor,
  place: ServedBlob,
  found: Digest,
  read: number,
): StowageError | undefined {
  if (read < size)
    return new StowageError(
      'SIZE_MISMATCH',
      `expected ${size} bytes for ${digest} but read ${read} of ${titleOf(place)}`,
    )
  if (found === digest) return undefined
  return new StowageError(
    'DIGEST_MISMATCH',
    `expected ${digest} but the ${read} bytes in ${titleOf(place)} are ${found}`,
  )
}

/** Opens the files without following symbolic links there, and without waiting if one is a pipe. */
async function openFiles(place: ServedBlob): Promise<readonly FileHandle[]> {
  const files: FileHandle[] = []
  try {
    for (const { file } of place) {
      files.push(await open(file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)))
    }
    return files
  } catch (error) {
    await closeFiles(files)
    throw fileError(error, place[files.length]?.file ?? '')
  }
}

async function closeFiles(files: readonly FileHandle[]): Promise<void> {
  for (const file of files) await file.close()
}

/** A string that changes if a file is replaced or a medium is exchanged. */
async function identityOf(files: readonly FileHandle[], place: ServedBlob): Promise<string> {
  const parts: bigint[] = []
  for (const [n, file] of files.entries()) {
    const { dev, ino, size, mtimeNs } = await file.stat({ bigint: true }).catch((error: unknown) => {
      throw fileError(error, place[n]?.file ?? '')
    })
    parts.push(dev, ino, size, mtimeNs)
  }
  return parts.join(' ')
}

async function identityAt(place: ServedBlob): Promise<string> {
  const files = await openFiles(place)
  try {
    return await identityOf(files, place)
  } finally {
    await closeFiles(files)
  }
}

/** The bytes of the blob from `start` up to `end`. Throws SIZE_MISMATCH if a file is shorter. */
async function* pieces(
  files: readonly FileHandle[],
  place: ServedBlob,
  start: number,
  end: number,
  signal: AbortSignal,
): Bytes {
  let before = 0
  for (const [n, { file: path, offset, size }] of place.entries()) {
    const file = files[n]
    const last = Math.min(end - before, size)
    for (let at = Math.max(start - before, 0); file && at < last;) {
      signal.throwIfAborted()
      const buffer = Buffer.allocUnsafeSlow(Math.min(PIECE, last - at))
      const { bytesRead } = await file.read(buffer, 0, buffer.length, offset + at).catch((error: unknown) => {
        throw fileError(error, path)
      })
      if (bytesRead === 0) throw new StowageError('SIZE_MISMATCH', `${path} ends ${last - at} bytes early`)
      at += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
    before += size
  }
}
