/** Finds the endpoint of a registry: Docker Hub's host differs from its name, and loopback does not require TLS. */
import { StowageError } from '../errors.js'
import { type Endpoint, findEndpoint } from '../http/endpoint.js'
import { isLoopback } from '../http/proxy.js'
import { isRegistry } from '../oci/reference.js'

export interface EndpointOptions {
  /** Registries (`host[:port]`) to reach over plain http; a certificate that is not trusted is a matter of `tlsSkipVerify`. */
  readonly insecure?: readonly string[] | undefined
  readonly env?: NodeJS.ProcessEnv | undefined
}

const HUB = 'registry-1.docker.io'

/**
 * The endpoint of the registry that references call `domain`. Throws INVALID_ARGUMENT if an item of `insecure` is not a
 * registry, PERMISSION_DENIED or IO_ERROR if certificates cannot be read.
 */
export async function findRegistry(domain: string, options: EndpointOptions = {}): Promise<Endpoint> {
  const { insecure = [], env = process.env } = options
  for (const other of insecure) {
    if (isRegistry(other)) continue
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(other)} is not a registry for --insecure`, {
      hint: 'Write HOST or HOST:PORT.',
    })
  }
  const host = domain === 'docker.io' ? HUB : domain
  const name = new URL(`https://${host}`).hostname.replace(/^\[|\]$/g, '')
  const scheme = insecure.includes(domain) ? 'http' : isLoopback(name) ? 'either' : 'https'
  return await findEndpoint({ domain, host, scheme }, env)
}
