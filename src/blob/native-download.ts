/**
 * Downloads by the native thread of write-blob.ts: it reads from its own connection into the memory that it hashes and
 * writes. Bytes that pass through JavaScript are copied, which costs more than reading them.
 */

/** A native thread that requests a blob and writes it to its file. */
export interface NativeDownloader {
  /**
   * Sends `request` and returns the response. Throws network failures as system errors; once `signal` is aborted, both
   * this and reading throw soon. Only one download is open at a time.
   */
  ask(request: NativeRequest, signal?: AbortSignal): Promise<NativeDownload>
}

/** A request for a native thread, which opens its own connection. */
export interface NativeRequest {
  /** IP addresses of one host, tried in this order. */
  readonly addresses: readonly string[]
  readonly port: number
  /** The head of an HTTP/1.1 request, with the empty line at its end. Source: RFC 9112. */
  readonly head: Buffer
  /** Milliseconds: the time to connect to each address, and the longest pause without data. */
  readonly connectTimeout: number
  readonly silence: number
  /** For https. All fields but the name are PEM, or empty. */
  readonly tls?: NativeTls
}

export interface NativeTls {
  /** The host name that the server's certificate must be valid for. */
  readonly name: string
  readonly authorities: string
  readonly certificate: string
  readonly key: string
}

export interface NativeDownload {
  /** The head of the response, with its empty line; if the status is not 200 or 206, also the beginning of the body. */
  readonly head: Buffer
  /** Skips `skip` bytes and reads `length` bytes into the file; yields the number of new bytes. Throws read errors. */
  read(skip: number, length: number): AsyncIterable<number>
  /** Closes a download that is not read; reading closes it at the end. */
  close(): void
}
