/** Warnings about a layer made from a WIM, which is made despite them. */
import type { WimImage } from '../../wim/image.js'
import type { WimFile } from '../../wim/wim-file.js'
import { UTILITY_VM } from '../../windows/layer-paths.js'
import type { LayerOrder } from './entries.js'

export interface WarningFacts {
  readonly image: WimImage
  readonly utilityVm: WimImage | undefined
  /** Missing files without which a host rejects a base layer. */
  readonly missing: readonly string[]
  readonly order: LayerOrder
  /** Whether it is a Linux layer. */
  readonly unixData: boolean
  /** Number of entries without Unix owner and mode. */
  readonly withoutUnixData: number
}

/**
 * A sentence for each doubt. An image with an edition (EDITIONID or INSTALLATIONTYPE in the XML) but without a
 * `UtilityVM` image beside it is for installing Windows: base OS images for containers come with one.
 */
export function layerWarnings(
  wim: WimFile,
  { image, utilityVm, missing, order, unixData, withoutUnixData }: WarningFacts,
): string[] {
  const warnings: string[] = []
  const { editionId, installationType } = image.windows ?? {}
  const edition = [editionId, installationType].filter(word => word !== undefined).join(', ')
  if (edition !== '' && !unixData && !utilityVm && image.name !== UTILITY_VM) {
    warnings.push(
      `image ${image.index} (${edition}) is for installing Windows, not a container base image: ` +
        'the WIM has no UtilityVM image, and Microsoft does not support such an image in a container',
    )
  }
  if (missing.length > 0) warnings.push(`a host will reject this as a base layer: it has no ${missing.join(', ')}`)
  if (withoutUnixData > 0) {
    warnings.push(
      `${withoutUnixData} of the entries have no Unix data and belong to root: capture with --unix-data to keep owners and modes`,
    )
  }
  if (order === 'tree' && wim.info.solid) {
    warnings.push(
      'a solid WIM is slow to read in the order of its tree, because chunks are decompressed repeatedly: ' +
        'export it without --solid first',
    )
  }
  return warnings
}
