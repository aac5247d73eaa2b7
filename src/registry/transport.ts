/** How a request goes out, and its answer comes back: one round, whatever it says. */
import type { BlobPlace, Bytes } from '../blob/blob-store.js'
import type { Landing } from '../blob/landing.js'
import { sendsBlobs } from '../blob/send-blob.js'
import type { Descriptor } from '../oci/descriptor.js'
import { type DirectAnswer, directGet } from './direct-get.js'
import type { RegistryEndpoint } from './endpoint.js'
import { landingGet, type NativeAnswer, sendingPut } from './native-request.js'
import { proxyFor } from './proxy.js'

export interface TransportOptions {
  readonly env?: NodeJS.ProcessEnv | undefined
  /** How long nothing may come, in milliseconds. */
  readonly silence?: number | undefined
}

export interface TransportRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Made anew for each try. */
  readonly body?: (() => string | Uint8Array | Bytes) | undefined
  readonly signal?: AbortSignal | undefined
  /** A GET of much: over a connection of its own, where no proxy stands between. */
  readonly large?: boolean | undefined
  /** Of a large one: pieces may be overwritten once the next is asked for. */
  readonly transient?: boolean | undefined
  /** Of a large one: where its body may go instead; the answer can `land` then. */
  readonly landing?: Landing | undefined
  /** Where the blob stands on disk that `body` gives: it is sent from there where that can be. */
  readonly file?: { readonly blob: Descriptor; readonly place: BlobPlace } | undefined
}

/** What follows the head of an answer. */
export interface RegistryBody extends AsyncIterable<Uint8Array> {
  /** Reads it to its end, or closes the connection where that is far. */
  dump(): Promise<void>
  destroy(): void
  /** Instead of reading it: has the `length` bytes behind the next `skip` land, and tells how many did, now and then. */
  readonly land?: ((skip: number, length: number) => AsyncIterable<number>) | undefined
}

export interface RegistryResponse {
  readonly status: number
  header(name: string): string | undefined
  readonly body: RegistryBody
  /** Where the answer came from in the end. */
  readonly url: URL
}

/** Connections to one origin, which are kept for the next request. */
export interface ConnectionPool {
  /** Throws what the network does, as errors of the system or of undici. */
  send(url: URL, request: TransportRequest, headers: Readonly<Record<string, string>>): Promise<RegistryResponse>
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
  readonly ca?: string[]
  readonly cert?: string
  readonly key?: string
}

const SILENCE = 60_000
const CONNECT_TIMEOUT = 20_000
const CONNECTIONS = 16
const OWN_HEADERS = { 'accept-encoding': 'identity', 'user-agent': 'stowage' }

export class Transport implements AsyncDisposable {
  readonly #endpoint: RegistryEndpoint
  readonly #options: TransportOptions
  readonly #pools = new Map<string, Promise<ConnectionPool>>()

  constructor(endpoint: RegistryEndpoint, options: TransportOptions) {
    this.#endpoint = endpoint
    this.#options = options
  }

  /** Throws what the network does, as errors of the system or of undici. */
  async send(
    url: URL,
    request: TransportRequest,
    headers: Readonly<Record<string, string>>,
  ): Promise<RegistryResponse> {
    const all = { ...OWN_HEADERS, ...headers }
    if ((request.large || request.file) && proxyFor(url, this.#options.env) === undefined) {
      const direct = await this.#sendDirect(url, request, all)
      if (direct) return direct
    }
    return await (await this.#pool(url)).send(url, request, all)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // One that could not be opened was told to whoever asked for it
    await Promise.all([...this.#pools.values()].map(async pool => await (await pool.catch(() => undefined))?.close()))
  }

  async #sendDirect(
    url: URL,
    { signal, large, transient, landing, file }: TransportRequest,
    headers: Readonly<Record<string, string>>,
  ): Promise<RegistryResponse | undefined> {
    const plain = url.protocol === 'http:'
    const options = { headers, connectTimeout: CONNECT_TIMEOUT, silence: this.#silence, signal }
    let answer: DirectAnswer | NativeAnswer | undefined
    if (file && plain && sendsBlobs()) answer = await sendingPut(url, file.place, file.blob, options)
    else if (landing && plain) answer = await landingGet(url, landing, options)
    else if (large) answer = await directGet(url, { ...options, tls: this.#tlsFor(url), transient })
    if (!answer) return undefined
    const { status, headers: found, body, land, close } = answer
    const dump = async (): Promise<void> => close()
    return {
      status,
      header: name => found.get(name),
      body: { [Symbol.asyncIterator]: () => body[Symbol.asyncIterator](), dump, destroy: close, land },
      url,
    }
  }

  async #pool(url: URL): Promise<ConnectionPool> {
    const known = this.#pools.get(url.origin) ?? this.#openPool(url)
    this.#pools.set(url.origin, known)
    return await known
  }

  /** What node:http can do is left to it: to load undici takes longer than to start this program. */
  async #openPool(url: URL): Promise<ConnectionPool> {
    const options = { connections: CONNECTIONS, connectTimeout: CONNECT_TIMEOUT, silence: this.#silence }
    const proxy = proxyFor(url, this.#options.env)
    if (url.protocol === 'http:' && proxy === undefined) return new (await import('./plain-pool.js')).PlainPool(options)
    return new (await import('./undici-pool.js')).UndiciPool({ ...options, tls: this.#tlsFor(url), proxy })
  }

  get #silence(): number {
    return this.#options.silence ?? SILENCE
  }

  #tlsFor(url: URL): TlsMaterial {
    const { ca, cert, key } = this.#endpoint.tls
    const own = url.host === new URL(`https://${this.#endpoint.host}`).host
    // The certificates we show are for the registry alone, the authorities it needs for all that it points at
    return { ...(ca ? { ca: [...ca] } : {}), ...(own && cert !== undefined && key !== undefined ? { cert, key } : {}) }
  }
}
