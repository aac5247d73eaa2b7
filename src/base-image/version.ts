/** Versions of Windows base OS images, `10.0.14300.1010`: one to four numbers, compared as numbers. */
import { StowageError } from '../errors.js'

/** Four numbers; missing ones are 0. */
export type ImageVersion = readonly [number, number, number, number]

const MAX_NUMBER = 2 ** 31 - 1

/**
 * Parses `10.0.14300.1010`, `10.0` (10.0.0.0) or `.5` (0.5.0.0), as the ContainerImage provider did. Throws
 * INVALID_ARGUMENT if there are more than four parts, or if one is not a number.
 */
export function parseVersion(text: string): ImageVersion {
  const parts = (text.startsWith('.') ? `0${text}` : text).trim().split('.')
  const numbers = parts.map(part => (/^\d{1,10}$/.test(part) && Number(part) <= MAX_NUMBER ? Number(part) : Number.NaN))
  if (parts.length > 4 || numbers.some(Number.isNaN)) {
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(text)} is not a version of a base OS image`, {
      hint: 'Write one to four numbers with dots between them, for example 10.0.14300.1010.',
    })
  }
  const [a = 0, b = 0, c = 0, d = 0] = numbers
  return [a, b, c, d]
}

export function isVersion(text: string): boolean {
  try {
    parseVersion(text)
    return true
  } catch {
    return false // parseVersion() throws only for an invalid version
  }
}

/** Negative if `a` is older, 0 if they are equal, positive if `a` is newer. */
export function compareImageVersions(a: ImageVersion, b: ImageVersion): number {
  for (const [n, number] of a.entries()) {
    const difference = number - (b[n] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

export function formatVersion(version: ImageVersion): string {
  return version.join('.')
}
