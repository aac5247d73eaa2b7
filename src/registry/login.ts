/** Logging in to a registry and out of it: credentials are tried before they are kept. Source: OCI distribution-spec, token flow. */
import { StowageError } from '../errors.js'
import { isRegistry } from '../oci/reference.js'
import { drain } from '../http/answer.js'
import { RegistryConnection } from './connection.js'
import {
  type CredentialFileOptions,
  findCredentialHome,
  forgetCredential,
  keepCredential,
  type NewCredential,
} from './credential-file.js'
import { type Credential, keyOf } from './credentials.js'
import { type EndpointOptions, findRegistry } from './endpoint.js'

export type LogoutOptions = CredentialFileOptions

export interface LoginOptions extends CredentialFileOptions, EndpointOptions {
  readonly username: string
  readonly password: string
  readonly signal?: AbortSignal | undefined
  /** Told of what is doubtful before anything is kept: a sentence. */
  readonly onWarning?: ((warning: string) => void) | undefined
}

export interface LoginResult {
  /** As it is kept: the host, or Docker Hub's address. */
  readonly server: string
  readonly username: string
  readonly file: string
  readonly helper: string | undefined
  /** Whether the registry asked for the credentials: one that lets everybody in checks none. */
  readonly checked: boolean
  /** An identity token is kept in place of the password. */
  readonly identityToken: boolean
}

export interface LogoutResult {
  readonly server: string
  readonly file: string
  readonly helper: string | undefined
  /** Whether the file knew of the registry; helpers do not tell. */
  readonly removed: boolean
}

const DOCKER_HUB = 'docker.io'

/**
 * Tries `username` and `password` with `server`, Docker Hub without one, and keeps them where docker (or `authFile`) has them kept.
 * Throws UNAUTHORIZED if the registry does not take them or the helper fails, INVALID_ARGUMENT for a file that is not JSON, what
 * connecting throws; nothing is kept then.
 */
export async function login(server: string | undefined, options: LoginOptions): Promise<LoginResult> {
  const { username, password, signal, onWarning, env = process.env } = options
  const domain = domainOf(server)
  if (username === '' || password === '')
    throw new StowageError('INVALID_ARGUMENT', 'name and password must not be empty')
  if (username.includes(':'))
    throw new StowageError('INVALID_ARGUMENT', 'a user name with a colon cannot be sent to a registry')
  const home = await findCredentialHome(domain, options)
  const { checked, identityToken } = await tryCredential(domain, options, signal)
  if (!checked) onWarning?.(`${domain} requires no login: the user name and password were not checked`)
  if (env['DOCKER_AUTH_CONFIG'])
    onWarning?.('DOCKER_AUTH_CONFIG is set and takes precedence over the credentials stored here')
  if (home.helper === undefined) {
    onWarning?.(
      `the ${identityToken === undefined ? 'password' : 'token'} will be stored unencrypted (base64) in ${home.file}; name a credential helper there, as credsStore or in credHelpers, to store it encrypted`,
    )
  }
  const credential: NewCredential =
    identityToken === undefined
      ? { type: 'basic', username, password }
      : { type: 'identity-token', username, token: identityToken }
  signal?.throwIfAborted()
  await keepCredential(domain, credential, home)
  return { server: keyOf(domain), username, ...home, checked, identityToken: identityToken !== undefined }
}

/** Removes what is kept for `server`, Docker Hub without one. Throws UNAUTHORIZED if the helper fails, INVALID_ARGUMENT. */
export async function logout(server: string | undefined, options: LogoutOptions = {}): Promise<LogoutResult> {
  const domain = domainOf(server)
  const home = await findCredentialHome(domain, options)
  return { server: keyOf(domain), ...home, removed: await forgetCredential(domain, home) }
}

async function tryCredential(
  domain: string,
  { username, password, ...options }: LoginOptions,
  signal: AbortSignal | undefined,
): Promise<{ readonly checked: boolean; readonly identityToken: string | undefined }> {
  let [asked, identityToken]: [boolean, string | undefined] = [false, undefined]
  const credential = async (): Promise<Credential> => {
    asked = true
    return { type: 'basic', username, password, from: 'this login' }
  }
  const endpoint = await findRegistry(domain, options)
  const onIdentityToken = (token: string): void => void (identityToken = token)
  await using connection = new RegistryConnection(endpoint, { env: options.env, credential, onIdentityToken })
  try {
    const answer = await connection.request({ method: 'GET', target: '/v2/', repository: '', scopes: [], signal })
    if (answer.status !== 200) throw await connection.refusal(answer, `logging in to ${domain}`)
    await drain(answer)
  } catch (error) {
    if (!(error instanceof StowageError) || error.code !== 'UNAUTHORIZED') throw error
    throw new StowageError('UNAUTHORIZED', `${domain} rejected this user name and password`, {
      hint: 'Check both. Many registries require an access token instead of the password.',
      cause: error,
    })
  }
  return { checked: asked, identityToken }
}

/** The host of what docker takes for a server: a host, or a URL with or without the version of the API. */
function domainOf(server: string | undefined): string {
  if (server === undefined || server === '') return DOCKER_HUB
  const host = server
    .replace(/^https?:\/\//, '')
    .replace(/\/+$/, '')
    .replace(/\/v[12]$/, '')
  if (!isRegistry(host)) {
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(server)} is not a registry`, {
      hint: 'Write HOST or HOST:PORT, without a repository.',
    })
  }
  return host === 'index.docker.io' || host === 'registry-1.docker.io' ? DOCKER_HUB : host
}
