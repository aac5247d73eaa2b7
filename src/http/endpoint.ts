/**
 * Finds how to reach a host: address, certificates and scheme. Sources: docker's certs.d, and the behavior of similar
 * tools.
 */
import { readdir, readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { readIfThere } from '../blob/read-if-there.js'
import { fileError, StowageError, systemCode } from '../errors.js'

export interface Endpoint {
  /** The name for messages: `docker.io`, `registry.example:5000`. */
  readonly domain: string
  /** Host and port to connect to. */
  readonly host: string
  /**
   * `http` only if requested; `either` on loopback, where http is used if the host responds to it as expected; else
   * `https`.
   */
  readonly scheme: 'https' | 'http' | 'either'
  /** Whether its user wrote the scheme, in a URL. */
  readonly byUrl?: boolean
  readonly tls: EndpointTls
}

export interface EndpointTls {
  /** All trusted authorities, as PEM with one certificate each. */
  readonly ca: readonly string[]
  readonly cert: string | undefined
  readonly key: string | undefined
  /** The files that the client certificate and its key are from. */
  readonly file: string
  readonly keyFile: string
  /** Files that should have authorities, and have no certificate in PEM format. */
  readonly hollow: readonly string[]
}

interface ClientPair {
  readonly cert: string
  readonly key: string
  readonly file: string
  readonly keyFile: string
}

/** Where Linux distributions store the certificates that all programs trust. */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
]

const PEM_CERTIFICATE = /-----BEGIN (X509 )?CERTIFICATE-----[^-]+-----END \1?CERTIFICATE-----/g

/**
 * Adds the certificates to an address. Throws PERMISSION_DENIED or IO_ERROR if they cannot be read, FILE_NOT_FOUND if a
 * client certificate has no key.
 */
export async function findEndpoint(
  address: Omit<Endpoint, 'tls'>,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Endpoint> {
  const own = await ownCertificates(certificateDirectories(address.host, env))
  const ca = certificatesOf([...(await trustedCertificates(env)), ...own.ca.values()])
  const named = new Map<string, string>()
  for (const file of [env['SSL_CERT_FILE'], env['NODE_EXTRA_CA_CERTS']])
    if (file) named.set(file, (await readIfThere(file).catch(() => undefined)) ?? '')
  const hollow = [...named, ...own.ca].flatMap(([file, text]) => (certificatesOf([text]).length > 0 ? [] : [file]))
  const { cert, key, file = '', keyFile = '' } = own.pair ?? {}
  return { ...address, tls: { ca, cert, key, file, keyFile, hollow } }
}

/**
 * What is trusted for every host, as PEM: the authorities of Node.js and of the system or, instead, those in
 * SSL_CERT_FILE, and those in NODE_EXTRA_CA_CERTS.
 */
export async function trustedCertificates(env: NodeJS.ProcessEnv = process.env): Promise<readonly string[]> {
  const file = env['SSL_CERT_FILE']
  const trusted = file ? [await readCertificates(file)] : [...rootCertificates, ...(await systemCertificates())]
  return certificatesOf([...trusted, ...(await extraCertificates(env))])
}

function certificateDirectories(host: string, env: NodeJS.ProcessEnv): readonly string[] {
  const config = env['XDG_CONFIG_HOME'] || join(homedir(), '.config')
  return [join(config, 'containers', 'certs.d'), '/etc/containers/certs.d', '/etc/docker/certs.d'].map(path =>
    join(path, host),
  )
}

/**
 * `*.crt` are authorities; `NAME.cert` with `NAME.key` is the client certificate, from the first directory with a pair.
 */
async function ownCertificates(
  directories: readonly string[],
): Promise<{ readonly ca: ReadonlyMap<string, string>; readonly pair: ClientPair | undefined }> {
  const ca = new Map<string, string>()
  let pair: ClientPair | undefined
  for (const directory of directories) {
    const names = await readdir(directory).catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return []
      throw fileError(error, directory)
    })
    for (const name of names.sort()) {
      if (name.endsWith('.crt')) ca.set(join(directory, name), await readCertificates(join(directory, name)))
      if (name.endsWith('.key')) checkNotAlone(join(directory, name), names)
      if (!name.endsWith('.cert') || pair) continue
      const file = join(directory, name)
      const keyFile = file.replace(/\.cert$/, '.key')
      const key = await readIfThere(keyFile)
      if (key === undefined) {
        throw new StowageError(
          'FILE_NOT_FOUND',
          `the client certificate ${file} has no key: ${keyFile} does not exist`,
          {
            hint: 'Put the key there. If it is the certificate of a CA, its name must end in .crt.',
          },
        )
      }
      pair = { cert: await readCertificates(file), key, file, keyFile }
    }
  }
  return { ca, pair }
}

/** Throws FILE_NOT_FOUND if a key is without its certificate, as docker does. */
function checkNotAlone(keyFile: string, names: readonly string[]): void {
  const file = keyFile.replace(/\.key$/, '.cert')
  if (names.includes(basename(file))) return
  throw new StowageError('FILE_NOT_FOUND', `the key ${keyFile} has no client certificate: ${file} does not exist`, {
    hint: 'Put the certificate there; its name must end in .cert, because .crt is for that of a CA.',
  })
}

async function systemCertificates(): Promise<readonly string[]> {
  for (const path of SYSTEM_BUNDLES) {
    const text = await readIfThere(path).catch(() => undefined) // as if it were not installed
    if (text !== undefined) return [text]
  }
  return []
}

/**
 * NODE_EXTRA_CA_CERTS, which Node.js adds only to its default list. Like Node.js, ignores a file that cannot be read.
 */
async function extraCertificates(env: NodeJS.ProcessEnv): Promise<readonly string[]> {
  const file = env['NODE_EXTRA_CA_CERTS']
  const text = file ? await readIfThere(file).catch(() => undefined) : undefined
  return text === undefined ? [] : [text]
}

/** The distinct certificates: the lists of Node.js and of the system largely overlap, and parsing takes time. */
function certificatesOf(texts: readonly string[]): readonly string[] {
  const found = new Map<string, string>()
  for (const [pem] of texts.join('\n').matchAll(PEM_CERTIFICATE)) found.set(pem.replace(/\s/g, ''), pem)
  return [...found.values()]
}

async function readCertificates(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch((error: unknown) => {
    throw fileError(error, path)
  })
}
