/** Sends single requests, without retries or redirects. */
import { sendsBlobs } from '../blob/send-blob.js'
import type { Endpoint } from './endpoint.js'
import type { ConnectionPool, HttpAnswer, HttpRequest, TlsMaterial } from './exchange.js'
import { type NativeAnswer, nativeGet, nativePut } from './native-request.js'
import { proxyFor } from './proxy.js'
import { checkUnverified, isUnverified } from './skip-verify.js'

export interface TransportOptions {
  readonly env?: NodeJS.ProcessEnv | undefined
  /** Milliseconds without any data after which a connection fails. */
  readonly silence?: number | undefined
  /**
   * Hosts (`host` with any port, or `host:port`) whose certificates are accepted without verification. Whoever can get
   * in between can read and change everything: {@link onNotice} is told so.
   */
  readonly tlsSkipVerify?: readonly string[] | undefined
  /**
   * Called with notices for the user, one sentence each: a registry's rate limit is nearly used up, the certificate of
   * a host is not verified.
   */
  readonly onNotice?: ((sentence: string) => void) | undefined
}

const SILENCE = 60_000
const CONNECT_TIMEOUT = 20_000
const CONNECTIONS = 16
const OWN_HEADERS = { 'accept-encoding': 'identity', 'user-agent': 'stowage' }

export class HttpTransport implements AsyncDisposable {
  readonly #endpoint: Endpoint
  readonly #options: TransportOptions
  readonly #pools = new Map<string, Promise<ConnectionPool>>()
  /** Hosts about whose certificates the user has been warned. */
  readonly #warned = new Set<string>()

  /** Throws INVALID_ARGUMENT if an item of `tlsSkipVerify` is not a host. */
  constructor(endpoint: Endpoint, options: TransportOptions) {
    checkUnverified(options.tlsSkipVerify ?? [])
    this.#endpoint = endpoint
    this.#options = options
  }

  /** URL of the proxy for `url`; undefined if it is reached directly. */
  proxyFor(url: URL): string | undefined {
    return proxyFor(url, this.#options.env)
  }

  /** Throws network errors of the system or of undici. */
  async send(url: URL, request: HttpRequest, headers: Readonly<Record<string, string>>): Promise<HttpAnswer> {
    const all = { ...OWN_HEADERS, ...headers }
    if ((request.downloader || request.file) && this.proxyFor(url) === undefined && !this.#isUnverified(url)) {
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
    if (file && sendsBlobs()) answer = await nativePut(url, file, options)
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
    return await openPool({ ...options, tls: this.#tlsFor(url), proxy: this.proxyFor(url) })
  }

  get #silence(): number {
    return this.#options.silence ?? SILENCE
  }

  #tlsFor(url: URL): TlsMaterial {
    const { ca, cert, key } = this.#endpoint.tls
    const own = url.host === new URL(`https://${this.#endpoint.host}`).host
    // Client certificates are only for the registry itself, its authorities also for the hosts that it redirects to
    return {
      ca: [...ca],
      ...(own && cert !== undefined && key !== undefined ? { cert, key } : {}),
      ...(this.#isUnverified(url) ? { unverified: true } : {}),
    }
  }

  /** Native threads always verify: what they would carry goes through JavaScript for such a host. */
  #isUnverified(url: URL): boolean {
    if (!isUnverified(url, this.#options.tlsSkipVerify ?? [])) return false
    if (!this.#warned.has(url.host))
      this.#options.onNotice?.(
        `WARNING: the certificate of ${url.host} is not verified (--tls-skip-verify): whoever is in between can read and change what is sent, passwords too`,
      )
    this.#warned.add(url.host)
    return true
  }
}
