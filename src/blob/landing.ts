/**
 * Bytes that are read where they are written: on a thread of write-blob.ts, by a module that whoever has the bytes names. What
 * passes through two threads is copied between them, which costs more than reading it.
 */

/** Where a blob may land. */
export interface Landing {
  /**
   * Has `open` of the module `reader`, an {@link OpenReader}, called on the thread with `request`, which must be plain data.
   * Throws what it throws, as an error with its code and message, and soon once `signal` is aborted, as reading does then. One
   * is open at a time.
   */
  open(reader: string, request: unknown, signal?: AbortSignal): Promise<Landed>
}

/** What was opened there. */
export interface Landed {
  /** What the other side said before the bytes. */
  readonly head: unknown
  /** Reads `length` bytes behind the next `skip` ones into the file, and tells how many came, now and then. Throws what reading throws. */
  read(skip: number, length: number): AsyncIterable<number>
  /** Lets go of it: one that is not read, for reading ends with that. */
  close(): void
}

/** What a module that reads exports as `open`. */
export type OpenReader = (request: unknown, signal: AbortSignal) => Promise<LandingReader>

export interface LandingReader {
  /** Plain data. */
  readonly head: unknown
  /** Gives `room` the `length` bytes behind the next `skip` ones. What was given counts, also when it throws. */
  read(skip: number, length: number, room: Room): Promise<void>
  close(): void
}

/** The memory that bytes are read into. */
export interface Room {
  /** Where the next bytes belong; undefined while none is free. It is no longer good after `took`. */
  next(): Uint8Array | undefined
  /** So many bytes of it are filled. */
  took(length: number): void
  /** Once some memory is free. Throws where what was taken cannot be written. */
  free(): Promise<void>
}
