/**
 * Sends requests to one host and follows its redirects. Retries temporary failures, and sends credentials only to their
 * origin. Source: RFC 9110.
 */
import type { Bytes } from '../blob/blob-store.js'
import { abortError, StowageError } from '../errors.js'
import { type OnProgress, type RetryEvent, type Wait, Waits } from '../progress.js'
import { abandon, drain, readAll } from './answer.js'
import type { Attempt, Diagnosis } from './diagnosis.js'
import type { Endpoint } from './endpoint.js'
import type { HttpAnswer, HttpRequest } from './exchange.js'
import { failureHint, failureReason, isAbsent, isFinal } from './failure.js'
import { isLoopback } from './proxy.js'
import { backoff, pause, retryAfter } from './retry.js'
import { HttpTransport, type TransportOptions } from './transport.js'

export interface HttpOptions extends TransportOptions {
  /** Attempts after the first. */
  readonly retries?: number | undefined
  /** Milliseconds before the second attempt; each wait is about twice the one before, up to half a minute. */
  readonly backoff?: number | undefined
  /** Gets waits for the host, and retries. */
  readonly onProgress?: OnProgress | undefined
}

export interface RetryableRequest extends HttpRequest {
  readonly url: URL
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** If set, each attempt includes reading the body of a response with status 200, of at most this many bytes. */
  readonly whole?: number | undefined
  /** 0 if the caller retries itself. */
  readonly retries?: number | undefined
}

/** An Authorization header, and the only origin it may be sent to: `https://registry.example`. */
export interface Authorization {
  readonly header: string
  readonly origin: string
}

const RETRIES = 5
/** Longest `Retry-After` to wait for, in milliseconds; a longer one is left to the user. */
const MAX_RETRY_AFTER = 120_000
const REDIRECTS = 10
const TEMPORARY_STATUSES = new Set([408, 425, 429, 500, 502, 503, 504])
const REDIRECT_STATUSES = new Set([301, 302, 303, 307, 308])

export class HttpConnection implements AsyncDisposable {
  readonly endpoint: Endpoint
  readonly #options: HttpOptions
  readonly #transport: HttpTransport
  readonly #waits: Waits
  /** Whether a response of any host has arrived. */
  #answered = false

  constructor(endpoint: Endpoint, options: HttpOptions = {}) {
    this.endpoint = endpoint
    this.#options = options
    this.#transport = new HttpTransport(endpoint, options)
    this.#waits = new Waits(options.onProgress, endpoint.domain)
  }

  /**
   * The response, with any status. Temporary statuses and failures are retried first. Throws REGISTRY_UNREACHABLE,
   * REGISTRY_PROTOCOL, ABORTED.
   */
  async send(request: RetryableRequest, authorization?: Authorization): Promise<HttpAnswer> {
    const retries = request.retries ?? this.#options.retries ?? RETRIES
    for (let attempt = 0; ; attempt += 1) {
      let wait = backoff(attempt, this.#options.backoff)
      let reason: string
      const first = !this.#answered
      try {
        const answer = await this.#attempt(request, authorization)
        if (first && answer.status === 400) await this.#expectHttp(answer)
        if (!TEMPORARY_STATUSES.has(answer.status) || attempt >= retries) return answer
        wait = Math.max(wait, retryAfter(answer.header('retry-after')))
        if (wait > MAX_RETRY_AFTER) return answer
        await drain(answer)
        reason = `${answer.url.host} answered with status ${answer.status}`
      } catch (error) {
        if (request.signal?.aborted) throw abortError(error, request.signal)
        const final = isFinal(error) || (first && isAbsent(error))
        if (error instanceof StowageError || attempt >= retries || final) throw await this.unreachable(error)
        // A server with TLS that is asked plainly, or that wants a certificate, may just close the connection
        const hopeless = first && attempt === 0 ? await this.#diagnosed(error) : undefined
        if (hopeless) throw hopeless
        reason = `${this.#hostOf(error)}: ${failureReason(error)}`
      }
      this.retrying({ retry: attempt + 1, retries, wait, reason })
      await pause(wait, request.signal)
    }
  }

  /** Reports a retry of this host. */
  retrying(retry: Omit<RetryEvent, 'type' | 'subject'>): void {
    this.#options.onProgress?.({ type: 'retry', subject: this.endpoint.domain, ...retry })
  }

  /** Sends one request without retries or redirects. Throws network errors of the system or of undici. */
  async sendOnce(url: URL, request: HttpRequest): Promise<HttpAnswer> {
    using wait = this.#begin(request)
    const answer = await this.#transport.send(url, watched(request, wait), {})
    this.#answered = true
    return answer
  }

  /** Resolves a URL in a response, relative to the URL of the response. Throws REGISTRY_PROTOCOL. */
  resolve(answer: HttpAnswer, location: string): URL {
    if (URL.canParse(location, answer.url.href)) return new URL(location, answer.url.href)
    throw new StowageError(
      'REGISTRY_PROTOCOL',
      `${this.endpoint.domain} redirects to an invalid address: ${JSON.stringify(location.slice(0, 200))}`,
    )
  }

  /** Throws REGISTRY_PROTOCOL for a redirect from https to plain http, except on this machine, or to another scheme. */
  checkRedirect(from: URL, to: URL): void {
    const here = isLoopback(from.hostname) && isLoopback(to.hostname)
    if (to.protocol === 'https:' || (to.protocol === 'http:' && (from.protocol === 'http:' || here))) return
    throw new StowageError(
      'REGISTRY_PROTOCOL',
      `${from.host} points to ${to.protocol}//${to.host}, which is not followed, because the request used ${from.protocol.replace(':', '')}`,
    )
  }

  /** Converts a network error to REGISTRY_UNREACHABLE. A StowageError is returned unchanged. */
  async unreachable(error: unknown): Promise<unknown> {
    if (error instanceof StowageError) return error
    const known = await this.#diagnosed(error)
    if (known) return known
    const proxy = error instanceof HopError ? this.#transport.proxyFor(error.url) : undefined
    const through = proxy !== undefined && URL.canParse(proxy) ? ` through the proxy ${new URL(proxy).host}` : ''
    return new StowageError(
      'REGISTRY_UNREACHABLE',
      `${this.#hostOf(error)} cannot be reached${through}: ${failureReason(error)}`,
      { hint: failureHint(error), cause: error },
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transport[Symbol.asyncDispose]()
  }

  /** The first wait is for the connection. */
  #begin({ body, file }: HttpRequest): Wait {
    return this.#waits.begin(!this.#answered ? 'connect' : body || file ? 'send' : 'wait')
  }

  async #attempt(request: RetryableRequest, authorization: Authorization | undefined): Promise<HttpAnswer> {
    using wait = this.#begin(request)
    const answer = await this.#follow(watched(request, wait), authorization)
    this.#answered = true
    return await wholeOf(answer, request.whole)
  }

  /** Throws REGISTRY_UNREACHABLE if status 400 came from a server that expects TLS. */
  async #expectHttp(answer: HttpAnswer): Promise<void> {
    if (answer.url.protocol !== 'http:') return
    const { diagnosePlainRefusal } = await import('./diagnosis.js')
    const found = await diagnosePlainRefusal(this.#attemptAt(answer.url))
    if (!found) return
    abandon(answer)
    throw await this.#explained(found, answer.url, undefined)
  }

  /** The error for a failure that has to do with TLS. */
  async #diagnosed(error: unknown): Promise<StowageError | undefined> {
    const url = error instanceof HopError ? error.url : new URL(`https://${this.endpoint.host}`)
    const { diagnose } = await import('./diagnosis.js')
    const found = await diagnose(error, this.#attemptAt(url))
    return found && (await this.#explained(found, url, error))
  }

  async #explained({ type, sentence }: Diagnosis, url: URL, cause: unknown): Promise<StowageError> {
    const { tlsHint } = await import('./tls-hint.js')
    return new StowageError('REGISTRY_UNREACHABLE', sentence, { hint: tlsHint(type, url, this.endpoint), cause })
  }

  #attemptAt(url: URL): Attempt {
    const secure = url.protocol === 'https:'
    const { cert, key, file, keyFile } = this.endpoint.tls
    const own = url.host === new URL(`https://${this.endpoint.host}`).host
    return {
      who: own || url.host === this.endpoint.host ? this.endpoint.domain : url.host,
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: Number(url.port || (secure ? 443 : 80)),
      secure,
      direct: this.#transport.proxyFor(url) === undefined,
      own: own && cert !== undefined && key !== undefined ? { cert, key, file, keyFile } : undefined,
    }
  }

  /** The host that a failed request went to: the endpoint, or one that it redirects to. */
  #hostOf(error: unknown): string {
    const { host, domain } = this.endpoint
    return error instanceof HopError && error.url.host !== new URL(error.url.protocol + '//' + host).host
      ? `${error.url.host}, to which ${domain} redirects,`
      : domain
  }

  async #follow(request: RetryableRequest, authorization: Authorization | undefined): Promise<HttpAnswer> {
    let { url } = request
    for (let hops = 0; ; hops += 1) {
      // No other origin may see it, even if a redirect or the location of an upload leads there
      const own = authorization && url.origin === authorization.origin ? { authorization: authorization.header } : {}
      const at = url
      const answer = await this.#transport
        .send(url, request, { ...request.headers, ...own })
        .catch((error: unknown) => Promise.reject(error instanceof StowageError ? error : new HopError(at, error)))
      const location = answer.header('location')
      const isRead = request.method === 'GET' || request.method === 'HEAD'
      if (!REDIRECT_STATUSES.has(answer.status) || location === undefined || !isRead) return answer
      await drain(answer)
      if (hops >= REDIRECTS)
        throw new StowageError(
          'REGISTRY_PROTOCOL',
          `${request.url.host} redirects more than ${REDIRECTS} times, the last time to ${url.host}`,
        )
      const next = this.resolve(answer, location)
      this.checkRedirect(url, next)
      url = next
    }
  }
}

/** A network error, and the URL that was asked. */
class HopError extends Error {
  readonly url: URL

  constructor(url: URL, cause: unknown) {
    super('the request failed', { cause })
    this.url = url
  }
}

/** The request, with `wait` told what it is for: the body to be sent, then the response. */
function watched<R extends HttpRequest>(request: R, wait: Wait): R {
  const { body } = request
  if (!body) return { ...request, onConnected: () => wait.become('wait') }
  return {
    ...request,
    onConnected: () => wait.become('send'),
    body: () => {
      const content = body()
      return typeof content === 'string' || content instanceof Uint8Array ? content : ending(content, wait)
    },
  }
}

async function* ending(bytes: Bytes, wait: Wait): Bytes {
  yield* bytes
  wait.become('wait')
}

async function wholeOf(answer: HttpAnswer, limit: number | undefined): Promise<HttpAnswer> {
  if (limit === undefined || answer.status !== 200) return answer
  const bytes = await readAll(answer, limit)
  const { status, url, body } = answer
  const whole = async function* (): AsyncIterator<Uint8Array> {
    yield bytes
  }
  return {
    status,
    header: name => answer.header(name),
    body: {
      [Symbol.asyncIterator]: whole,
      dump: async () => await body.dump(),
      destroy: () => {
        body.destroy()
      },
    },
    url,
  }
}
