/** From the name of a place, or from none, to the open place that keeps images. */
import { StowageError } from '../errors.js'
import type { WaitOptions } from '../progress.js'
import { usualStore } from './usual-store.js'
import { defaultStore, formatLocation, parseLocation } from './location.js'
import type { ImageStore } from '../image/image-store.js'

export interface StoreOptions extends WaitOptions {
  /** `docker-daemon:`, `oci:DIR`, `oci:` for the default store, or `bundle:PATH`; the engine when left out, or the default store where none answers. */
  readonly store?: string | undefined
  /** Engine address; without it the engine that `docker` would speak to. */
  readonly host?: string | undefined
}

/** Throws INVALID_ARGUMENT for a place that keeps no images under names, and what opening the place throws. */
export async function openImageStore({ store, host, signal }: StoreOptions = {}): Promise<ImageStore> {
  const location = parseLocation(store ?? (await usualStore(host, signal)))
  if (location.type === 'docker-daemon' && location.name === undefined)
    return await (await import('./engine/store.js')).openEngineStore({ host, signal })
  if (location.type === 'oci' && location.ref === undefined) {
    return await (
      await import('./oci/store.js')
    ).openLayoutStore(location.directory, { mayBeMissing: location.directory === defaultStore() })
  }
  if (location.type === 'bundle' && location.ref === undefined)
    return await (await import('./bundle/store.js')).openBundleStore(location.path, { signal })
  throw new StowageError('INVALID_ARGUMENT', `${formatLocation(location)} is no place that keeps images`, {
    hint: 'Write docker-daemon:, oci:DIR, oci: for the default store, or bundle:PATH; name no image in it.',
  })
}
