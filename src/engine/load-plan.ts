/** Decides which parts of an image to send to an engine, and which ID the image will have there. */
import type { Document, ImageContent, PlatformImage } from '../blob/closure.js'
import { StowageError } from '../errors.js'
import { compressionOfMediaType, COMPRESSIONS, DEFAULT_COMPRESSION } from '../oci/compression.js'
import { type Descriptor, eachOnce } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { isIndex } from '../oci/media-type.js'
import { formatPlatform, type Platform } from '../oci/platform.js'
import type { EngineStore } from './store.js'

export interface LoadPlan {
  readonly root: Descriptor
  /** The ID in the engine: the digest of the config or, with containerd's store, of the root. */
  readonly id: Digest
  /** The image that `manifest.json` describes: the one for the engine's platform, else the first. */
  readonly main: PlatformImage
  /** The images that must be complete in the engine after the load. */
  readonly platforms: readonly PlatformImage[]
  /** Manifests, root first, then configs. */
  readonly documents: readonly Document[]
  /** Each once, base first. */
  readonly layers: readonly Descriptor[]
}

/**
 * The whole `image` for containerd's store, which keeps indexes; for other stores, the one platform that the engine
 * runs. `name` is for messages. Throws PLATFORM_MISMATCH, and UNSUPPORTED if `image` is not a container image.
 */
export function planEngineLoad(image: ImageContent, store: EngineStore, name: string): LoadPlan {
  const { root, platforms } = image
  const runnable = runnableOf(platforms, store)
  const main = runnable ?? platforms[0]
  if (!main) {
    throw new StowageError('UNSUPPORTED', `${name} is not a container image: no manifest of it has an image config`, {
      hint: 'An engine holds container images only; an OCI layout holds anything: --to oci:DIR.',
    })
  }
  if (store.kind === 'containerd') {
    const documents = [...image.manifests].reverse().concat(image.configs)
    return { root, id: root.digest, main, platforms, documents, layers: image.layers }
  }
  // Podman also keeps images for another system. An image for another processor may run by emulation
  const mismatched = isIndex(root.mediaType)
    ? runnable === undefined
    : store.kind === 'graphdriver' && main.config.platform.os !== store.platform.os
  if (mismatched) throw mismatch(name, platforms, store)
  const documents = [
    ...image.manifests.filter(item => isIndex(item.descriptor.mediaType)).reverse(),
    ...image.manifests.filter(item => item.descriptor.digest === main.descriptor.digest),
    ...image.configs.filter(item => item.descriptor.digest === main.manifest.config.digest),
  ]
  const layers = eachOnce(main.manifest.layers)
  return { root, id: main.manifest.config.digest, main, platforms: [main], documents, layers }
}

/** The layers to send if the engine has the first `held` ones. A blob that occurs twice is sent if either is needed. */
export function layersToSend(plan: LoadPlan, held: number): readonly Descriptor[] {
  if (held === 0) return plan.layers
  return eachOnce(plan.main.manifest.layers.slice(held))
}

/** Throws UNSUPPORTED if the engine cannot decompress a layer, which it would report only after the whole transfer. */
export function checkCompression(layers: readonly Descriptor[], store: EngineStore, name: string): void {
  if (store.kind !== 'graphdriver') return
  for (const { mediaType, digest } of layers) {
    const compression = compressionOfMediaType(mediaType)
    const { title, since } = compression ? COMPRESSIONS[compression] : {}
    if (!since || store.api >= since.api) continue
    const what = `${name} has a layer compressed with ${title} (${digest})`
    throw new StowageError('UNSUPPORTED', `${what}, which ${store.engine} cannot read`, {
      hint: `Docker ${since.docker} and later can. For this engine, make the image with ${DEFAULT_COMPRESSION} layers.`,
    })
  }
}

/** The one of `platforms` that the engine would run; on Windows, preferably one of the engine's build. */
function runnableOf(platforms: readonly PlatformImage[], store: EngineStore): PlatformImage | undefined {
  const fitting = platforms.filter(({ config: { platform } }) => fits(platform, store.platform))
  const build = buildOf(store.platform)
  return fitting.find(({ config }) => build !== undefined && buildOf(config.platform) === build) ?? fitting[0]
}

function fits(platform: Platform, engine: Platform): boolean {
  return platform.os === engine.os && platform.architecture === engine.architecture
}

/** The build number of Windows: 20348 in `10.0.20348.169`. */
function buildOf(platform: Platform): string | undefined {
  return platform['os.version']?.split('.')[2]
}

function mismatch(name: string, platforms: readonly PlatformImage[], store: EngineStore): StowageError {
  const has = [...new Set(platforms.map(({ config }) => formatPlatform(config.platform)))].join(', ')
  const wanted = formatPlatform({ os: store.platform.os, architecture: store.platform.architecture })
  const windows = platforms.some(({ config }) => config.platform.os === 'windows')
  const hint = windows
    ? 'Load it into a Windows engine or into one with the containerd image store, or write it to disk: --to oci:DIR.'
    : 'Load it into an engine of its platform, or write it to disk: --to oci:DIR.'
  const what = `${name} is for ${has}, but this engine (${store.engine}) holds images for ${wanted}`
  return new StowageError('PLATFORM_MISMATCH', what, { hint })
}
