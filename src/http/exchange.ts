/** The words of one exchange over HTTP: what is asked, what is answered, and the connections that both take. */
import type { BlobPlace, Bytes } from '../blob/blob-store.js'
import type { NativeDownloader } from '../blob/native-download.js'
import type { Descriptor } from '../oci/descriptor.js'

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Made anew for each try. */
  readonly body?: (() => string | Uint8Array | Bytes) | undefined
  readonly signal?: AbortSignal | undefined
  /** Of a GET: where its body may go by itself if no proxy is between; the answer can `land` then. */
  readonly downloader?: NativeDownloader | undefined
  /** Where the blob is on disk that `body` gives: it is sent from there where that can be. */
  readonly file?: { readonly blob: Descriptor; readonly place: BlobPlace } | undefined
}

/** What follows the head of an answer. */
export interface HttpBody extends AsyncIterable<Uint8Array> {
  /** Reads it to its end, or closes the connection where that is far. */
  dump(): Promise<void>
  destroy(): void
  /** Instead of reading it: has the `length` bytes behind the next `skip` land, and tells how many did, now and then. */
  readonly land?: ((skip: number, length: number) => AsyncIterable<number>) | undefined
}

export interface HttpAnswer {
  readonly status: number
  header(name: string): string | undefined
  readonly body: HttpBody
  /** Where the answer came from in the end. */
  readonly url: URL
}

/** Connections to one origin, which are kept for the next request. */
export interface ConnectionPool {
  /** Throws what the network does, as errors of the system or of undici. */
  send(url: URL, request: HttpRequest, headers: Readonly<Record<string, string>>): Promise<HttpAnswer>
  /** Closes them, those in use too. */
  close(): Promise<void>
}

export interface PoolOptions {
  /** At a time. */
  readonly connections: number
  /** Milliseconds: for a connection, and for how long nothing may come. */
  readonly connectTimeout: number
  readonly silence: number
}

/** PEM, as node:tls takes them. */
export interface TlsMaterial {
  readonly ca: string[]
  readonly cert?: string
  readonly key?: string
}
