/** The grammar shared by locations on disk: a path, optionally followed by a colon and a reference. */
import { StowageError } from '../errors.js'
import type { Location, Transport } from './transport.js'

/** Parses and formats `PATH[:REF]` after a scheme. `form` is shown in the hint if the path is missing. */
export function pathAndRef(
  scheme: string,
  form: string,
  whenEmpty?: () => string,
): Pick<Transport, 'parse' | 'format' | 'onDisk'> {
  return {
    onDisk: true,
    parse(rest, text) {
      const { path, ref } = splitRef(rest)
      return { scheme, path: path === '' && whenEmpty ? whenEmpty() : requiredPart(path, text, form), ref }
    },
    format: ({ path, ref }) => `${scheme}:${path}${ref === undefined ? '' : `:${ref}`}`,
  }
}

/** Returns `part`. Throws INVALID_ARGUMENT if it is empty. */
export function requiredPart(part: string, text: string, form: string): string {
  if (part !== '') return part
  throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(text)} is not a location`, { hint: `Write ${form}.` })
}

/**
 * As in skopeo, the path ends at the first colon, so a reference may contain colons; a drive letter belongs to the
 * path.
 */
function splitRef(text: string): Pick<Location, 'path' | 'ref'> {
  const start = /^[A-Za-z]:[\\/]/.test(text) ? 2 : 0
  const colon = text.indexOf(':', start)
  if (colon < 0) return { path: text, ref: undefined }
  const ref = text.slice(colon + 1)
  if (ref === '') {
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(text)} ends in a colon with no reference after it`)
  }
  return { path: text.slice(0, colon), ref }
}

/** Whether `text` begins like a path, which no name of an image does. */
export function isPath(text: string): boolean {
  return /^(?:\.{0,2}[\\/]|[A-Za-z]:[\\/])/.test(text)
}
