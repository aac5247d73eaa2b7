/** Describes the images that could be made from a WIM, by reading only its XML. */
import { StowageError } from '../../errors.js'
import { rfc3339 } from '../../windows/filetime.js'
import { UTILITY_VM } from '../../windows/layer-paths.js'
import { matchesPlatform, type Platform } from '../../oci/platform.js'
import type { WimImage } from '../../wim/image.js'
import type { WimCompressionType } from '../../wim/compression.js'
import { openWim } from '../../wim/wim-file.js'
import type { InspectedImage } from '../../image/inspection.js'
import { knownPlatform } from './platform.js'

/** How much larger or smaller than the WIM a layer with gzip is, about. */
const GROWTH: Readonly<Record<WimCompressionType, number>> = { none: 0.45, xpress: 1, lzx: 1.1, lzms: 1.2 }
/** What the headers of a file or directory take in such a layer, in bytes, about. */
const ENTRY = 150

/**
 * All images in `file` that can be packed, or the one that `selector` selects. Throws IMAGE_NOT_FOUND and what
 * openWim() throws.
 */
export async function inspectWim(
  file: string,
  selector: string | undefined,
  selectors: readonly Partial<Platform>[],
): Promise<readonly InspectedImage[]> {
  await using wim = await openWim(file)
  const images = wim.images()
  const candidates = images.filter(image => image.name !== UTILITY_VM)
  const chosen = selector === undefined ? (candidates.length > 0 ? candidates : images) : [wim.image(selector)]
  const found = chosen.filter(
    image =>
      selectors.length === 0 ||
      selectors.some(each => {
        const platform = knownPlatform(image, selectors)
        return platform !== undefined && matchesPlatform(platform, each)
      }),
  )
  const all = images.reduce((sum, { size }) => sum + size, 0)
  const growth = GROWTH[wim.info.compression]
  if (found.length > 0)
    return found.map(image => {
      const share = all > 0 ? image.size / all : 0
      const layerSize = Math.round(wim.info.size * share * growth) + ENTRY * (image.files + image.directories)
      return describe(file, image, layerSize, knownPlatform(image, selectors))
    })
  throw new StowageError(
    'IMAGE_NOT_FOUND',
    `${file} has no image ${selectors.length > 0 ? 'for the requested platforms' : 'at all'}`,
  )
}

function describe(path: string, image: WimImage, layerSize: number, platform: Platform | undefined): InspectedImage {
  const { index, name, description, windows, directories, files, size } = image
  const created = image.created === undefined ? undefined : rfc3339(image.created)
  return {
    names: [],
    platforms: platform
      ? [
          {
            platform,
            env: [],
            entrypoint: [],
            cmd: [],
            exposedPorts: [],
            volumes: [],
            labels: {},
            history: [],
            layers: [],
            ...(created === undefined ? {} : { created }),
          },
        ]
      : [],
    others: [],
    absent: [],
    wim: {
      path,
      index,
      name,
      ...(description === undefined ? {} : { description }),
      ...(windows?.productName === undefined ? {} : { productName: windows.productName }),
      ...(windows?.editionId === undefined ? {} : { editionId: windows.editionId }),
      ...(windows?.installationType === undefined ? {} : { installationType: windows.installationType }),
      languages: windows?.languages ?? [],
      directories,
      files,
      size,
      layerSize,
    },
  }
}
