/** From a location to the open place. What only some transports need is loaded when one of them is named. */
import type { ImageDestination } from '../image/image-destination.js'
import type { ImageSource } from '../image/image-source.js'
import type { ImageStore } from '../image/image-store.js'
import type { WaitOptions } from '../progress.js'
import { Registries } from '../registry/registries.js'
import { cannot, capability, parseLocation, transportOf } from './location.js'
import type { DestinationTransport, Location, OpenDestinationOptions, OpenSourceOptions } from './transport.js'
import { usualStore } from './usual-store.js'

/** Opens `location` to read images from. Throws INVALID_ARGUMENT for a location that is none, and what its source throws. */
export async function openSource(location: Location, options: OpenSourceOptions): Promise<ImageSource> {
  const source = capability(location, 'read images from', ({ source }) => source)
  return await source.open(location, options)
}

/** Whether the layer of an image of `location` is made when it is read, so that its size is not known before. */
export async function makesLayer(location: Location): Promise<boolean> {
  return (await transportOf(location).source?.makesLayer?.(location)) ?? false
}

/** Opens `location` to write images to. Throws INVALID_ARGUMENT for a location that takes no images, and what the destination throws. */
export async function openDestination(location: Location, options: OpenDestinationOptions): Promise<ImageDestination> {
  const destination = expectDestination(location, 'write images to')
  return await destination.open(location, options)
}

/**
 * The transport of `location` as a destination that `fits`. Throws INVALID_ARGUMENT naming those that do, also where the location
 * names an image and its transport takes that from the image alone.
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
  /** `docker-daemon:`, `oci:DIR`, `oci:` for the default store, or `bundle:PATH`; the engine when left out, or the default store where none answers. */
  readonly store?: string | undefined
  /** Engine address; without it the engine that `docker` would speak to. */
  readonly host?: string | undefined
}

/** Throws INVALID_ARGUMENT for a location that keeps no images under names, and what opening it throws. */
export async function openImageStore({ store, host, signal }: StoreOptions = {}): Promise<ImageStore> {
  const location = parseLocation(store ?? (await usualStore(host, signal)))
  await using registries = new Registries({})
  return await expectStore(location, 'list images in').open(location, { host, registries, signal })
}

/** The transport of `location` as a store; `writable`: one that is not sealed. Throws INVALID_ARGUMENT as {@link expectDestination} does. */
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
