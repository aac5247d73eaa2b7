/** Names that an engine is told to give. Source: Docker Engine API. */
import type { Reference } from '../oci/reference.js'
import type { EngineCallOptions, EngineClient } from './client.js'

/** Gives `image`, an ID or a name, another name, `latest` where `name` has no tag; what had it is without. Throws as every call of the client. */
export async function giveName(
  client: EngineClient,
  image: string,
  { domain, path, tag = 'latest' }: Reference,
  options: EngineCallOptions = {},
): Promise<void> {
  await client.call('POST', `/images/${image}/tag?repo=${encodeURIComponent(`${domain}/${path}`)}&tag=${tag}`, options)
}
