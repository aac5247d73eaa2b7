/** Describes the image of a directory before its layer is created. */
import { formatReference } from '../../oci/reference.js'
import { describeTree } from './source.js'
import type { InspectedImage } from '../../image/inspection.js'

/**
 * `platforms`: the one platform that the image would be created for, as text. Undefined for a directory that skopeo
 * wrote. Throws what opening the directory throws.
 */
export async function inspectTree(path: string, platforms: readonly string[]): Promise<InspectedImage | undefined> {
  const tree = await describeTree(path, { platforms })
  if (!tree) return undefined
  return {
    names: tree.name ? [formatReference(tree.name)] : [],
    platforms: [
      {
        platform: tree.platform,
        env: [],
        entrypoint: [],
        cmd: [],
        exposedPorts: [],
        volumes: [],
        labels: {},
        history: [],
        layers: [],
      },
    ],
    others: [],
    absent: [],
  }
}
