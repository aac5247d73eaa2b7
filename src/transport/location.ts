/** Parses and formats locations as written on the command line: a transport, a colon and a path. */
import { StowageError } from '../errors.js'
import { nearestWord } from '../nearest-word.js'
import { isPath } from './grammar.js'
import { transports } from './list.js'
import type { Location, Transport } from './transport.js'

/** Letters of `oci`, `dir` and `wim`. */
const SHORT_SCHEME = 3

/**
 * Parses `docker://NAME[:TAG|@DIGEST]`, `docker-daemon:NAME[:TAG]`, `oci:DIR[:REF]`, `oci-archive:FILE[:REF]`,
 * `docker-archive:FILE[:REF]`, `dir:PATH`, `wim:FILE[#IMAGE]` or `bundle:PATH[:REF]`; a bare NAME[:TAG|@DIGEST] is in a
 * registry. `oci:` without a directory is the default store. Throws INVALID_ARGUMENT listing the transports, or with
 * the one that was probably meant.
 */
export function parseLocation(text: string): Location {
  const location = parseWithScheme(text) ?? parseBareLocation(text)
  if (location && misspelledScheme(text, 1) === undefined) return location
  throw notLocation(text)
}

/**
 * Parses where to send something, like {@link parseLocation}. A bare word is refused: whoever writes it may mean a file,
 * and would publish the image. Throws INVALID_ARGUMENT saying what to write.
 */
export function destinationLocation(text: string): Location {
  const location = parseWithScheme(text)
  if (location) return location
  const image = isPath(text) ? undefined : parseBareLocation(text)
  if (!isPath(text) && (misspelledScheme(text) !== undefined || !image)) throw notLocation(text)
  const [word = '', rest] = text.split(':', 2)
  const schemes = transports().flatMap(({ scheme, destination }) => (destination ? [scheme] : []))
  // A bare word is refused in any case, so a short scheme may be guessed too
  const near = rest === undefined || word.includes('/') ? undefined : nearestWord(word, schemes, 1)
  if (near !== undefined) throw misspelled(text, near)
  const bare = transports().find(({ scheme }) => scheme === text)?.destination
  const registry = image ? ` for one on this machine, ${formatLocation(image)} for one in a registry` : ''
  throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(text)} does not say what kind of place it is`, {
    hint: bare
      ? `Write ${bare.imageForm ?? bare.form}.`
      : `Write ${alternatives(schemesFor(text).map(scheme => `${scheme}:${text}`))}${registry}.`,
  })
}

/** The schemes of the destinations whose files usually have names that end as `text` does. */
function schemesFor(text: string): readonly string[] {
  const fitting = transports().flatMap(({ scheme, destination }) => {
    const { extension } = destination ?? {}
    return extension !== undefined && text.endsWith(extension) ? [{ scheme, extension }] : []
  })
  const longest = Math.max(...fitting.map(({ extension }) => extension.length))
  return fitting.filter(({ extension }) => extension.length === longest).map(({ scheme }) => scheme)
}

function notLocation(text: string): StowageError {
  const rest = text.slice(text.indexOf(':') + 1)
  const scheme = misspelledScheme(text)
  const transport = transports().find(each => each.scheme === scheme)
  if (transport && !(text.startsWith(`${transport.scheme}:`) && transport.misread))
    return misspelled(text, transport.scheme)
  const hint = !transport?.misread
    ? `Write ${formsOf(({ source, destination }) => source ?? destination)}.`
    : transport.misread(rest)
  return new StowageError('INVALID_ARGUMENT', `${JSON.stringify(text)} is not a location`, { hint })
}

/** The error for `text` that was probably meant to begin with `scheme`. */
export function misspelled(text: string, scheme: string): StowageError {
  const image = parseBareLocation(text)
  const registry = image ? ` For the image of this name in a registry, write ${formatLocation(image)}.` : ''
  const meant = `${scheme}:${text.slice(text.indexOf(':') + 1)}`
  return new StowageError('INVALID_ARGUMENT', `${JSON.stringify(text)} is not a location`, {
    hint: `Did you mean ${meant}?${registry}`,
  })
}

/**
 * The scheme that `text` may have been meant to begin with, though it does not: with `most`, only one that is as near.
 * Short ones are taken for misspelled only if their letters are swapped: many names of images are like them.
 */
function misspelledScheme(text: string, most?: number): string | undefined {
  const [word = '', rest] = text.split(':', 2)
  if (rest === undefined || word.includes('/')) return undefined
  const letters = (of: string): string => [...of.toLowerCase()].sort().join('')
  const schemes = transports()
    .map(({ scheme }) => scheme)
    .filter(scheme => scheme.length > SHORT_SCHEME || letters(scheme) === letters(word))
  return schemes.includes(word) ? (parseWithScheme(text) ? undefined : word) : nearestWord(word, schemes, most)
}

function parseWithScheme(text: string): Location | undefined {
  const colon = text.indexOf(':')
  const named = colon < 0 ? undefined : transports().find(({ scheme }) => scheme === text.slice(0, colon))
  return named?.parse(text.slice(colon + 1), text)
}

function parseBareLocation(text: string): Location | undefined {
  return transports().reduce<Location | undefined>((found, { parseBare }) => found ?? parseBare?.(text), undefined)
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
  return alternatives(transports().flatMap(transport => find(transport)?.form ?? []))
}

function alternatives(forms: readonly string[]): string {
  return forms.length < 2 ? forms.join('') : `${forms.slice(0, -1).join(', ')} or ${forms.at(-1) ?? ''}`
}
