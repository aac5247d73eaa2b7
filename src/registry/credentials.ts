/**
 * Finds credentials for registries where docker stores them, then where podman does.
 * Sources: docker's config.json, containers-auth.json(5).
 */
import { homedir } from 'node:os'
import { join } from 'node:path'
import { readIfThere } from '../blob/read-if-there.js'
import { StowageError } from '../errors.js'
import { isObject } from '../oci/json.js'

/** A credential, and where it was found. Only `from` may appear in messages. */
export type Credential =
  | { readonly type: 'basic'; readonly username: string; readonly password: string; readonly from: string }
  /** A refresh token for the registry's token service. */
  | { readonly type: 'identity-token'; readonly token: string; readonly from: string }
  /** Sent to the registry as a bearer token. */
  | { readonly type: 'registry-token'; readonly token: string; readonly from: string }

export interface CredentialsOptions {
  readonly env?: NodeJS.ProcessEnv | undefined
  readonly platform?: NodeJS.Platform | undefined
  readonly home?: string | undefined
}

/** A possible source of credentials: a file, or the text of an environment variable. */
interface Place {
  readonly name: string
  readonly text: () => Promise<string | undefined>
}

export interface CredentialFile {
  readonly auths: Readonly<Record<string, unknown>>
  readonly credHelpers: Readonly<Record<string, unknown>>
  readonly credsStore: string | undefined
}

/** The key for Docker Hub in these files. */
export const DOCKER_HUB_KEY = 'https://index.docker.io/v1/'
const DOCKER_HUB = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io'])

/** The path of docker's configuration file, in `DOCKER_CONFIG` or else `~/.docker`. */
export function dockerConfigFile({ env = process.env, home = homedir() }: CredentialsOptions = {}): string {
  return join(env['DOCKER_CONFIG'] || join(home, '.docker'), 'config.json')
}

/**
 * The credential for `repository` (`team/shop`) of `domain` (`registry.example:5000`), or undefined if there is none.
 * Searches DOCKER_AUTH_CONFIG, REGISTRY_AUTH_FILE, docker's config.json, podman's auth.json of the session, then that
 * of the user; the first one with the host decides. Throws UNAUTHORIZED if a helper fails, INVALID_ARGUMENT for a file
 * that is not JSON.
 */
export async function findCredential(
  domain: string,
  repository: string,
  options: CredentialsOptions = {},
): Promise<Credential | undefined> {
  for (const place of places(options)) {
    const text = await place.text()
    if (text === undefined) continue
    const found = await findIn(parseCredentialFile(text, place.name), domain, repository, place.name)
    if (found) return found
  }
  return undefined
}

function places(options: CredentialsOptions): readonly Place[] {
  const { env = process.env, platform = process.platform, home = homedir() } = options
  const file = (path: string): Place => ({ name: path, text: async () => await readIfThere(path) })
  const own = env['DOCKER_AUTH_CONFIG']
  const named = env['REGISTRY_AUTH_FILE']
  const session = env['XDG_RUNTIME_DIR']
  const config = env['XDG_CONFIG_HOME'] || join(home, '.config')
  return [
    ...(own ? [{ name: 'DOCKER_AUTH_CONFIG', text: async () => own }] : []),
    ...(named ? [file(named)] : []),
    file(dockerConfigFile(options)),
    ...(session && platform !== 'win32' && platform !== 'darwin'
      ? [file(join(session, 'containers', 'auth.json'))]
      : []),
    file(join(config, 'containers', 'auth.json')),
  ]
}

export function parseCredentialFile(text: string, name: string): CredentialFile {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    value = undefined // reported below, because the parser's message would repeat a part of the file
  }
  if (!isObject(value))
    throw new StowageError('INVALID_ARGUMENT', `${name} is not a JSON object`, {
      hint: 'Correct the file, or move it away.',
    })
  const { auths, credHelpers, credsStore } = value
  return {
    auths: isObject(auths) ? auths : {},
    credHelpers: isObject(credHelpers) ? credHelpers : {},
    credsStore: typeof credsStore === 'string' && credsStore !== '' ? credsStore : undefined,
  }
}

async function findIn(
  file: CredentialFile,
  domain: string,
  repository: string,
  name: string,
): Promise<Credential | undefined> {
  const program = helperFor(file, domain)
  if (program !== undefined) {
    const { getFromHelper } = await import('./credential-program.js')
    const stored = await getFromHelper(program, keyOf(domain))
    const from = `the credential helper ${program}`
    if (stored?.username === '<token>') return { type: 'identity-token', token: stored.secret, from }
    if (stored) return { type: 'basic', username: stored.username, password: stored.secret, from }
  }
  return credentialOf(authFor(file.auths, domain, repository), name)
}

/** The helper that the file names for `domain`, without `docker-credential-`; undefined if it names none. */
export function helperFor({ credHelpers, credsStore }: CredentialFile, domain: string): string | undefined {
  const own = Object.entries(credHelpers).find(([key]) => isKeyOf(key, domain))?.[1]
  return typeof own === 'string' && own !== '' ? own : credsStore
}

/** Whether `key` of a credential file refers to `domain` itself, not to one of its repositories. */
export function isKeyOf(key: string, domain: string): boolean {
  return hostOfKey(key) === hostOf(domain)
}

/**
 * The entry with the longest key that is the repository or one of its parents (podman), else that of the host (docker).
 */
function authFor(auths: CredentialFile['auths'], domain: string, repository: string): unknown {
  const host = hostOf(domain)
  for (let parts = repository.split('/'); parts.length > 0; parts = parts.slice(0, -1)) {
    const key = `${host}/${parts.join('/')}`
    if (Object.hasOwn(auths, key)) return auths[key]
  }
  const exact = auths[keyOf(domain)]
  return exact ?? Object.entries(auths).find(([key]) => isKeyOf(key, domain))?.[1]
}

function credentialOf(entry: unknown, from: string): Credential | undefined {
  if (!isObject(entry)) return undefined
  const text = (key: string): string | undefined => {
    const value = entry[key]
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  const registryToken = text('registrytoken')
  if (registryToken !== undefined) return { type: 'registry-token', token: registryToken, from }
  const identityToken = text('identitytoken')
  if (identityToken !== undefined) return { type: 'identity-token', token: identityToken, from }
  const [username, password] = [text('username'), text('password')]
  if (username !== undefined && password !== undefined) return { type: 'basic', username, password, from }
  const pair = Buffer.from(text('auth') ?? '', 'base64')
    .toString()
    .replace(/\0+$/, '')
  const colon = pair.indexOf(':')
  if (colon <= 0) return undefined
  return { type: 'basic', username: pair.slice(0, colon), password: pair.slice(colon + 1), from }
}

/** The key under which docker stores the credentials of `domain`. */
export function keyOf(domain: string): string {
  return hostOf(domain) === 'docker.io' ? DOCKER_HUB_KEY : domain
}

/** The host that a key refers to: some tools write a URL that ends in an API version. */
function hostOfKey(key: string): string {
  return hostOf(
    key
      .replace(/^https?:\/\//, '')
      .replace(/\/v[12]\/?$/, '')
      .replace(/\/$/, ''),
  )
}

function hostOf(domain: string): string {
  return DOCKER_HUB.has(domain) ? 'docker.io' : domain
}
