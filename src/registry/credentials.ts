/**
 * Where credentials for registries are found: as docker keeps them, then as podman does.
 * Sources: docker's config.json, containers-auth.json(5).
 */
import { homedir } from 'node:os'
import { join } from 'node:path'
import { readIfThere } from '../blob/read-if-there.js'
import { StowageError } from '../errors.js'
import { isObject } from '../oci/json.js'

/** What is shown to a registry, and where it was found: `from` is for messages, the rest never is. */
export type Credential =
  | { readonly type: 'basic'; readonly username: string; readonly password: string; readonly from: string }
  /** A refresh token of the registry's own token service. */
  | { readonly type: 'identity-token'; readonly token: string; readonly from: string }
  /** Shown as it is. */
  | { readonly type: 'registry-token'; readonly token: string; readonly from: string }

export interface CredentialsOptions {
  readonly env?: NodeJS.ProcessEnv | undefined
  readonly platform?: NodeJS.Platform | undefined
  readonly home?: string | undefined
}

/** One place where credentials may be: a file, or a text in the environment. */
interface Place {
  readonly name: string
  readonly text: () => Promise<string | undefined>
}

export interface CredentialFile {
  readonly auths: Readonly<Record<string, unknown>>
  readonly credHelpers: Readonly<Record<string, unknown>>
  readonly credsStore: string | undefined
}

/** Docker Hub's own name in these files. */
export const DOCKER_HUB_KEY = 'https://index.docker.io/v1/'
const DOCKER_HUB = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io'])

/** Where docker keeps its configuration: `DOCKER_CONFIG`, else `~/.docker`. */
export function dockerConfigFile({ env = process.env, home = homedir() }: CredentialsOptions = {}): string {
  return join(env['DOCKER_CONFIG'] || join(home, '.docker'), 'config.json')
}

/**
 * The credential for `repository` (`team/shop`) of `domain` (`registry.example:5000`), or undefined if none is kept.
 * Looks at DOCKER_AUTH_CONFIG, REGISTRY_AUTH_FILE, docker's config.json, podman's auth.json of the session, that of the
 * user; the first that knows the host decides. Throws UNAUTHORIZED if a helper fails, INVALID_ARGUMENT for a file that
 * is not JSON.
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
    value = undefined // said below; the parser's own message would repeat a piece of the file
  }
  if (!isObject(value))
    throw new StowageError('INVALID_ARGUMENT', `${name} is not a JSON object`, { hint: 'Fix it, or move it away.' })
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
    const kept = await getFromHelper(program, keyOf(domain))
    const from = `the credential helper ${program}`
    if (kept?.username === '<token>') return { type: 'identity-token', token: kept.secret, from }
    if (kept) return { type: 'basic', username: kept.username, password: kept.secret, from }
  }
  return credentialOf(authFor(file.auths, domain, repository), name)
}

/** The program that the file names for `domain`, `docker-credential-` left out; undefined if the file itself keeps them. */
export function helperFor({ credHelpers, credsStore }: CredentialFile, domain: string): string | undefined {
  const own = Object.entries(credHelpers).find(([key]) => isKeyOf(key, domain))?.[1]
  return typeof own === 'string' && own !== '' ? own : credsStore
}

/** Whether `key` of a credential file stands for `domain`, and for no repository of it. */
export function isKeyOf(key: string, domain: string): boolean {
  return hostOfKey(key) === hostOf(domain)
}

/** The entry of the longest name that is the repository or one of its parents, as podman has it; docker knows hosts alone. */
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

/** The name under which docker keeps the credentials of `domain`. */
export function keyOf(domain: string): string {
  return hostOf(domain) === 'docker.io' ? DOCKER_HUB_KEY : domain
}

/** The host a key stands for: some tools write a URL, with an API version behind it. */
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
