/** Opens locations as sources, destinations and stores. The code of a transport is loaded only when it is used. */
import type { ImageDestination } from '../image/image-destination.js'
import type { ImageSource } from '../image/image-source.js'
import type { ImageStore } from '../image/image-store.js'
import type { WaitOptions } from '../progress.js'
import { Registries } from '../registry/registries.js'
import { cannot, capability, parseLocation, transportOf } from './location.js'
import type { DestinationTransport, Location, OpenDestinationOptions, OpenSourceOptions } from './transport.js'
import { usualStore } from './usual-store.js'

/** Opens `location` to read images from. Throws INVALID_ARGUMENT if it cannot be read, and what its source throws. */
export async function openSource(location: Location, options: OpenSourceOptions): Promise<ImageSource> {
  const source = capability(location, 'read images from', ({ source }) => source)
  return await source.open(location, options)
}

/** Whether reading an image from `location` creates its layer, so that the size is not known in advance. */
export async function makesLayer(location: Location): Promise<boolean> {
  return (await transportOf(location).source?.makesLayer?.(location)) ?? false
}

/**
 * Opens `location` to write images to. Throws INVALID_ARGUMENT if it cannot be written, and what the destination
 * throws.
 */
export async function openDestination(location: Location, options: OpenDestinationOptions): Promise<ImageDestination> {
  const destination = expectDestination(location, 'write images to')
  return await destination.open(location, options)
}

/**
 * The destination transport of `location`. Throws INVALID_ARGUMENT, listing the forms that `fits` accepts, if it does
 * not fit, or if the location names an image but the transport does not take a reference.
 */
export function expectDestination(
  location: Location,
  use: string,
  fits: (destination: DestinationTransport) => boolean = () => true,
  hint?: string,
): DestinationTransport {
  const find = ({ destination }: { readonly destination?: DestinationTransport }): DestinationTransport | undefined =>
    destination && fits(destination) ? destination : undefined
  const destination = capability(location, use, find, hint)
  if (location.ref === undefined || destination.takesRef) return destination
  throw cannot(location, use, find, 'Name no image in it.')
}

export interface StoreOptions extends WaitOptions {
  /**
   * `docker-daemon:`, `oci:DIR`, `oci:` for the default store, or `bundle:PATH`. Defaults to the engine, or to the
   * default store if no engine answers.
   */
  readonly store?: string | undefined
  /** The engine's address; defaults to the engine that `docker` would use. */
  readonly host?: string | undefined
}

/** Opens an image store. Throws INVALID_ARGUMENT for a location that is not a store, and what opening it throws. */
export async function openImageStore({ store, host, ...waiting }: StoreOptions = {}): Promise<ImageStore> {
  const location = parseLocation(store ?? (await usualStore(host, waiting)))
  await using registries = new Registries({})
  return await expectStore(location, 'list images in').open(location, { host, registries, ...waiting })
}

/**
 * The store transport of `location`; with `writable`, it must not be sealed. Throws INVALID_ARGUMENT like {@link
 * expectDestination}.
 */
export function expectStore(
  location: Location,
  use: string,
  { writable = false }: { readonly writable?: boolean } = {},
): NonNullable<ReturnType<typeof transportOf>['store']> {
  const find = ({ store }: ReturnType<typeof transportOf>): ReturnType<typeof transportOf>['store'] =>
    store && !(writable && store.sealed) ? store : undefined
  const found = capability(location, use, find)
  if (location.ref === undefined) return found
  throw cannot(location, use, find, 'Name no image in it.')
}
