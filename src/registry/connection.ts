/**
 * Sends requests to one registry, with its scheme, tokens, credentials and rate limits. Source: OCI distribution-spec.
 */
import { abortError, StowageError } from '../errors.js'
import { drain, readAll } from '../http/answer.js'
import { type Authorization, HttpConnection, type HttpOptions, type RetryableRequest } from '../http/connection.js'
import type { Endpoint } from '../http/endpoint.js'
import type { HttpAnswer, HttpRequest } from '../http/exchange.js'
import { speaksHttp } from '../http/failure.js'
import { isLoopback } from '../http/proxy.js'
import { Waits } from '../progress.js'
import { type Challenge, parseChallenges } from './challenge.js'
import type { Credential } from './credentials.js'
import { formatRateLimit, isLow, parseRateLimit, type RateLimit } from './rate-limit.js'
import { errorText } from './refusal.js'
import { type Scope, type TokenRequest, Tokens } from './token.js'

export interface ConnectionOptions extends HttpOptions {
  /** Called when the registry requires credentials. */
  readonly credential?: ((repository: string) => Promise<Credential | undefined>) | undefined
  /** If set, the token service is asked for an identity token, and this is called with it. */
  readonly onIdentityToken?: ((token: string) => void) | undefined
}

export interface RegistryRequest extends Omit<RetryableRequest, 'url'> {
  /** `/v2/…`, or a full URL that the registry gave. */
  readonly target: string
  readonly repository: string
  readonly scopes: readonly Scope[]
  /** Neither looks up nor sends credentials: for URLs outside the registry. */
  readonly anonymous?: boolean | undefined
}

/** Milliseconds to wait for the first response of a host that may not speak http. */
const PROBE_TIMEOUT = 3000
/** Maximum size of a response that is read as text, in bytes. */
const TEXT_LIMIT = 1 << 20

export class RegistryConnection implements AsyncDisposable {
  readonly #options: ConnectionOptions
  readonly #tokens: Tokens
  readonly #http: HttpConnection
  readonly #credentials = new Map<string, Promise<Credential | undefined>>()
  #scheme: 'https' | 'http' | undefined
  #probing: Promise<'https' | 'http'> | undefined
  #limit: RateLimit | undefined
  #limitReported = false

  constructor(endpoint: Endpoint, options: ConnectionOptions = {}) {
    this.#options = options
    this.#http = new HttpConnection(endpoint, options)
    this.#scheme = endpoint.scheme === 'either' ? undefined : endpoint.scheme
    this.#tokens = new Tokens(
      endpoint.domain,
      async request => await this.#askTokenService(request),
      options.onIdentityToken,
    )
  }

  get endpoint(): Endpoint {
    return this.#http.endpoint
  }

  /**
   * The registry's response, with any other status than 401 and 403. Throws UNAUTHORIZED for a 401 that a token does
   * not resolve and for a 403, and REGISTRY_UNREACHABLE, REGISTRY_REFUSED, REGISTRY_PROTOCOL, ABORTED.
   */
  async request(request: RegistryRequest): Promise<HttpAnswer> {
    if (request.anonymous) return await this.#send(request, undefined)
    let refused: string | undefined
    for (let round = 0; ; round += 1) {
      const header = round === 0 ? await this.#tokens.current(request.scopes) : refused
      const own = this.#origin
      const answer = await this.#send(
        request,
        header !== undefined && own !== undefined ? { header, origin: own } : undefined,
      )
      this.#noteLimit(answer)
      // Only the registry itself may request credentials: a host that it redirects to must not see them
      if (answer.url.origin !== this.#origin) return answer
      if (answer.status === 403) throw await this.#denied(request, answer)
      if (answer.status !== 401) return answer
      const challenges: readonly Challenge[] = parseChallenges(answer.header('www-authenticate'))
      await drain(answer)
      const credential = await this.#credential(request.repository)
      if (round > 1) throw this.#tokens.unauthorized(credential)
      refused = await this.#tokens.renew(challenges, request.scopes, {
        credential,
        refused: header,
        signal: request.signal,
      })
      if (round === 1 && refused === header) throw this.#tokens.unauthorized(credential)
    }
  }

  /** The body of a small response as text. Throws REGISTRY_PROTOCOL if it is longer than `limit` bytes. */
  async text(answer: HttpAnswer, limit = TEXT_LIMIT): Promise<string> {
    return (await readAll(answer, limit)).toString()
  }

  /** {@link HttpConnection.retrying} */
  retrying(retry: Parameters<HttpConnection['retrying']>[0]): void {
    this.#http.retrying(retry)
  }

  /** {@link HttpConnection.resolve} */
  resolve(answer: HttpAnswer, location: string): URL {
    return this.#http.resolve(answer, location)
  }

  /**
   * The URL at which an upload continues. A registry behind a proxy that terminates TLS gives http URLs of its own
   * host, which are changed to https. Otherwise the rules are those for redirects. Throws REGISTRY_PROTOCOL.
   */
  uploadLocation(answer: HttpAnswer, location: string): URL {
    const url = this.resolve(answer, location)
    if (url.protocol === 'http:' && answer.url.protocol === 'https:' && url.host === answer.url.host)
      url.protocol = 'https:'
    this.#http.checkRedirect(answer.url, url)
    return url
  }

  /** The error for an unexpected response, with the registry's own message. */
  async refusal(answer: HttpAnswer, doing: string): Promise<StowageError> {
    const why = errorText(await this.text(answer).catch(() => ''))
    const left = this.#limit ? ` (${formatRateLimit(this.#limit)})` : ''
    const hint =
      answer.status === 429 ? `The registry limits the number of requests${left}: wait, or log in.` : undefined
    return new StowageError(
      'REGISTRY_REFUSED',
      `${doing}: ${answer.url.host} answered with status ${answer.status}${why}`,
      { hint },
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http[Symbol.asyncDispose]()
  }

  #noteLimit(answer: HttpAnswer): void {
    this.#limit = parseRateLimit(name => answer.header(name)) ?? this.#limit
    if (!this.#limit || this.#limitReported || !isLow(this.#limit)) return
    this.#limitReported = true
    this.#options.onNotice?.(`${this.endpoint.domain}: ${formatRateLimit(this.#limit)}`)
  }

  async #denied(request: RegistryRequest, answer: HttpAnswer): Promise<StowageError> {
    const why = errorText(await this.text(answer).catch(() => '')).replace(/^: /, '')
    return this.#tokens.unauthorized(
      await this.#credential(request.repository),
      why || 'the account may lack permission',
    )
  }

  async #credential(repository: string): Promise<Credential | undefined> {
    using _wait = new Waits(this.#options.onProgress, `the credentials for ${this.endpoint.domain}`).begin('wait')
    const known = this.#credentials.get(repository) ?? this.#options.credential?.(repository)
    if (known) this.#credentials.set(repository, known)
    return await known
  }

  async #send(request: RegistryRequest, authorization: Authorization | undefined): Promise<HttpAnswer> {
    const url = await this.#address(request.target, request.signal)
    return await this.#http.send({ ...request, url }, authorization)
  }

  /** The registry's own origin, once its scheme is known. */
  get #origin(): string | undefined {
    return this.#scheme && new URL(`${this.#scheme}://${this.endpoint.host}`).origin
  }

  async #address(target: string, signal: AbortSignal | undefined): Promise<URL> {
    if (!target.startsWith('/')) return new URL(target)
    return new URL(target, `${this.#scheme ?? (await this.#findScheme(signal))}://${this.endpoint.host}`)
  }

  /** Probes the scheme once for all concurrent callers, and again if the caller that started the probe was aborted. */
  async #findScheme(signal: AbortSignal | undefined): Promise<'https' | 'http'> {
    this.#probing ??= this.#probe(signal).finally(() => (this.#probing = undefined))
    try {
      return (this.#scheme = await this.#probing)
    } catch (error) {
      if (!(error instanceof StowageError) || error.code !== 'ABORTED' || signal?.aborted) throw error
      return await this.#findScheme(signal)
    }
  }

  /** Registries on loopback may speak either: tries http, which is cheap there, then https if no registry responds. */
  async #probe(signal: AbortSignal | undefined): Promise<'https' | 'http'> {
    const request: HttpRequest = { method: 'GET', signal }
    const soon = AbortSignal.timeout(PROBE_TIMEOUT)
    const plain = { ...request, signal: signal ? AbortSignal.any([signal, soon]) : soon }
    const url = new URL(`http://${this.endpoint.host}/v2/`)
    const answer = await this.#http.sendOnce(url, plain).catch(() => undefined) // the attempt with https reports errors
    if (answer) await drain(answer)
    if (answer?.status === 200 || answer?.status === 401) return 'http'
    try {
      await drain(await this.#http.sendOnce(new URL(`https://${this.endpoint.host}/v2/`), request))
      return 'https'
    } catch (error) {
      if (signal?.aborted) throw abortError(error, signal)
      if (speaksHttp(error)) return 'http'
      throw await this.#http.unreachable(error)
    }
  }

  async #askTokenService({
    method,
    url,
    authorization,
    headers,
    body,
    signal,
  }: TokenRequest): Promise<{ status: number; body: unknown }> {
    if (url.protocol === 'http:' && this.#scheme === 'https' && !isLoopback(url.hostname)) {
      throw new StowageError(
        'REGISTRY_PROTOCOL',
        `${this.endpoint.domain} redirects to ${url.origin} for a token; this is plain http, so credentials are not sent there`,
      )
    }
    const answer = await this.#http.send(
      { method, url, headers, body: body === undefined ? undefined : () => body, signal, whole: TEXT_LIMIT },
      authorization === undefined ? undefined : { header: authorization, origin: url.origin },
    )
    try {
      return { status: answer.status, body: JSON.parse(await this.text(answer)) as unknown }
    } catch (error) {
      if (signal?.aborted) throw abortError(error, signal)
      return { status: answer.status, body: undefined } // the caller reports the status
    }
  }
}
