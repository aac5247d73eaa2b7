/**
 * Sends requests to one host and follows its redirects. Retries temporary failures, and sends credentials only to their
 * origin. Source: RFC 9110.
 */
import { abortError, StowageError, systemReason } from '../errors.js'
import { drain, readAll } from './answer.js'
import type { Endpoint } from './endpoint.js'
import type { HttpAnswer, HttpRequest } from './exchange.js'
import { isFinal, isUntrusted, rootOf, speaksHttp } from './failure.js'
import { isLoopback } from './proxy.js'
import { backoff, pause, retryAfter } from './retry.js'
import { HttpTransport, type TransportOptions } from './transport.js'

export interface HttpOptions extends TransportOptions {
  /** Attempts after the first. */
  readonly retries?: number | undefined
  /** Milliseconds before the second attempt; each wait is about twice the one before, up to half a minute. */
  readonly backoff?: number | undefined
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

  constructor(endpoint: Endpoint, options: HttpOptions = {}) {
    this.endpoint = endpoint
    this.#options = options
    this.#transport = new HttpTransport(endpoint, options)
  }

  /**
   * The response, with any status. Temporary statuses and failures are retried first. Throws REGISTRY_UNREACHABLE,
   * REGISTRY_PROTOCOL, ABORTED.
   */
  async send(request: RetryableRequest, authorization?: Authorization): Promise<HttpAnswer> {
    const retries = request.retries ?? this.#options.retries ?? RETRIES
    for (let attempt = 0; ; attempt += 1) {
      let wait = backoff(attempt, this.#options.backoff)
      try {
        const answer = await wholeOf(await this.#follow(request, authorization), request.whole)
        if (!TEMPORARY_STATUSES.has(answer.status) || attempt >= retries) return answer
        wait = Math.max(wait, retryAfter(answer.header('retry-after')))
        if (wait > MAX_RETRY_AFTER) return answer
        await drain(answer)
      } catch (error) {
        if (request.signal?.aborted) throw abortError(error, request.signal)
        if (error instanceof StowageError || attempt >= retries || isFinal(error)) throw this.unreachable(error)
      }
      await pause(wait, request.signal)
    }
  }

  /** Sends one request without retries or redirects. Throws network errors of the system or of undici. */
  async sendOnce(url: URL, request: HttpRequest): Promise<HttpAnswer> {
    return await this.#transport.send(url, request, {})
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
  unreachable(error: unknown): unknown {
    if (error instanceof StowageError) return error
    const { domain, host } = this.endpoint
    if (speaksHttp(error)) {
      return new StowageError('REGISTRY_UNREACHABLE', `${host} speaks http, not https`, {
        hint: `If this is intended, use --insecure ${domain}.`,
        cause: error,
      })
    }
    return new StowageError('REGISTRY_UNREACHABLE', `${domain} cannot be reached: ${systemReason(rootOf(error))}`, {
      hint: isUntrusted(error)
        ? `Name its CA in SSL_CERT_FILE, or put the CA certificate into /etc/docker/certs.d/${host}/ca.crt.`
        : undefined,
      cause: error,
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transport[Symbol.asyncDispose]()
  }

  async #follow(request: RetryableRequest, authorization: Authorization | undefined): Promise<HttpAnswer> {
    let { url } = request
    for (let hops = 0; ; hops += 1) {
      // No other origin may see it, even if a redirect or the location of an upload leads there
      const own = authorization && url.origin === authorization.origin ? { authorization: authorization.header } : {}
      const answer = await this.#transport.send(url, request, { ...request.headers, ...own })
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
