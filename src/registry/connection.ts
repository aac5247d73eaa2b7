/** Requests to one registry: how it is spoken to, its tokens and credentials, its limits. Source: OCI distribution-spec. */
import { abortError, StowageError } from '../errors.js'
import { drain, readAll } from '../http/answer.js'
import { type Authorization, HttpConnection, type HttpOptions, type TriedRequest } from '../http/connection.js'
import type { Endpoint } from '../http/endpoint.js'
import type { HttpAnswer, HttpRequest } from '../http/exchange.js'
import { speaksHttp } from '../http/failure.js'
import { isLoopback } from '../http/proxy.js'
import { type Challenge, parseChallenges } from './challenge.js'
import type { Credential } from './credentials.js'
import { formatRateLimit, isLow, parseRateLimit, type RateLimit } from './rate-limit.js'
import { errorText } from './refusal.js'
import { type Scope, type TokenRequest, Tokens } from './token.js'

export interface ConnectionOptions extends HttpOptions {
  /** Asked once the registry wants credentials. */
  readonly credential?: ((repository: string) => Promise<Credential | undefined>) | undefined
  /** Called once for each registry that says that few requests are left, with a sentence. */
  readonly onLimit?: ((sentence: string) => void) | undefined
  /** Called with an identity token; the token service is asked for one then. */
  readonly onIdentityToken?: ((token: string) => void) | undefined
}

export interface RegistryRequest extends Omit<TriedRequest, 'url'> {
  /** `/v2/…`, or a whole address where the registry named one. */
  readonly target: string
  readonly repository: string
  readonly scopes: readonly Scope[]
  /** No credentials are looked for or shown: for addresses that are not the registry's. */
  readonly anonymous?: boolean | undefined
}

/** For the first answer of a host that may not understand us. */
const PROBE_TIMEOUT = 3000
/** Of an answer that is read for what it says, in bytes. */
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
   * The registry's answer, whatever its status but those that a second try or a token could not mend.
   * Throws UNAUTHORIZED, REGISTRY_UNREACHABLE, REGISTRY_REFUSED, REGISTRY_PROTOCOL, ABORTED.
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
      // Only the registry itself may ask for credentials: a host that it points at would see them
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

  /** A whole small answer as text. Throws REGISTRY_PROTOCOL if it is longer than `limit` bytes. */
  async text(answer: HttpAnswer, limit = TEXT_LIMIT): Promise<string> {
    return (await readAll(answer, limit)).toString()
  }

  /** {@link HttpConnection.resolve} */
  resolve(answer: HttpAnswer, location: string): URL {
    return this.#http.resolve(answer, location)
  }

  /**
   * Where the registry wants an upload to go on. One behind a proxy that ends TLS believes it was reached by plain http; otherwise
   * the rules are those of a redirect. Throws REGISTRY_PROTOCOL.
   */
  uploadLocation(answer: HttpAnswer, location: string): URL {
    const url = this.resolve(answer, location)
    if (url.protocol === 'http:' && answer.url.protocol === 'https:' && url.host === answer.url.host)
      url.protocol = 'https:'
    this.#http.checkRedirect(answer.url, url)
    return url
  }

  /** The error for an answer that is not what was asked for, with what it says of itself. */
  async refusal(answer: HttpAnswer, doing: string): Promise<StowageError> {
    const why = errorText(await this.text(answer).catch(() => ''))
    const left = this.#limit ? ` (${formatRateLimit(this.#limit)})` : ''
    const hint = answer.status === 429 ? `It limits the number of requests${left}: wait, or log in.` : undefined
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
    this.#options.onLimit?.(`${this.endpoint.domain}: ${formatRateLimit(this.#limit)}`)
  }

  async #denied(request: RegistryRequest, answer: HttpAnswer): Promise<StowageError> {
    const why = errorText(await this.text(answer).catch(() => '')).replace(/^: /, '')
    return this.#tokens.unauthorized(
      await this.#credential(request.repository),
      why || 'the account may lack permission',
    )
  }

  async #credential(repository: string): Promise<Credential | undefined> {
    const known = this.#credentials.get(repository) ?? this.#options.credential?.(repository)
    if (known) this.#credentials.set(repository, known)
    return await known
  }

  async #send(request: RegistryRequest, authorization: Authorization | undefined): Promise<HttpAnswer> {
    const url = await this.#address(request.target, request.signal)
    return await this.#http.send({ ...request, url }, authorization)
  }

  /** The registry's own, once it is known what it speaks. */
  get #origin(): string | undefined {
    return this.#scheme && new URL(`${this.#scheme}://${this.endpoint.host}`).origin
  }

  async #address(target: string, signal: AbortSignal | undefined): Promise<URL> {
    if (!target.startsWith('/')) return new URL(target)
    return new URL(target, `${this.#scheme ?? (await this.#spoken(signal))}://${this.endpoint.host}`)
  }

  /** Asked once, however many want to know at first; again if that request was aborted by another. */
  async #spoken(signal: AbortSignal | undefined): Promise<'https' | 'http'> {
    this.#probing ??= this.#probe(signal).finally(() => (this.#probing = undefined))
    try {
      return (this.#scheme = await this.#probing)
    } catch (error) {
      if (!(error instanceof StowageError) || error.code !== 'ABORTED' || signal?.aborted) throw error
      return await this.#spoken(signal)
    }
  }

  /** Loopback registries speak either: http is tried first, for it costs little there, and https unless a registry answers. */
  async #probe(signal: AbortSignal | undefined): Promise<'https' | 'http'> {
    const request: HttpRequest = { method: 'GET', signal }
    const soon = AbortSignal.timeout(PROBE_TIMEOUT)
    const plain = { ...request, signal: signal ? AbortSignal.any([signal, soon]) : soon }
    const answer = await this.#http.sendOnce(new URL(`http://${this.endpoint.host}/v2/`), plain).catch(() => undefined) // https says what is wrong
    if (answer) await drain(answer)
    if (answer?.status === 200 || answer?.status === 401) return 'http'
    try {
      await drain(await this.#http.sendOnce(new URL(`https://${this.endpoint.host}/v2/`), request))
      return 'https'
    } catch (error) {
      if (signal?.aborted) throw abortError(error, signal)
      if (speaksHttp(error)) return 'http'
      throw this.#http.unreachable(error)
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
      return { status: answer.status, body: undefined } // the status says enough
    }
  }
}
