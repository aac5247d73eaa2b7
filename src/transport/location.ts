/** Parses and formats locations as written on the command line: a transport, a colon and a path. */
import { StowageError } from '../errors.js'
import { transports } from './list.js'
import type { Location, Transport } from './transport.js'

/**
 * Parses `docker://NAME[:TAG|@DIGEST]`, `docker-daemon:NAME[:TAG]`, `oci:DIR[:REF]`, `oci-archive:FILE[:REF]`,
 * `docker-archive:FILE[:REF]`, `dir:PATH`, `wim:FILE[#IMAGE]` or `bundle:PATH[:REF]`; a bare NAME[:TAG|@DIGEST] is in a
 * registry. `oci:` without a directory is the default store. Throws INVALID_ARGUMENT listing the transports.
 */
export function parseLocation(text: string): Location {
  const colon = text.indexOf(':')
  const named = colon < 0 ? undefined : transports().find(({ scheme }) => scheme === text.slice(0, colon))
  const parsed =
    named?.parse(text.slice(colon + 1), text) ??
    transports().reduce<Location | undefined>((found, { parseBare }) => found ?? parseBare?.(text), undefined)
  if (parsed) return parsed
  throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(text)} is not a location`, {
    hint: `Write ${formsOf(({ source, destination }) => source ?? destination)}.`,
  })
}

/** The text of a location. */
export function formatLocation(location: Location): string {
  return transportOf(location).format(location)
}

/** Throws INVALID_ARGUMENT for a location whose transport is not registered. */
export function transportOf({ scheme }: Location): Transport {
  const found = transports().find(transport => transport.scheme === scheme)
  if (found) return found
  throw new StowageError('INVALID_ARGUMENT', `there is no transport ${JSON.stringify(scheme)}`)
}

/**
 * What `find` returns for the transport of `location`. If it returns nothing, throws INVALID_ARGUMENT saying that the
 * location cannot be used this way (`use`: `pull to`), with the forms of the transports that can.
 */
export function capability<T extends { readonly form: string }>(
  location: Location,
  use: string,
  find: (transport: Transport) => T | undefined,
  hint?: string,
): T {
  const found = find(transportOf(location))
  if (found) return found
  throw cannot(location, use, find, hint)
}

/** The error of {@link capability}; also for a location that names an image where none is allowed. */
export function cannot(
  location: Location,
  use: string,
  find: (transport: Transport) => { readonly form: string } | undefined,
  hint?: string,
): StowageError {
  return new StowageError('INVALID_ARGUMENT', `cannot ${use} ${formatLocation(location)}`, {
    hint: `Write ${formsOf(find)}.${hint === undefined ? '' : ` ${hint}`}`,
  })
}

/** Lists the forms that `find` returns for all transports: `oci:DIR, dir:PATH or bundle:PATH`. */
export function formsOf(find: (transport: Transport) => { readonly form: string } | undefined): string {
  const forms = transports().flatMap(transport => find(transport)?.form ?? [])
  return forms.length < 2 ? forms.join('') : `${forms.slice(0, -1).join(', ')} or ${forms.at(-1) ?? ''}`
}
