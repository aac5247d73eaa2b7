/** Types for HTTP requests, responses and connection pools. */
import type { BlobPlace, Bytes } from '../blob/blob-store.js'
import type { NativeDownloader } from '../blob/native-download.js'
import type { Descriptor } from '../oci/descriptor.js'

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Called for each attempt. */
  readonly body?: (() => string | Uint8Array | Bytes) | undefined
  readonly signal?: AbortSignal | undefined
  /** Called when a connection is there and the request begins; not by native threads. */
  readonly onConnected?: (() => void) | undefined
  /** For a GET without a proxy: a native thread can write the body to this; the response then has `writeToFile`. */
  readonly downloader?: NativeDownloader | undefined
  /** The blob that `body` gives and its place on disk, from where it is sent if possible. */
  readonly file?:
    | {
        readonly blob: Descriptor
        readonly place: BlobPlace
        /** Called with the number of bytes sent since the last time. */
        readonly onSent?: ((size: number) => void) | undefined
      }
    | undefined
}

/** The body of a response. */
export interface HttpBody extends AsyncIterable<Uint8Array> {
  /** Reads to the end of a short body, or closes the connection. */
  dump(): Promise<void>
  destroy(): void
  /**
   * Has a native thread skip `skip` bytes and write the next `length` bytes to the file. Yields how many were written
   * since the last time.
   */
  readonly writeToFile?: ((skip: number, length: number) => AsyncIterable<number>) | undefined
}

export interface HttpAnswer {
  readonly status: number
  header(name: string): string | undefined
  readonly body: HttpBody
  /** The URL after all redirects. */
  readonly url: URL
}

/** Connections to one origin, which are kept for further requests. */
export interface ConnectionPool {
  /** Throws network errors of the system or of undici. */
  send(url: URL, request: HttpRequest, headers: Readonly<Record<string, string>>): Promise<HttpAnswer>
  /** Closes all connections, including those in use. */
  close(): Promise<void>
}

export interface PoolOptions {
  /** Maximum number of connections at a time. */
  readonly connections: number
  /** In milliseconds. */
  readonly connectTimeout: number
  /** Milliseconds without any data after which a connection fails. */
  readonly silence: number
}

/** Certificates and key as PEM, in the form that node:tls takes. */
export interface TlsMaterial {
  readonly ca: string[]
  readonly cert?: string
  readonly key?: string
  /** Any certificate of the server is accepted. */
  readonly unverified?: boolean
}
