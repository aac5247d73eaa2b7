/**
 * Bytes that are read where they are written: by the native thread of write-blob.ts, from a connection of its own into the memory
 * that is hashed and written. What passes through JavaScript is copied on its way, which costs more than reading it.
 */

/** A native thread that requests a blob and writes it to its file. */
export interface NativeDownloader {
  /**
   * Sends `request` and gives what the other side answers. Throws what the network does, as errors of the system, and soon once
   * `signal` is aborted, as reading does then. One is open at a time.
   */
  ask(request: NativeRequest, signal?: AbortSignal): Promise<NativeDownload>
}

/** A request for a native thread that makes a connection of its own. */
export interface NativeRequest {
  /** Of one host, as numbers; they are tried in this order. */
  readonly addresses: readonly string[]
  readonly port: number
  /** The head of an HTTP/1.1 request, with the empty line at its end. Source: RFC 9112. */
  readonly head: Buffer
  /** Milliseconds: for each address, and for how long nothing may come. */
  readonly connectTimeout: number
  readonly silence: number
  /** For https; all but the name PEM, empty if there is none. */
  readonly tls?: NativeTls
}

export interface NativeTls {
  /** What the other side's certificate must be for. */
  readonly name: string
  readonly authorities: string
  readonly certificate: string
  readonly key: string
}

export interface NativeDownload {
  /** The head of the answer, with its empty line; of one whose status is neither 200 nor 206 also the beginning of its body. */
  readonly head: Buffer
  /** Reads `length` bytes behind the next `skip` ones into the file, and tells how many came, now and then. Throws what reading throws. */
  read(skip: number, length: number): AsyncIterable<number>
  /** Lets go of it: one that is not read, for reading ends with that. */
  close(): void
}
