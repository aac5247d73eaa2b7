/** The grammar that locations on disk share: a path, and after a colon an image of it. */
import { StowageError } from '../errors.js'
import type { Location, Transport } from './transport.js'

/** `PATH[:REF]` after a scheme. `form` is shown where the path is missing. */
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

/** `part`, or INVALID_ARGUMENT if it is empty. */
export function requiredPart(part: string, text: string, form: string): string {
  if (part !== '') return part
  throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(text)} is not a location`, { hint: `Write ${form}.` })
}

/** As skopeo has it: the path ends at the first colon, so that a reference may have any; a drive letter is part of the path. */
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
