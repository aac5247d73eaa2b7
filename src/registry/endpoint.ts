/** How a registry is reached: Docker Hub has another host than name, loopback needs no TLS. */
import { StowageError } from '../errors.js'
import { type Endpoint, findEndpoint } from '../http/endpoint.js'
import { isLoopback } from '../http/proxy.js'
import { isRegistry } from '../oci/reference.js'

export interface EndpointOptions {
  /** Registries (`host[:port]`) to speak plain http with. */
  readonly insecure?: readonly string[] | undefined
  readonly env?: NodeJS.ProcessEnv | undefined
}

const HUB = 'registry-1.docker.io'

/**
 * How the registry that references name as `domain` is reached. Throws INVALID_ARGUMENT for what is not a registry in `insecure`,
 * PERMISSION_DENIED, IO_ERROR for certificates that cannot be read.
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
