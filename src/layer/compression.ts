/** How layers are compressed, and what that makes them. */
import { StowageError } from '../errors.js'
import { OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD } from '../oci/media-type.js'

export interface LayerCompression {
  readonly type: 'gzip' | 'zstd' | 'none'
  /** gzip: 1 (fast, the default) to 12 (small), libdeflate's levels; zstd: 1 to 19, default 2. */
  readonly level?: number
}

const LEVELS = { gzip: { most: 12, usual: 1 }, zstd: { most: 19, usual: 2 } } as const

/** The compression with its level; 0 where there is none. Throws INVALID_ARGUMENT for a level it does not have. */
export function checkedCompression({ type, level }: LayerCompression): Required<LayerCompression> {
  if (type === 'none') return { type, level: 0 }
  const { most, usual } = LEVELS[type]
  const chosen = level ?? usual
  if (Number.isInteger(chosen) && chosen >= 1 && chosen <= most) return { type, level: chosen }
  throw new StowageError('INVALID_ARGUMENT', `${type} has levels 1 to ${most}, not ${chosen}`)
}

/** `gzip`, `zstd`, `gzip:LEVEL`, `zstd:LEVEL` or `none`. Throws INVALID_ARGUMENT. */
export function parseLayerCompression(words: string): LayerCompression {
  const match = /^(?:(none)|(gzip|zstd)(?::(\d+))?)$/.exec(words)
  if (!match) {
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(words)} is no compression of a layer`, {
      hint: 'Write gzip, zstd, gzip:LEVEL, zstd:LEVEL or none.',
    })
  }
  const type = match[2] === 'zstd' ? 'zstd' : 'gzip'
  return match[1] ? { type: 'none' } : { type, ...(match[3] ? { level: Number(match[3]) } : {}) }
}

/** The media type of a layer compressed so. Source: OCI image-spec, layer.md. */
export function layerMediaType(type: LayerCompression['type']): string {
  return { gzip: OCI_LAYER_GZIP, zstd: OCI_LAYER_ZSTD, none: OCI_LAYER }[type]
}
