/** `wim:FILE[#NAME]` as a destination: applies the layers of an image to make the images of a new WIM. */
import { STANDARD_STREAM } from '../../archive/standard-stream.js'
import type { BlobStore, Bytes } from '../../blob/blob-store.js'
import { type ImageContent, type PlatformImage, sizeOf } from '../../blob/closure.js'
import { refuseExisting } from '../../blob/partial-file.js'
import { verified } from '../../blob/verified.js'
import { StowageError } from '../../errors.js'
import { writeLayerFile } from '../../layer/output-file.js'
import { parseRfc3339 } from '../../windows/filetime.js'
import type { LayerOrigin } from '../../layer/read/read-layer.js'
import { wimFromLayers, type WimFromLayersOptions } from '../../layer/to-wim/wim-from-layers.js'
import { formatPlatform } from '../../oci/platform.js'
import { formatReference, type Reference } from '../../oci/reference.js'
import type { WaitOptions } from '../../progress.js'
import type { DestinationSurvey } from '../../image/destination-survey.js'
import type { ImageDestination, WrittenImage } from '../../image/image-destination.js'

export interface WimDestinationOptions extends Pick<
  WimFromLayersOptions,
  'compression' | 'threads' | 'integrityTable'
> {
  /** Name of the image in the WIM; defaults to the file's name. */
  readonly imageName?: string | undefined
}

/**
 * A new WIM, which `write()` makes from one image: a Windows image, or a Linux image with owners and modes like those
 * of wimlib's `--unix-data`. If there are several platforms, it takes the one for Windows. The config provides
 * architecture, version and time. A WIM has no place for names of container images.
 *
 * `write()` also throws OUTPUT_EXISTS if the file exists, INVALID_ARGUMENT if it is not clear which image to take, and
 * what {@link wimFromLayers} throws.
 */
export async function openWimDestination(file: string, options: WimDestinationOptions = {}): Promise<ImageDestination> {
  return {
    write: async (image, blobs, names, wait) => await write(file, options, image, blobs, names, wait ?? {}),
    async [Symbol.asyncDispose]() {},
  }
}

/** Looks at the place of the new WIM `file`. Throws like {@link openWimDestination}. */
export async function surveyWim(file: string): Promise<DestinationSurvey> {
  await refuseExisting(file, 'a WIM')
  return {
    async measure(image, [name]) {
      const { manifest } = choosePlatform(image, name ? formatReference(name) : image.root.digest)
      const send = manifest.layers.reduce((sum, { size }) => sum + size, 0)
      return { send, present: 0, estimate: true } // the files are compressed in another way
    },
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
        { path, name: file === STANDARD_STREAM ? (names[0]?.path ?? 'image') : file },
        {
          ...options,
          unixData: !windows,
          withoutHiveChanges: layers.length === 1, // there is no base: they are reported as lost
          architecture: windows ? config.platform.architecture : undefined,
          osVersion: windows ? config.platform['os.version'] : undefined,
          created: config.created === undefined ? undefined : parseRfc3339(config.created)?.time,
          signal,
          onProgress,
        },
      )
    } catch (error) {
      if (!(error instanceof StowageError) || error.code !== 'LAYER_CORRUPT') throw error
      // A wrong digest is the more useful error
      for (const layer of manifest.layers) await drain(verified(layer, blobs.fetch(layer, { signal })))
      throw error
    }
  })
  const sent = manifest.layers.reduce((sum, { size }) => sum + size, 0)
  return { names, id: image.root.digest, sent, skipped: sizeOf(image) - sent, platforms: [config.platform], lost }
}

async function drain(bytes: Bytes): Promise<void> {
  for await (const _ of bytes);
}

/** The only image, or the only one for Windows. */
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
