/** From the name of a place to the open place. What only some places need is loaded when one of them is named: the rest waits for it. */
import type { BlobStage } from '../blob/blob-store.js'
import type { BlobDirectory } from '../blob/directory.js'
import type { ImageDestination } from '../image/image-destination.js'
import type { WimDestinationOptions } from './wim/destination.js'
import { StowageError } from '../errors.js'
import type { Reference } from '../oci/reference.js'
import type { WaitOptions } from '../progress.js'
import type { Registries } from '../registry/registries.js'
import type { ImageSource } from '../image/image-source.js'
import { formatLocation, type Location } from './location.js'
import type { WimLayerOptions } from './wim/source.js'
import { sourceDateEpoch } from '../tar/source-date-epoch.js'

export interface OpenSourceOptions extends WaitOptions {
  /** Where a layer that is made here goes. */
  readonly stage: BlobStage
  /** Where a source files blobs before it knows which it needs; asked for only by those that do. */
  readonly spool: () => Promise<BlobDirectory>
  /** Engine address for `docker-daemon:`. */
  readonly host?: string | undefined
  readonly registries: Registries
  /** How a layer is made of a WIM, or of a directory. */
  readonly layer?: WimLayerOptions | undefined
  /** Name of an image that has none of its own. */
  readonly name?: Reference | undefined
  /** The one platform that an image made of a directory is for; Linux on the processor of this machine when left out. */
  readonly platforms?: readonly string[] | undefined
}

/**
 * Opens `location` to read images from. Throws what its source throws; INVALID_ARGUMENT for an engine with no image named.
 */
export async function openSource(location: Location, options: OpenSourceOptions): Promise<ImageSource> {
  const { stage, spool, host, registries, layer, name, platforms, signal, onProgress } = options
  switch (location.type) {
    case 'docker':
      return await (await import('./registry/source.js')).openRegistrySource(location.name, { registries })
    case 'oci':
      return await (await import('./oci/source.js')).openLayoutSource(location.directory, location.ref)
    case 'bundle':
      return await (await import('../bundle/reader.js')).openBundleReader(location.path, { ref: location.ref, signal })
    case 'docker-daemon':
      if (location.name === undefined) {
        throw new StowageError('INVALID_ARGUMENT', 'docker-daemon: names no image', {
          hint: 'Write docker-daemon:NAME[:TAG].',
        })
      }
      return await (
        await import('./engine/source.js')
      ).openEngineSource(location.name, { host, spool: await spool(), signal })
    case 'oci-archive':
      return await (
        await import('./archive/oci-source.js')
      ).openOciArchiveSource(location.file, { ref: location.ref, spool, signal, onProgress })
    case 'docker-archive':
      return await (
        await import('./archive/docker-source.js')
      ).openDockerArchiveSource(location.file, { ref: location.ref, spool, signal, onProgress })
    case 'dir': {
      const { compression, threads, skipUnsupported, onSkipped } = layer ?? {}
      return await (
        await import('./directory/source.js')
      ).openDirectorySource(location.path, {
        compression,
        threads,
        skipUnsupported,
        onSkipped,
        name,
        platforms,
        stage,
        signal,
        onProgress,
      })
    }
    case 'wim':
      return await (
        await import('./wim/source.js')
      ).openWimSource(location.file, { ...layer, image: location.image, name, stage, signal, onProgress })
  }
}

/** Whether the layer of an image of `location` is made when it is opened, so that its size is not known before. */
export async function makesLayer(location: Location): Promise<boolean> {
  if (location.type === 'dir') return !(await (await import('./directory/source.js')).isSkopeoDirectory(location.path))
  return location.type === 'wim'
}

export interface OpenDestinationOptions extends WaitOptions {
  /** Engine address for `docker-daemon:`. */
  readonly host?: string | undefined
  readonly registries: Registries
  /** What a WIM is made with. */
  readonly wim?: Omit<WimDestinationOptions, 'imageName'> | undefined
}

/** Opens `location` to write images to: an engine, a layout, a new archive, bundle or WIM. Throws INVALID_ARGUMENT for a place that takes no images. */
export async function openDestination(location: Location, options: OpenDestinationOptions): Promise<ImageDestination> {
  if (location.type === 'docker')
    return (await import('./registry/destination.js')).openRegistryDestination({ registries: options.registries })
  if (location.type === 'docker-daemon' && location.name === undefined)
    return await (await import('./engine/destination.js')).openEngineDestination(options)
  if (location.type === 'oci' && location.ref === undefined)
    return await (await import('./oci/destination.js')).openLayoutDestination(location.directory)
  if (location.type === 'oci-archive')
    return await (
      await import('./archive/oci-destination.js')
    ).openOciArchiveDestination(location.file, { ref: location.ref })
  if (location.type === 'docker-archive')
    return await (
      await import('./archive/docker-destination.js')
    ).openDockerArchiveDestination(location.file, { ref: location.ref })
  if (location.type === 'bundle' && location.ref === undefined) {
    return await (
      await import('../bundle/writer.js')
    ).openBundleWriter(location.path, { signal: options.signal, epoch: sourceDateEpoch() })
  }
  if (location.type === 'wim')
    return await (
      await import('./wim/destination.js')
    ).openWimDestination(location.file, { ...options.wim, imageName: location.image })
  throw new StowageError('INVALID_ARGUMENT', `${formatLocation(location)} is no place to load images to`, {
    hint: 'Write docker-daemon: for the engine, oci:DIR for a layout on disk, or oci: for the default store, oci-archive:FILE or docker-archive:FILE for a new archive, bundle:PATH for a new bundle, wim:FILE for a new WIM; name no image.',
  })
}
