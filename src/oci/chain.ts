/** Chain IDs: a layer with all that is below it. Source: OCI image-spec, config.md, "Layer ChainID". */
import { createHash } from 'node:crypto'

/** The chain ID of each of `diffIds`, base first: the last one is that of the whole. */
export function chainIds(diffIds: readonly string[]): readonly string[] {
  let below: string | undefined
  return diffIds.map(
    diffId =>
      (below =
        below === undefined ? diffId : `sha256:${createHash('sha256').update(`${below} ${diffId}`).digest('hex')}`),
  )
}
