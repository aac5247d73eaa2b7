/** How a registry is reached: its address, its certificates, whether http will do. Sources: docker's certs.d, peers' habits. */
import { readdir, readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { fileError, StowageError, systemCode } from '../errors.js'
import { isRegistry } from '../oci/reference.js'
import { readIfThere } from './credentials.js'
import { isLoopback } from './proxy.js'

export interface RegistryEndpoint {
  /** As references have it: `docker.io`, `registry.example:5000`. */
  readonly domain: string
  /** Host and port to speak to. */
  readonly host: string
  /**
   * `https`; `http` where it was asked for; `either` on loopback, where http is taken from one that answers it as a registry does.
   */
  readonly scheme: 'https' | 'http' | 'either'
  readonly tls: RegistryTls
}

export interface RegistryTls {
  /** PEM; undefined: Node.js's own. */
  readonly ca: readonly string[] | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
}

export interface EndpointOptions {
  /** Registries (`host[:port]`) to speak plain http with. */
  readonly insecure?: readonly string[] | undefined
  readonly env?: NodeJS.ProcessEnv | undefined
}

const HUB = 'registry-1.docker.io'

/** Where Linux distributions keep the certificates that all programs trust. */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
]

/** How `domain` is reached. Throws INVALID_ARGUMENT for what is no registry in `insecure`, PERMISSION_DENIED, IO_ERROR for certificates that cannot be read. */
export async function findRegistry(domain: string, options: EndpointOptions = {}): Promise<RegistryEndpoint> {
  const { insecure = [], env = process.env } = options
  for (const other of insecure) {
    if (isRegistry(other)) continue
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(other)} is no registry to speak plain http with`, {
      hint: 'Write HOST or HOST:PORT.',
    })
  }
  const host = domain === 'docker.io' ? HUB : domain
  const directories = certificateDirectories(host, env)
  const own = await ownCertificates(directories)
  const name = new URL(`https://${host}`).hostname.replace(/^\[|\]$/g, '')
  const scheme = insecure.includes(domain) ? 'http' : isLoopback(name) ? 'either' : 'https'
  const file = env['SSL_CERT_FILE']
  const trusted = file ? [await readCertificates(file)] : await systemCertificates()
  const ca =
    file || trusted.length > 0 || own.ca.length > 0
      ? [...(file ? [] : rootCertificates), ...trusted, ...own.ca]
      : undefined
  return { domain, host, scheme, tls: { ca, cert: own.cert, key: own.key } }
}

function certificateDirectories(host: string, env: NodeJS.ProcessEnv): readonly string[] {
  const config = env['XDG_CONFIG_HOME'] || join(homedir(), '.config')
  return [join(config, 'containers', 'certs.d'), '/etc/containers/certs.d', '/etc/docker/certs.d'].map(path =>
    join(path, host),
  )
}

/** `*.crt` are authorities, `NAME.cert` with `NAME.key` what we show. The first directory with a pair decides. */
async function ownCertificates(directories: readonly string[]): Promise<{ ca: string[]; cert?: string; key?: string }> {
  const ca: string[] = []
  let pair: { cert: string; key: string } | undefined
  for (const directory of directories) {
    const names = await readdir(directory).catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return []
      throw fileError(error, directory)
    })
    for (const name of names.sort()) {
      if (name.endsWith('.crt')) ca.push(await readCertificates(join(directory, name)))
      if (!name.endsWith('.cert') || pair) continue
      const key = await readIfThere(join(directory, name.replace(/\.cert$/, '.key')))
      if (key !== undefined) pair = { cert: await readCertificates(join(directory, name)), key }
    }
  }
  return { ca, ...pair }
}

async function systemCertificates(): Promise<readonly string[]> {
  for (const path of SYSTEM_BUNDLES) {
    const text = await readIfThere(path).catch(() => undefined) // one that cannot be read is not ours to mend
    if (text !== undefined) return [text]
  }
  return []
}

async function readCertificates(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch((error: unknown) => {
    throw fileError(error, path)
  })
}
