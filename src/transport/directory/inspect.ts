/** What is known of the image of a directory before its layer is made. */
import { formatReference } from '../../oci/reference.js'
import { describeTree } from './source.js'
import type { InspectedImage } from '../../image/inspection.js'

/** `platforms` as text: the one that the image would be made for. Undefined for a directory that skopeo wrote. Throws as opening it does. */
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
