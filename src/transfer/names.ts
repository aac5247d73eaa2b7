/** What images are called in a registry that they are moved to. */
import { formatReference, parseReference, type Reference } from '../oci/reference.js'
import { transportOf } from '../transport/location.js'
import type { Location } from '../transport/transport.js'

/** `name` behind `location`: in `docker://HOST[:PORT][/PREFIX]` the repository without its own host; elsewhere as it is. */
export function nameAt(location: Location, name: Reference): Reference {
  if (transportOf(location).destination?.naming !== 'prefix') return name
  const [domain = '', ...prefix] = location.path.replace(/\/+$/, '').split('/')
  return parseReference(formatReference({ ...name, domain, path: [...prefix, name.path].join('/') }))
}
