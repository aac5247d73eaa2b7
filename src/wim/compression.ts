/** The compressions of WIM files, as names and as libwim's numbers. */
import { StowageError } from '../errors.js'

export type WimCompressionType = 'none' | 'xpress' | 'lzx' | 'lzms'

const COMPRESSIONS: readonly WimCompressionType[] = ['none', 'xpress', 'lzx', 'lzms']

/** libwim's number of a compression. Throws INVALID_ARGUMENT. */
export function compressionNumber(compression: WimCompressionType): number {
  const number = COMPRESSIONS.indexOf(compression)
  if (number >= 0) return number
  throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(compression)} is not a WIM compression`, {
    hint: `Use one of ${COMPRESSIONS.join(', ')}.`,
  })
}

export function compressionName(number: number): WimCompressionType {
  return COMPRESSIONS[number] ?? 'none'
}

export function checkedLevel(level: number = 0): number {
  if (Number.isInteger(level) && level >= 0 && level <= 0xffffff) return level
  throw new StowageError('INVALID_ARGUMENT', `expected a compression level, 0 or more, but found ${level}`)
}
