/** The platform of an image in a WIM: what its XML states, completed by `--platform`. */
import { StowageError } from '../../errors.js'
import { formatPlatform, type Platform } from '../../oci/platform.js'
import { wimPlatform, type WimImage } from '../../wim/image.js'
import type { WimFile } from '../../wim/wim-file.js'

/**
 * The platform that the XML states. An architecture or a version that it does not state is that of the one of
 * `selectors` that is for Windows and fits; undefined if the architecture remains unknown.
 */
export function knownPlatform(image: WimImage, selectors: readonly Partial<Platform>[]): Platform | undefined {
  const stated = wimPlatform(image)
  const fitting = selectors.filter(
    ({ os, architecture }) =>
      os === 'windows' && architecture !== undefined && architecture === (stated?.architecture ?? architecture),
  )
  const { architecture = stated?.architecture, ...given } = (fitting.length === 1 && fitting[0]) || {}
  if (architecture === undefined) return undefined
  const version = image.windows?.version ?? given['os.version']
  return { os: 'windows', architecture, ...(version === undefined ? {} : { 'os.version': version }) }
}

/** {@link knownPlatform}. Throws UNSUPPORTED if it is not known. */
export function platformOf(wim: WimFile, image: WimImage, selectors: readonly Partial<Platform>[]): Platform {
  const platform = knownPlatform(image, selectors)
  if (platform) return platform
  const version = image.windows?.version
  const example = formatPlatform({
    os: 'windows',
    architecture: 'amd64',
    ...(version ? { 'os.version': version } : {}),
  })
  throw new StowageError(
    'UNSUPPORTED',
    `${wim.path}: image ${image.index} does not state its architecture (its XML has no WINDOWS/ARCH)`,
    {
      hint: `State it with --platform, such as --platform ${example}, or set it in the file: stowage wim info ${wim.path} ${image.index} --image-property WINDOWS/ARCH=9 (9 is amd64, 12 is arm64).`,
    },
  )
}
