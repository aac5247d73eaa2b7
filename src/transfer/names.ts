/** The names that images get in the registry they are copied to. */
import { formatReference, parseReference, type Reference } from '../oci/reference.js'
import { transportOf } from '../transport/location.js'
import type { Location } from '../transport/transport.js'

/**
 * The name at `location`: for `docker://HOST[:PORT][/PREFIX]`, that prefix replaces the host of `name`; otherwise
 * `name` itself.
 */
export function nameAt(location: Location, name: Reference): Reference {
  if (transportOf(location).destination?.naming !== 'prefix') return name
  const [domain = '', ...prefix] = location.path.replace(/\/+$/, '').split('/')
  return parseReference(formatReference({ ...name, domain, path: [...prefix, name.path].join('/') }))
}
