/** The compression of new layers. */
import { StowageError } from '../errors.js'
import { COMPRESSION_NAMES, COMPRESSIONS, type LayerCompressionType } from '../oci/compression.js'

export interface LayerCompression {
  readonly type: LayerCompressionType
  /** gzip: 1 (fast, the default) to 12 (small), libdeflate's levels; zstd: 1 to 19, default 2. */
  readonly level?: number
}

/** Adds the default level; 0 for no compression. Throws INVALID_ARGUMENT for an invalid level. */
export function checkedCompression({ type, level }: LayerCompression): Required<LayerCompression> {
  if (type === 'none') return { type, level: 0 }
  const { most, usual } = COMPRESSIONS[type].levels
  const chosen = level ?? usual
  if (Number.isInteger(chosen) && chosen >= 1 && chosen <= most) return { type, level: chosen }
  throw new StowageError('INVALID_ARGUMENT', `${type} has levels 1 to ${most}, not ${chosen}`)
}

/** The forms that {@link parseLayerCompression} accepts, for messages. */
export const COMPRESSION_FORMS = `${COMPRESSION_NAMES.map(name => `${name}[:LEVEL]`).join(', ')} or none`
/** The same as an ECMAScript regular expression without named groups, for JSON Schema. */
export const COMPRESSION_PATTERN = `^(none|(${COMPRESSION_NAMES.join('|')})(:[0-9]+)?)$`
const PATTERN = new RegExp(COMPRESSION_PATTERN)

/** Parses `gzip`, `zstd`, `gzip:LEVEL`, `zstd:LEVEL` or `none`. Throws INVALID_ARGUMENT. */
export function parseLayerCompression(text: string): LayerCompression {
  const match = PATTERN.exec(text)
  if (!match) {
    const forms = [...COMPRESSION_NAMES, ...COMPRESSION_NAMES.map(name => `${name}:LEVEL`)]
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(text)} is not a layer compression`, {
      hint: `Write ${forms.join(', ')} or none.`,
    })
  }
  const type = COMPRESSION_NAMES.find(name => name === match[2])
  return type ? { type, ...(match[3] ? { level: Number(match[3].slice(1)) } : {}) } : { type: 'none' }
}
