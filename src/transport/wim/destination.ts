/** `wim:FILE[#NAME]` as a destination: the layers of an image applied, as the images of a new WIM. */
import type { BlobStore, Bytes } from '../../blob/blob-store.js'
import { type ImageContent, type PlatformImage, sizeOf } from '../../blob/closure.js'
import { verified } from '../../blob/verified.js'
import { StowageError } from '../../errors.js'
import { writeLayerFile } from '../../layer/output-file.js'
import { parseRfc3339 } from '../../windows/filetime.js'
import { type LayerOrigin, wimFromLayers, type WimFromLayersOptions } from '../../layer/to-wim/wim-from-layers.js'
import { formatPlatform } from '../../oci/platform.js'
import { formatReference, type Reference } from '../../oci/reference.js'
import type { WaitOptions } from '../../progress.js'
import type { ImageDestination, WrittenImage } from '../../image/image-destination.js'

export interface WimDestinationOptions extends Pick<
  WimFromLayersOptions,
  'compression' | 'threads' | 'integrityTable'
> {
  /** Name of the image in the WIM; that of the file when left out. */
  readonly imageName?: string | undefined
}

/**
 * A WIM that is made by `write()`, from one image: of Windows, or of Linux with owners and modes as wimlib's `--unix-data` has
 * them; of an index, the one that is of Windows. The config gives architecture, version and time. Names of images have no
 * place in a WIM.
 *
 * `write()` also throws OUTPUT_EXISTS if the file is there, INVALID_ARGUMENT if it is not clear which image is meant,
 * and what {@link wimFromLayers} throws.
 */
export async function openWimDestination(file: string, options: WimDestinationOptions = {}): Promise<ImageDestination> {
  return {
    write: async (image, blobs, names, wait) => await write(file, options, image, blobs, names, wait ?? {}),
    async [Symbol.asyncDispose]() {},
  }
}

async function write(
  file: string,
  options: WimDestinationOptions,
  image: ImageContent,
  blobs: BlobStore,
  names: readonly Reference[],
  { signal, onProgress }: WaitOptions,
): Promise<WrittenImage> {
  const { manifest, config } = choosePlatform(image, names[0] ? formatReference(names[0]) : image.root.digest)
  const windows = config.platform.os === 'windows'
  const layers = manifest.layers.map((layer): LayerOrigin => ({
    name: `layer ${layer.digest}`,
    open: async () => ({
      name: `layer ${layer.digest}`,
      size: layer.size,
      bytes: verified(layer, blobs.fetch(layer, { signal })),
    }),
  }))
  const { lost } = await writeLayerFile(file, { inputs: [], signal }, async ({ path }) => {
    try {
      return await wimFromLayers(
        layers,
        { path, name: file },
        {
          ...options,
          unixData: !windows,
          architecture: windows ? config.platform.architecture : undefined,
          osVersion: windows ? config.platform['os.version'] : undefined,
          created: config.created === undefined ? undefined : parseRfc3339(config.created)?.time,
          signal,
          onProgress,
        },
      )
    } catch (error) {
      if (!(error instanceof StowageError) || error.code !== 'LAYER_CORRUPT') throw error
      for (const layer of manifest.layers) await drain(verified(layer, blobs.fetch(layer, { signal }))) // a wrong digest says more
      throw error
    }
  })
  const sent = manifest.layers.reduce((sum, { size }) => sum + size, 0)
  return { names, id: image.root.digest, sent, skipped: sizeOf(image) - sent, platforms: [config.platform], lost }
}

async function drain(bytes: Bytes): Promise<void> {
  for await (const _ of bytes);
}

/** The one image there is, or the one of Windows. */
function choosePlatform({ platforms }: ImageContent, subject: string): PlatformImage {
  const [only, ...others] = platforms
  if (only && others.length === 0) return only
  const [windows, ...more] = platforms.filter(({ config }) => config.platform.os === 'windows')
  if (windows && more.length === 0) return windows
  const list = platforms
    .map(({ config, descriptor }) => `${formatPlatform(config.platform)} (${descriptor.digest})`)
    .join(', ')
  throw new StowageError(
    'INVALID_ARGUMENT',
    platforms.length === 0
      ? `${subject} is not a runnable image`
      : `${subject} is ${platforms.length} images, but a WIM holds one`,
    platforms.length === 0 ? {} : { hint: `Name one with --platform, or by its digest: ${list}.` },
  )
}
