/** What making layers leaves out and finds doubtful, gathered for the report of a verb. */
import type { WimLayerOptions } from '../transport/wim/source.js'

export interface LayerReport {
  /** `layer` as sources are given it. */
  readonly layer: WimLayerOptions
  /** What `skipUnsupported` left out: paths in the layer with the reason. */
  readonly leftOut: readonly string[]
  /** What is doubtful about a layer, a sentence each. */
  readonly warnings: readonly string[]
}

export function reportOn(layer: Omit<WimLayerOptions, 'onSkipped'> | undefined): LayerReport {
  const [leftOut, warnings]: [string[], string[]] = [[], []]
  const onWarning = (warning: string): void => {
    warnings.push(warning)
    layer?.onWarning?.(warning)
  }
  return { layer: { ...layer, onSkipped: paths => void leftOut.push(...paths), onWarning }, leftOut, warnings }
}
