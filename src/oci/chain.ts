/**
 * Chain IDs: each identifies a layer together with all layers below it. Source: OCI image-spec, config.md, "Layer
 * ChainID".
 */
import { createHash } from 'node:crypto'

/** The chain ID of each of `diffIds`, base layer first. The last one identifies all layers together. */
export function chainIds(diffIds: readonly string[]): readonly string[] {
  let below: string | undefined
  return diffIds.map(
    diffId =>
      (below =
        below === undefined ? diffId : `sha256:${createHash('sha256').update(`${below} ${diffId}`).digest('hex')}`),
  )
}
