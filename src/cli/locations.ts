/** Locations for the commands: their forms for help texts, taken from the transports, and the operand that is a bundle. */
import { stat } from 'node:fs/promises'
import { StowageError } from '../errors.js'
import { transports } from '../transport/list.js'
import { formatLocation, formsOf, parseLocation, transportOf } from '../transport/location.js'

/** Locations that images can be read from. */
export function sourceForms(): string {
  return formsOf(({ source }) => source)
}

/** Locations that an image can be copied to, with a name. */
export function imageForms(): string {
  return formsOf(({ destination }) => destination && { form: destination.imageForm ?? destination.form })
}

/** Locations that the images of a bundle can be loaded into. */
export function loadForms(): string {
  return formsOf(({ destination }) => (destination?.seals === true ? undefined : destination))
}

/** Locations that images can be added to at any time. */
export function additiveForms(): string {
  return formsOf(({ destination }) => (destination?.additive ? destination : undefined))
}

/** Locations that keep images under names; with `change`, only those whose images can be changed. */
export function storeForms({ change = false }: { readonly change?: boolean } = {}): string {
  return formsOf(({ store }) => (store && !(change && store.sealed) ? store : undefined))
}

/** Explains what a bundle to read can be. */
export const BUNDLE_FORMS = 'a directory, or a .tar, also compressed with gzip, zstd or xz; - is standard input'

/** Explains `oci:` without a path, and when it is used. */
export const DEFAULT_STORE = 'oci: alone is the default store'
export const USED_WITHOUT_ENGINE = `${DEFAULT_STORE}, used if no engine answers`

/**
 * Throws INVALID_ARGUMENT for a name that is a location of something that exists here, which hardly any image has as its
 * name. `instead` is what to write for the image `ref` of the place.
 */
export async function refuseLocations(
  names: readonly string[],
  instead: (place: string, ref: string | undefined) => string,
): Promise<void> {
  for (const name of names) {
    const transport = transports().find(({ scheme }) => name.startsWith(`${scheme}:`))
    if (!transport || transport.destination?.naming === 'prefix') continue // in a registry, it is a name
    const { ref, ...place } = parseLocation(name)
    if (place.path !== '' && !(await stat(place.path).catch(() => undefined))) continue
    throw new StowageError('INVALID_ARGUMENT', `${name} is a location, not the name of an image`, {
      hint: instead(formatLocation(place), ref),
    })
  }
}

/** For commands on stores: the command with the store as an option. `image` stands for an image that is not named. */
export function withStore(verb: string, image?: string): (place: string, ref: string | undefined) => string {
  return (place, ref = image) =>
    transportOf(parseLocation(place)).store
      ? `Write: ${['stowage', verb, '--store', place, ...(ref === undefined ? [] : [ref])].join(' ')}`
      : `It is no store. "stowage inspect ${place}" shows it.`
}

/**
 * The path of a bundle given as `PATH` or `bundle:PATH`. Throws INVALID_ARGUMENT for any other location, with the command
 * that takes it, and for one image of a bundle.
 */
export async function bundlePath(text: string, instead: (location: string) => string): Promise<string> {
  if (!/^[a-z][a-z-]+:/.test(text) || (await stat(text).catch(() => undefined))) return text
  const location = parseLocation(text)
  const { path, ref } = location
  if (transportOf(location).destination?.seals !== true)
    throw new StowageError('INVALID_ARGUMENT', `${text} is not a bundle`, { hint: instead(formatLocation(location)) })
  if (ref === undefined) return path
  throw new StowageError('INVALID_ARGUMENT', `${text} is one image of a bundle`, {
    hint: `Name the bundle: ${path}.`,
  })
}
