/** What is doubtful about a layer made from a WIM, and no error: the layer is made all the same. */
import type { WimImage } from '../../wim/image.js'
import type { WimFile } from '../../wim/wim-file.js'
import { UTILITY_VM } from '../../windows/layer-paths.js'
import type { LayerOrder } from './entries.js'

export interface WarningFacts {
  readonly image: WimImage
  readonly utilityVm: WimImage | undefined
  /** Files without which a host refuses a base layer. */
  readonly missing: readonly string[]
  readonly order: LayerOrder
  /** A Linux layer, and how many of its entries have no owner and mode of their own. */
  readonly unixData: boolean
  readonly withoutUnixData: number
}

/**
 * A sentence for each doubt. An image with an edition (EDITIONID or INSTALLATIONTYPE in the XML) that has no `UtilityVM` beside
 * it is one that Windows is installed from: the base OS images of containers come as a pair.
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
        'it has no UtilityVM image beside it, and is not made to run in a container',
    )
  }
  if (missing.length > 0) warnings.push(`a host will refuse this as a base layer: it has no ${missing.join(', ')}`)
  if (withoutUnixData > 0) {
    warnings.push(
      `${withoutUnixData} of the entries have no Unix data and belong to root: capture with --unix-data to keep owners and modes`,
    )
  }
  if (order === 'tree' && wim.info.solid) {
    warnings.push(
      'a solid WIM is slow to read in the order of its tree, because chunks are decompressed again and again: ' +
        'export it without --solid first',
    )
  }
  return warnings
}
