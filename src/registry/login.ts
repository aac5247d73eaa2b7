/**
 * Logs in to and out of a registry. Credentials are tried before they are stored. Source: OCI distribution-spec, token
 * flow.
 */
import { StowageError } from '../errors.js'
import { isRegistry } from '../oci/reference.js'
import type { OnProgress } from '../progress.js'
import { drain } from '../http/answer.js'
import { RegistryConnection } from './connection.js'
import {
  type CredentialFileOptions,
  findCredentialStore,
  type NewCredential,
  removeCredential,
  storeCredential,
} from './credential-file.js'
import { type Credential, keyOf } from './credentials.js'
import { type EndpointOptions, findRegistry } from './endpoint.js'

export type LogoutOptions = CredentialFileOptions

export interface LoginOptions extends CredentialFileOptions, EndpointOptions {
  readonly username: string
  readonly password: string
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
  /** Hosts (`host[:port]`) whose certificates are accepted without verification; `onNotice` is told so. */
  readonly tlsSkipVerify?: readonly string[] | undefined
  /** Called with notices for the user, one sentence each. */
  readonly onNotice?: ((sentence: string) => void) | undefined
  /** Called with a sentence for each doubt, before anything is stored. */
  readonly onWarning?: ((warning: string) => void) | undefined
}

export interface LoginResult {
  /** The key under which the credentials are stored: the host, or Docker Hub's URL. */
  readonly server: string
  readonly username: string
  readonly file: string
  readonly helper: string | undefined
  /** Whether the registry checked the credentials; false if it requires no login. */
  readonly checked: boolean
  /** Whether an identity token is stored instead of the password. */
  readonly identityToken: boolean
}

export interface LogoutResult {
  readonly server: string
  readonly file: string
  readonly helper: string | undefined
  /** Whether the file had credentials for the registry. Helpers do not report this. */
  readonly removed: boolean
}

const DOCKER_HUB = 'docker.io'

/**
 * Tries `username` and `password` with `server`, by default Docker Hub, and stores them in `authFile` or where docker
 * does. Throws UNAUTHORIZED if the registry rejects them or the helper fails, INVALID_ARGUMENT for a file that is not
 * JSON, and connection errors; nothing is stored then.
 */
export async function login(server: string | undefined, options: LoginOptions): Promise<LoginResult> {
  const { username, password, signal, onWarning, env = process.env } = options
  const domain = domainOf(server)
  if (username === '' || password === '')
    throw new StowageError('INVALID_ARGUMENT', 'user name and password must not be empty')
  if (username.includes(':')) throw new StowageError('INVALID_ARGUMENT', 'a user name must not contain a colon')
  const store = await findCredentialStore(domain, options)
  const { checked, identityToken } = await tryCredential(domain, options, signal)
  if (!checked) onWarning?.(`${domain} requires no login: the user name and password were not checked`)
  if (env['DOCKER_AUTH_CONFIG'])
    onWarning?.('DOCKER_AUTH_CONFIG is set and takes precedence over the credentials stored here')
  if (store.helper === undefined) {
    onWarning?.(
      `the ${identityToken === undefined ? 'password' : 'token'} will be stored unencrypted (base64) in ${store.file}; name a credential helper there, as credsStore or in credHelpers, to store it encrypted`,
    )
  }
  const credential: NewCredential =
    identityToken === undefined
      ? { type: 'basic', username, password }
      : { type: 'identity-token', username, token: identityToken }
  signal?.throwIfAborted()
  await storeCredential(domain, credential, store)
  return { server: keyOf(domain), username, ...store, checked, identityToken: identityToken !== undefined }
}

/**
 * Removes the credentials for `server`, by default Docker Hub. Throws UNAUTHORIZED if the helper fails,
 * INVALID_ARGUMENT.
 */
export async function logout(server: string | undefined, options: LogoutOptions = {}): Promise<LogoutResult> {
  const domain = domainOf(server)
  const store = await findCredentialStore(domain, options)
  return { server: keyOf(domain), ...store, removed: await removeCredential(domain, store) }
}

async function tryCredential(
  domain: string,
  { username, password, ...options }: LoginOptions,
  signal: AbortSignal | undefined,
): Promise<{ readonly checked: boolean; readonly identityToken: string | undefined }> {
  let [checked, identityToken]: [boolean, string | undefined] = [false, undefined]
  const credential = async (): Promise<Credential> => {
    checked = true
    return { type: 'basic', username, password, from: 'this login' }
  }
  const endpoint = await findRegistry(domain, options)
  const onIdentityToken = (token: string): void => void (identityToken = token)
  const { env, tlsSkipVerify, onNotice, onProgress } = options
  await using connection = new RegistryConnection(endpoint, {
    env,
    tlsSkipVerify,
    onNotice,
    onProgress,
    credential,
    onIdentityToken,
  })
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
  return { checked, identityToken }
}

/** The registry for what docker accepts as a server: a host, or a URL with or without an API version. */
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
