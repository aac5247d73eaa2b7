/**
 * Requests to one registry: leave to enter, redirects that give nothing away, another try where it may help.
 * Source: OCI distribution-spec; RFC 9110.
 */
import { abortError, StowageError, systemCode } from '../errors.js'
import { type Challenge, parseChallenges } from './challenge.js'
import type { Credential } from './credentials.js'
import type { RegistryEndpoint } from './endpoint.js'
import { errorText, isFinal, isUntrusted, rootOf, speaksHttp } from './failure.js'
import { isLoopback } from './proxy.js'
import { formatRateLimit, isLow, parseRateLimit, type RateLimit } from './rate-limit.js'
import { backoff, pause, retryAfter } from './retry.js'
import { type Scope, type TokenRequest, Tokens } from './token.js'
import { type RegistryResponse, Transport, type TransportRequest } from './transport.js'

export interface ConnectionOptions {
  /** Asked once the registry wants to know who we are. */
  readonly credential?: ((repository: string) => Promise<Credential | undefined>) | undefined
  readonly env?: NodeJS.ProcessEnv | undefined
  /** Tries after the first. */
  readonly retries?: number | undefined
  /** Milliseconds before the second try; each wait is about twice the one before, up to half a minute. */
  readonly backoff?: number | undefined
  /** How long nothing may come, in milliseconds. */
  readonly silence?: number | undefined
  /** Called once for each registry that says that little more may be asked of it, with a sentence. */
  readonly onLimit?: ((sentence: string) => void) | undefined
  /** Told of an identity token, which the token service is asked for then. */
  readonly onIdentityToken?: ((token: string) => void) | undefined
}

export interface RegistryRequest extends TransportRequest {
  /** `/v2/…`, or a whole address where the registry named one. */
  readonly target: string
  readonly repository: string
  readonly scopes: readonly Scope[]
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** It is read whole as a part of each try, where it says 200: no more than so many bytes. */
  readonly whole?: number | undefined
  /** 0: no second try; whoever asks tries by itself. */
  readonly retries?: number | undefined
  /** Nobody is asked who we are, and nobody is told: for addresses that are not the registry's. */
  readonly anonymous?: boolean | undefined
}

/** An Authorization header, and whom it may be shown: `https://registry.example`. */
interface Leave {
  readonly authorization: string
  readonly origin: string
}

const RETRIES = 5
/** A registry that wants more patience than this is asked again by a person. */
const LONGEST_RETRY_AFTER = 120_000
/** For the first answer of one that may not understand us. */
const PROBE_TIMEOUT = 3000
const REDIRECTS = 10
/** Of an answer that is read for what it says, in bytes. */
const TEXT_LIMIT = 1 << 20
const AGAIN = new Set([408, 425, 429, 500, 502, 503, 504])
const MOVED = new Set([301, 302, 303, 307, 308])

export class RegistryConnection implements AsyncDisposable {
  readonly endpoint: RegistryEndpoint
  readonly #options: ConnectionOptions
  readonly #tokens: Tokens
  readonly #transport: Transport
  readonly #credentials = new Map<string, Promise<Credential | undefined>>()
  #scheme: 'https' | 'http' | undefined
  #probing: Promise<'https' | 'http'> | undefined
  #limit: RateLimit | undefined
  #limitTold = false

  constructor(endpoint: RegistryEndpoint, options: ConnectionOptions = {}) {
    this.endpoint = endpoint
    this.#options = options
    this.#transport = new Transport(endpoint, options)
    this.#scheme = endpoint.scheme === 'either' ? undefined : endpoint.scheme
    this.#tokens = new Tokens(
      endpoint.domain,
      async request => await this.#askTokenService(request),
      options.onIdentityToken,
    )
  }

  /**
   * The registry's answer, whatever its status but those that a second try or a token could not mend.
   * Throws UNAUTHORIZED, REGISTRY_UNREACHABLE, REGISTRY_REFUSED, REGISTRY_PROTOCOL, ABORTED.
   */
  async request(request: RegistryRequest): Promise<RegistryResponse> {
    if (request.anonymous) return await this.#withRetries(request, undefined)
    let refused: string | undefined
    for (let round = 0; ; round += 1) {
      const authorization = round === 0 ? await this.#tokens.current(request.scopes) : refused
      const own = this.#origin
      const answer = await this.#withRetries(
        request,
        authorization !== undefined && own !== undefined ? { authorization, origin: own } : undefined,
      )
      this.#noteLimit(answer)
      // Only the registry itself may ask who we are: whom it points at would be told
      if (answer.url.origin !== this.#origin) return answer
      if (answer.status === 403) throw await this.#denied(request, answer)
      if (answer.status !== 401) return answer
      const challenges: readonly Challenge[] = parseChallenges(answer.header('www-authenticate'))
      await drain(answer)
      const credential = await this.#credential(request.repository)
      if (round > 1) throw this.#tokens.unauthorized(credential)
      refused = await this.#tokens.renew(challenges, request.scopes, {
        credential,
        refused: authorization,
        signal: request.signal,
      })
      if (round === 1 && refused === authorization) throw this.#tokens.unauthorized(credential)
    }
  }

  /** A whole small answer as text. Throws REGISTRY_PROTOCOL where it is longer than `limit` bytes. */
  async text(answer: RegistryResponse, limit = TEXT_LIMIT): Promise<string> {
    return (await readAll(answer, limit)).toString()
  }

  /** An address that the registry named, whole: relative ones are to where the answer came from. */
  resolve(answer: RegistryResponse, location: string): URL {
    if (URL.canParse(location, answer.url.href)) return new URL(location, answer.url.href)
    throw new StowageError(
      'REGISTRY_PROTOCOL',
      `${this.endpoint.domain} names a place that is no address: ${JSON.stringify(location.slice(0, 200))}`,
    )
  }

  /**
   * Where the registry wants an upload to go on. One behind a proxy that ends TLS takes itself for plain http; else the rules
   * are those of a redirect. Throws REGISTRY_PROTOCOL.
   */
  uploadPlace(answer: RegistryResponse, location: string): URL {
    const place = this.resolve(answer, location)
    if (place.protocol === 'http:' && answer.url.protocol === 'https:' && place.host === answer.url.host)
      place.protocol = 'https:'
    this.#checkRedirect(answer.url, place)
    return place
  }

  /** The error for an answer that is not what was asked for, with what it says of itself. */
  async refusal(answer: RegistryResponse, doing: string): Promise<StowageError> {
    const why = errorText(await this.text(answer).catch(() => ''))
    const left = this.#limit ? ` (${formatRateLimit(this.#limit)})` : ''
    const hint = answer.status === 429 ? `It limits how much may be asked of it${left}: wait, or log in.` : undefined
    return new StowageError(
      'REGISTRY_REFUSED',
      `${doing}: ${answer.url.host} answered with status ${answer.status}${why}`,
      { hint },
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transport[Symbol.asyncDispose]()
  }

  #noteLimit(answer: RegistryResponse): void {
    this.#limit = parseRateLimit(name => answer.header(name)) ?? this.#limit
    if (!this.#limit || this.#limitTold || !isLow(this.#limit)) return
    this.#limitTold = true
    this.#options.onLimit?.(`${this.endpoint.domain}: ${formatRateLimit(this.#limit)}`)
  }

  async #denied(request: RegistryRequest, answer: RegistryResponse): Promise<StowageError> {
    const why = errorText(await this.text(answer).catch(() => '')).replace(/^: /, '')
    return this.#tokens.unauthorized(await this.#credential(request.repository), why || 'the account may not do this')
  }

  async #credential(repository: string): Promise<Credential | undefined> {
    const known = this.#credentials.get(repository) ?? this.#options.credential?.(repository)
    if (known) this.#credentials.set(repository, known)
    return await known
  }

  async #withRetries(request: RegistryRequest, leave: Leave | undefined): Promise<RegistryResponse> {
    const retries = request.retries ?? this.#options.retries ?? RETRIES
    for (let attempt = 0; ; attempt += 1) {
      let wait = backoff(attempt, this.#options.backoff)
      try {
        const answer = await this.#wholeOf(await this.#follow(request, leave), request.whole)
        if (!AGAIN.has(answer.status) || attempt >= retries) return answer
        wait = Math.max(wait, retryAfter(answer.header('retry-after')))
        if (wait > LONGEST_RETRY_AFTER) return answer
        await drain(answer)
      } catch (error) {
        if (request.signal?.aborted) throw abortError(error, request.signal)
        if (error instanceof StowageError || attempt >= retries || isFinal(error)) throw this.#unreachable(error)
      }
      await pause(wait, request.signal)
    }
  }

  async #wholeOf(answer: RegistryResponse, limit: number | undefined): Promise<RegistryResponse> {
    if (limit === undefined || answer.status !== 200) return answer
    const bytes = await readAll(answer, limit)
    return {
      ...answer,
      header: name => answer.header(name),
      body: {
        ...answer.body,
        async *[Symbol.asyncIterator]() {
          yield bytes
        },
      },
    }
  }

  async #follow(request: RegistryRequest, leave: Leave | undefined): Promise<RegistryResponse> {
    const first = await this.#address(request.target, request.signal)
    let url = first
    for (let hops = 0; ; hops += 1) {
      // What is for the registry is for nobody it points at, be it by a redirect or as the place of an upload
      const shown = leave && url.origin === leave.origin ? { authorization: leave.authorization } : {}
      const answer = await this.#transport.send(url, request, { ...request.headers, ...shown })
      const location = answer.header('location')
      if (
        !MOVED.has(answer.status) ||
        location === undefined ||
        (request.method !== 'GET' && request.method !== 'HEAD')
      )
        return answer
      await drain(answer)
      if (hops >= REDIRECTS)
        throw new StowageError(
          'REGISTRY_PROTOCOL',
          `${first.host} redirects over ${REDIRECTS} times, the last time to ${url.host}`,
        )
      const next = this.resolve(answer, location)
      this.#checkRedirect(url, next)
      url = next
    }
  }

  #checkRedirect(from: URL, to: URL): void {
    const here = isLoopback(from.hostname) && isLoopback(to.hostname)
    if (to.protocol === 'https:' || (to.protocol === 'http:' && (from.protocol === 'http:' || here))) return
    throw new StowageError(
      'REGISTRY_PROTOCOL',
      `${from.host} points to ${to.protocol}//${to.host}, which is not followed: it was reached by ${from.protocol.replace(':', '')}`,
    )
  }

  /** The registry's own, once it is known what it speaks. */
  get #origin(): string | undefined {
    return this.#scheme && new URL(`${this.#scheme}://${this.endpoint.host}`).origin
  }

  async #address(target: string, signal: AbortSignal | undefined): Promise<URL> {
    if (!target.startsWith('/')) return new URL(target)
    return new URL(target, `${this.#scheme ?? (await this.#spoken(signal))}://${this.endpoint.host}`)
  }

  /** Asked once, however many want to know at first; again where that was not to be had. */
  async #spoken(signal: AbortSignal | undefined): Promise<'https' | 'http'> {
    this.#probing ??= this.#probe(signal).finally(() => (this.#probing = undefined))
    try {
      return (this.#scheme = await this.#probing)
    } catch (error) {
      if (!(error instanceof StowageError) || error.code !== 'ABORTED' || signal?.aborted) throw error
      return await this.#spoken(signal) // it was another's that was aborted
    }
  }

  /** Loopback registries speak either: http is asked first, for it costs little there, and https wherever that is no registry's answer. */
  async #probe(signal: AbortSignal | undefined): Promise<'https' | 'http'> {
    const request: RegistryRequest = { method: 'GET', target: '', repository: '', scopes: [], signal }
    const soon = AbortSignal.timeout(PROBE_TIMEOUT)
    const plain = { ...request, signal: signal ? AbortSignal.any([signal, soon]) : soon }
    const answer = await this.#transport
      .send(new URL(`http://${this.endpoint.host}/v2/`), plain, {})
      .catch(() => undefined) // https says what is wrong
    if (answer) await drain(answer)
    if (answer?.status === 200 || answer?.status === 401) return 'http'
    try {
      await drain(await this.#transport.send(new URL(`https://${this.endpoint.host}/v2/`), request, {}))
      return 'https'
    } catch (error) {
      if (signal?.aborted) throw abortError(error, signal)
      if (speaksHttp(error)) return 'http'
      throw this.#unreachable(error)
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
        `${this.endpoint.domain} sends us to ${url.origin} for a token, which is plain http: credentials are not sent there`,
      )
    }
    const request: RegistryRequest = {
      method,
      target: url.href,
      repository: '',
      scopes: [],
      headers,
      body: body === undefined ? undefined : () => body,
      signal,
      whole: TEXT_LIMIT,
    }
    const answer = await this.#withRetries(
      request,
      authorization === undefined ? undefined : { authorization, origin: url.origin },
    )
    try {
      return { status: answer.status, body: JSON.parse(await this.text(answer)) as unknown }
    } catch (error) {
      if (signal?.aborted) throw abortError(error, signal)
      return { status: answer.status, body: undefined } // the status says enough
    }
  }

  #unreachable(error: unknown): unknown {
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
          ? `Name its authority in SSL_CERT_FILE, or put it into /etc/docker/certs.d/${host}/ca.crt.`
          : undefined,
        cause: error,
      },
    )
  }
}

/** All of a body. Throws REGISTRY_PROTOCOL where it has over `limit` bytes. */
export async function readAll(answer: RegistryResponse, limit: number): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of answer.body) {
    size += piece.length
    if (size > limit) {
      abandon(answer)
      throw new StowageError(
        'REGISTRY_PROTOCOL',
        `${answer.url.host} answers with over ${limit} bytes where a few were expected`,
      )
    }
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

/** Lets go of an answer that nobody reads: a short one keeps its connection. */
export async function drain(answer: RegistryResponse): Promise<void> {
  await answer.body.dump().catch(() => undefined) // it is thrown away in any case
}

/** Closes the connection of an answer that is not what was asked for, however long it is. */
export function abandon(answer: RegistryResponse): void {
  answer.body.destroy()
}
