/** Parses option values in the formats of wimlib-imagex. */
import { StowageError } from '../../errors.js'
import type { WimCompressionType } from '../../wim/compression.js'

export interface CompressionChoice {
  readonly compression: WimCompressionType
  /** 20 is fast, 50 normal, 100 slow; undefined: libwim's default. */
  readonly level: number | undefined
}

const COMPRESSIONS: Readonly<Record<string, WimCompressionType>> = {
  none: 'none',
  xpress: 'xpress',
  fast: 'xpress',
  lzx: 'lzx',
  max: 'lzx',
  maximum: 'lzx',
  lzms: 'lzms',
  recovery: 'lzms',
}
const UNITS: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }

/** `TYPE[:LEVEL]`, where TYPE is none, xpress (fast), lzx (max, maximum) or lzms (recovery), in any case. */
export function parseCompression(text: string, option: string): CompressionChoice {
  const [, type = '', level] = /^([^:]*)(?::(\d+))?$/.exec(text) ?? []
  const key = type.toLowerCase()
  const compression = Object.hasOwn(COMPRESSIONS, key) ? COMPRESSIONS[key] : undefined
  if (!compression || (level !== undefined && (Number(level) < 1 || Number(level) > 0xffffff))) {
    throw new StowageError('INVALID_ARGUMENT', `--${option}: ${JSON.stringify(text)} is not a compression of a WIM`, {
      hint: 'Write none, xpress, lzx or lzms, with an optional level: lzx:100 (20 fast, 50 normal, 100 slow).',
    })
  }
  return { compression, level: level === undefined ? undefined : Number(level) }
}

/** A number of bytes, or one with K, M or G (KiB, MiB, GiB): powers of 1024. */
export function parseSize(text: string, option: string): number {
  const match = /^(\d+)(?:([KMG])(?:iB)?)?$/i.exec(text)
  const size = match ? Number(match[1]) * (UNITS[match[2]?.toUpperCase() ?? ''] ?? 1) : Number.NaN
  if (size > 0 && size <= 0xffffffff) return size
  throw new StowageError(
    'INVALID_ARGUMENT',
    `--${option}: expected a size such as 32768, 32K or 1M but found ${JSON.stringify(text)}`,
  )
}

/** Converts a whole or fractional number of MiB to bytes. */
export function parsePartSize(text: string): number {
  const size = /^(?:\d+\.?\d*|\.\d+)$/.test(text) ? Math.floor(Number(text) * 2 ** 20) : 0
  if (size > 0 && Number.isSafeInteger(size)) return size
  throw new StowageError(
    'INVALID_ARGUMENT',
    `expected the size of a part in MiB, such as 4000 or 0.5, but found ${JSON.stringify(text)}`,
  )
}

/** A number of threads; undefined for 0, which means one per processor, as in wimlib-imagex. */
export function parseThreads(text: string | undefined): number | undefined {
  if (text === undefined || text === '0') return undefined
  const threads = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (threads > 0) return Math.min(threads, 256)
  throw new StowageError('INVALID_ARGUMENT', `--threads: expected a number but found ${JSON.stringify(text)}`)
}

/** `NAME=VALUE`. */
export function parseProperty(text: string): { readonly name: string; readonly value: string } {
  const equals = text.indexOf('=')
  if (equals > 0) return { name: text.slice(0, equals), value: text.slice(equals + 1) }
  throw new StowageError(
    'INVALID_ARGUMENT',
    `--image-property: expected NAME=VALUE but found ${JSON.stringify(text)}`,
    {
      hint: 'A name is a path of elements: --image-property WINDOWS/VERSION/BUILD=20348.',
    },
  )
}

/** `[WIMFILE:]IMAGE`, split at the last colon. */
export function parseTemplate(text: string): { readonly path: string | undefined; readonly image: string } {
  const colon = text.lastIndexOf(':')
  const [path, image] = [colon < 0 ? undefined : text.slice(0, colon), text.slice(colon + 1)]
  if (image !== '' && path !== '') return { path, image }
  throw new StowageError('INVALID_ARGUMENT', `--update-of: expected [WIMFILE:]IMAGE but found ${JSON.stringify(text)}`)
}

/** `text` if it is one of `words`. Throws INVALID_ARGUMENT if not. */
export function parseWord<Word extends string>(
  text: string | undefined,
  words: readonly Word[],
  option: string,
): Word | undefined {
  const word = words.find(known => known === text)
  if (text === undefined || word) return word
  throw new StowageError('INVALID_ARGUMENT', `--${option}: ${JSON.stringify(text)} is not a valid value`, {
    hint: `Use one of ${words.join(', ')}.`,
  })
}
