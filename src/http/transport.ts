/** Sends single requests, without retries or redirects. */
import { sendsBlobs } from '../blob/send-blob.js'
import type { Endpoint } from './endpoint.js'
import type { ConnectionPool, HttpAnswer, HttpRequest, TlsMaterial } from './exchange.js'
import { type NativeAnswer, nativeGet, nativePut } from './native-request.js'
import { proxyFor } from './proxy.js'

export interface TransportOptions {
  readonly env?: NodeJS.ProcessEnv | undefined
  /** Milliseconds without any data after which a connection fails. */
  readonly silence?: number | undefined
}

const SILENCE = 60_000
const CONNECT_TIMEOUT = 20_000
const CONNECTIONS = 16
const OWN_HEADERS = { 'accept-encoding': 'identity', 'user-agent': 'stowage' }

export class HttpTransport implements AsyncDisposable {
  readonly #endpoint: Endpoint
  readonly #options: TransportOptions
  readonly #pools = new Map<string, Promise<ConnectionPool>>()

  constructor(endpoint: Endpoint, options: TransportOptions) {
    this.#endpoint = endpoint
    this.#options = options
  }

  /** Throws network errors of the system or of undici. */
  async send(url: URL, request: HttpRequest, headers: Readonly<Record<string, string>>): Promise<HttpAnswer> {
    const all = { ...OWN_HEADERS, ...headers }
    if ((request.downloader || request.file) && proxyFor(url, this.#options.env) === undefined) {
      const direct = await this.#sendDirect(url, request, all)
      if (direct) return direct
    }
    return await (await this.#pool(url)).send(url, request, all)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The caller has the error of a pool that could not be opened
    await Promise.all([...this.#pools.values()].map(async pool => await (await pool.catch(() => undefined))?.close()))
  }

  async #sendDirect(
    url: URL,
    { signal, downloader, file }: HttpRequest,
    headers: Readonly<Record<string, string>>,
  ): Promise<HttpAnswer | undefined> {
    const options = { headers, tls: this.#tlsFor(url), connectTimeout: CONNECT_TIMEOUT, silence: this.#silence, signal }
    let answer: NativeAnswer | undefined
    if (file && sendsBlobs()) answer = await nativePut(url, file.place, file.blob, options)
    else if (downloader) answer = await nativeGet(url, downloader, options)
    if (!answer) return undefined
    const { status, headers: found, body, writeToFile, close } = answer
    const dump = async (): Promise<void> => close()
    return {
      status,
      header: name => found.get(name),
      body: { [Symbol.asyncIterator]: () => body[Symbol.asyncIterator](), dump, destroy: close, writeToFile },
      url,
    }
  }

  async #pool(url: URL): Promise<ConnectionPool> {
    const known = this.#pools.get(url.origin) ?? this.#openPool(url)
    this.#pools.set(url.origin, known)
    return await known
  }

  async #openPool(url: URL): Promise<ConnectionPool> {
    const options = { connections: CONNECTIONS, connectTimeout: CONNECT_TIMEOUT, silence: this.#silence }
    const { openPool } = await import('./pool.js')
    return await openPool({ ...options, tls: this.#tlsFor(url), proxy: proxyFor(url, this.#options.env) })
  }

  get #silence(): number {
    return this.#options.silence ?? SILENCE
  }

  #tlsFor(url: URL): TlsMaterial {
    const { ca, cert, key } = this.#endpoint.tls
    const own = url.host === new URL(`https://${this.#endpoint.host}`).host
    // Client certificates are only for the registry itself, its authorities also for the hosts that it redirects to
    return { ca: [...ca], ...(own && cert !== undefined && key !== undefined ? { cert, key } : {}) }
  }
}
