/**
 * Gets bearer tokens from a registry's token service and caches them until they expire. Source: distribution-spec,
 * token flow.
 */
import { StowageError } from '../errors.js'
import { numberIn, textIn } from '../oci/json.js'
import type { Challenge } from './challenge.js'
import type { Credential } from './credentials.js'

/** A resource and the actions on it: `repository:team/shop:pull`. */
export type Scope = string

export interface TokenRequest {
  readonly method: 'GET' | 'POST'
  readonly url: URL
  /** Sent only to this URL, not to one that it redirects to. */
  readonly authorization?: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  readonly signal?: AbortSignal | undefined
}

interface RenewOptions {
  readonly credential: Credential | undefined
  /** The header that the registry rejected. */
  readonly refused: string | undefined
  readonly signal: AbortSignal | undefined
}

/** Sends the request, with retries, and returns the JSON of the response with any status. */
export type AskTokenService = (request: TokenRequest) => Promise<{ readonly status: number; readonly body: unknown }>

/** Milliseconds before its expiry at which a token is renewed. */
const EARLY = 10_000
/** Lifetime of a token without `expires_in`, in seconds, by the specification. */
const DEFAULT_LIFE = 60
const CLIENT = 'stowage'

interface Token {
  readonly header: string
  readonly until: number
}

export class Tokens {
  readonly #ask: AskTokenService
  readonly #domain: string
  readonly #onIdentityToken: ((token: string) => void) | undefined
  readonly #tokens = new Map<string, Promise<Token>>()
  #basic: string | undefined

  /** With `onIdentityToken`, an identity token is requested too, which the service may not grant. */
  constructor(domain: string, ask: AskTokenService, onIdentityToken?: (token: string) => void) {
    this.#domain = domain
    this.#ask = ask
    this.#onIdentityToken = onIdentityToken
  }

  /** The cached Authorization header for `scopes`, if it has not expired. */
  async current(scopes: readonly Scope[]): Promise<string | undefined> {
    const token = await this.#tokens.get(keyOf(scopes))?.catch(() => undefined) // the caller has had the error
    return token && token.until > Date.now() ? token.header : this.#basic
  }

  /**
   * A new Authorization header for `scopes` in answer to the challenges. Concurrent requests share one. Throws
   * UNAUTHORIZED if no credential fits, or the service refuses a token.
   */
  async renew(
    challenges: readonly Challenge[],
    scopes: readonly Scope[],
    { credential, refused, signal }: RenewOptions,
  ): Promise<string> {
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer')
    if (bearer) {
      const key = keyOf(scopes)
      const now = await this.current(scopes)
      if (now !== undefined && now !== refused) return now
      const pending = this.#fetch(bearer, scopes, credential, signal)
      this.#tokens.set(key, pending)
      pending.catch(() => this.#tokens.delete(key))
      return (await pending).header
    }
    const basic = challenges.some(({ scheme }) => scheme === 'basic')
    if (basic && credential?.type === 'basic') {
      const header = basicHeader(credential.username, credential.password)
      if (header !== refused) return (this.#basic = header)
    }
    throw this.unauthorized(credential)
  }

  /** The error for a registry that denied access. */
  unauthorized(credential: Credential | undefined, why = ''): StowageError {
    const shown = credential ? `with the credentials of ${credential.from}` : 'without credentials'
    return new StowageError(
      'UNAUTHORIZED',
      `${this.#domain} rejected the request ${shown}${why === '' ? '' : `: ${why}`}`,
      {
        hint: credential
          ? `Log in again with "stowage login ${this.#domain}"; or the account may lack permission.`
          : `Log in with "stowage login ${this.#domain}"; or the repository does not exist.`,
      },
    )
  }

  async #fetch(
    { parameters }: Challenge,
    scopes: readonly Scope[],
    credential: Credential | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Token> {
    if (credential?.type === 'registry-token') return { header: `Bearer ${credential.token}`, until: Infinity }
    const realm = parameters['realm'] ?? ''
    const url = URL.canParse(realm) ? new URL(realm) : undefined
    if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
      throw new StowageError(
        'REGISTRY_PROTOCOL',
        `${this.#domain} gives an invalid address for its token service: ${JSON.stringify(realm.slice(0, 100))}`,
      )
    }
    const service = parameters['service']
    const request =
      credential?.type === 'identity-token'
        ? refreshRequest(url, credential.token, service, scopes)
        : tokenRequest(url, credential, service, scopes, this.#onIdentityToken !== undefined)
    const { status, body } = await this.#ask({ ...request, signal })
    if (status === 401 || status === 403) throw this.unauthorized(credential, reasonOf(body))
    const token = textIn(body, 'token') ?? textIn(body, 'access_token')
    if (status !== 200 || token === undefined) {
      throw new StowageError(
        'REGISTRY_REFUSED',
        `the token service ${url.host} of ${this.#domain} answered with status ${status} and no token`,
      )
    }
    const identityToken = textIn(body, 'refresh_token')
    if (identityToken !== undefined) this.#onIdentityToken?.(identityToken)
    const life = numberIn(body, 'expires_in') ?? DEFAULT_LIFE
    return { header: `Bearer ${token}`, until: Date.now() + Math.max(life * 1000 - EARLY, 1000) }
  }
}

function tokenRequest(
  realm: URL,
  credential: Credential | undefined,
  service: string | undefined,
  scopes: readonly Scope[],
  offline: boolean,
): TokenRequest {
  const url = new URL(realm)
  if (service !== undefined) url.searchParams.set('service', service)
  for (const scope of scopes) url.searchParams.append('scope', scope)
  if (credential?.type !== 'basic') return { method: 'GET', url, headers: {}, body: undefined }
  url.searchParams.set('account', credential.username)
  if (offline)
    for (const [name, value] of [
      ['offline_token', 'true'],
      ['client_id', CLIENT],
    ] as const)
      url.searchParams.set(name, value)
  return {
    method: 'GET',
    url,
    authorization: basicHeader(credential.username, credential.password),
    headers: {},
    body: undefined,
  }
}

/** The OAuth 2.0 request that exchanges an identity token for a bearer token, as docker sends it. */
function refreshRequest(url: URL, token: string, service: string | undefined, scopes: readonly Scope[]): TokenRequest {
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    refresh_token: token,
    client_id: CLIENT,
    scope: scopes.join(' '),
    ...(service === undefined ? {} : { service }),
  })
  return {
    method: 'POST',
    url,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: form.toString(),
  }
}

function basicHeader(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

function keyOf(scopes: readonly Scope[]): string {
  return [...scopes].sort().join(' ')
}

function reasonOf(body: unknown): string {
  return textIn(body, 'details') ?? textIn(body, 'error_description') ?? ''
}
