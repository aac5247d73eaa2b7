/** Tags images in an engine. Source: Docker Engine API. */
import type { Reference } from '../oci/reference.js'
import type { EngineCallOptions, EngineClient } from './client.js'

/**
 * Adds a name to `image`, an ID or a name; the default tag is `latest`. Another image with that name loses it. Throws
 * as every call of the client.
 */
export async function giveName(
  client: EngineClient,
  image: string,
  { domain, path, tag = 'latest' }: Reference,
  options: EngineCallOptions = {},
): Promise<void> {
  await client.call('POST', `/images/${image}/tag?repo=${encodeURIComponent(`${domain}/${path}`)}&tag=${tag}`, options)
}
