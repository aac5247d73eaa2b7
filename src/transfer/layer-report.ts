/** Collects what layer creation leaves out and warns about, for the result of a command. */
import type { WimLayerOptions } from '../transport/wim/source.js'

export interface LayerReport {
  /** The layer options to pass to sources. */
  readonly layer: WimLayerOptions
  /** What `skipUnsupported` left out: paths in the layer, each with the reason. */
  readonly leftOut: readonly string[]
  /** Warnings about the layers, one sentence each. */
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
