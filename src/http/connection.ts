/** Requests to one host and to wherever it redirects: tried again where that may help, with credentials for their origin alone. Source: RFC 9110. */
import { abortError, StowageError, systemCode } from '../errors.js'
import { drain, readAll } from './answer.js'
import type { Endpoint } from './endpoint.js'
import type { HttpAnswer, HttpRequest } from './exchange.js'
import { isFinal, isUntrusted, rootOf, speaksHttp } from './failure.js'
import { isLoopback } from './proxy.js'
import { backoff, pause, retryAfter } from './retry.js'
import { HttpTransport, type TransportOptions } from './transport.js'

export interface HttpOptions extends TransportOptions {
  /** Tries after the first. */
  readonly retries?: number | undefined
  /** Milliseconds before the second try; each wait is about twice the one before, up to half a minute. */
  readonly backoff?: number | undefined
}

export interface TriedRequest extends HttpRequest {
  readonly url: URL
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** It is read whole as a part of each try if its status is 200: no more than so many bytes. */
  readonly whole?: number | undefined
  /** 0: no second try; the caller tries by itself. */
  readonly retries?: number | undefined
}

/** An Authorization header, and the origin that may see it: `https://registry.example`. */
export interface Authorization {
  readonly header: string
  readonly origin: string
}

const RETRIES = 5
/** A longer `Retry-After` is for a person to obey, in milliseconds. */
const LONGEST_RETRY_AFTER = 120_000
const REDIRECTS = 10
const PASSING_STATUSES = new Set([408, 425, 429, 500, 502, 503, 504])
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
   * The answer, whatever its status unless another try may mend it. Throws REGISTRY_UNREACHABLE, REGISTRY_PROTOCOL, ABORTED.
   */
  async send(request: TriedRequest, authorization?: Authorization): Promise<HttpAnswer> {
    const retries = request.retries ?? this.#options.retries ?? RETRIES
    for (let attempt = 0; ; attempt += 1) {
      let wait = backoff(attempt, this.#options.backoff)
      try {
        const answer = await wholeOf(await this.#follow(request, authorization), request.whole)
        if (!PASSING_STATUSES.has(answer.status) || attempt >= retries) return answer
        wait = Math.max(wait, retryAfter(answer.header('retry-after')))
        if (wait > LONGEST_RETRY_AFTER) return answer
        await drain(answer)
      } catch (error) {
        if (request.signal?.aborted) throw abortError(error, request.signal)
        if (error instanceof StowageError || attempt >= retries || isFinal(error)) throw this.unreachable(error)
      }
      await pause(wait, request.signal)
    }
  }

  /** One request, once, to nowhere but `url`. Throws what the network does, as errors of the system or of undici. */
  async sendOnce(url: URL, request: HttpRequest): Promise<HttpAnswer> {
    return await this.#transport.send(url, request, {})
  }

  /** An address that an answer named; relative ones are relative to where it came from. Throws REGISTRY_PROTOCOL. */
  resolve(answer: HttpAnswer, location: string): URL {
    if (URL.canParse(location, answer.url.href)) return new URL(location, answer.url.href)
    throw new StowageError(
      'REGISTRY_PROTOCOL',
      `${this.endpoint.domain} redirects to an invalid address: ${JSON.stringify(location.slice(0, 200))}`,
    )
  }

  /** Throws REGISTRY_PROTOCOL unless `from` may lead to `to`: never from https to plain http, except on this machine. */
  checkRedirect(from: URL, to: URL): void {
    const here = isLoopback(from.hostname) && isLoopback(to.hostname)
    if (to.protocol === 'https:' || (to.protocol === 'http:' && (from.protocol === 'http:' || here))) return
    throw new StowageError(
      'REGISTRY_PROTOCOL',
      `${from.host} points to ${to.protocol}//${to.host}, which is not followed, because the request used ${from.protocol.replace(':', '')}`,
    )
  }

  /** What a failure of the network means: REGISTRY_UNREACHABLE; a StowageError stays as it is. */
  unreachable(error: unknown): unknown {
    if (error instanceof StowageError) return error
    const { domain, host } = this.endpoint
    if (speaksHttp(error)) {
      return new StowageError('REGISTRY_UNREACHABLE', `${host} speaks http, not https`, {
        hint: `If that is right, name it: --insecure ${domain}.`,
        cause: error,
      })
    }
    const { message } = rootOf(error)
    return new StowageError(
      'REGISTRY_UNREACHABLE',
      `${domain} cannot be reached: ${message || (systemCode(rootOf(error)) ?? '')}`,
      {
        hint: isUntrusted(error)
          ? `Name its CA in SSL_CERT_FILE, or put the CA certificate into /etc/docker/certs.d/${host}/ca.crt.`
          : undefined,
        cause: error,
      },
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transport[Symbol.asyncDispose]()
  }

  async #follow(request: TriedRequest, authorization: Authorization | undefined): Promise<HttpAnswer> {
    let { url } = request
    for (let hops = 0; ; hops += 1) {
      // No other origin sees it, whether a redirect or the location of an upload leads there
      const shown = authorization && url.origin === authorization.origin ? { authorization: authorization.header } : {}
      const answer = await this.#transport.send(url, request, { ...request.headers, ...shown })
      const location = answer.header('location')
      const reads = request.method === 'GET' || request.method === 'HEAD'
      if (!REDIRECT_STATUSES.has(answer.status) || location === undefined || !reads) return answer
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
