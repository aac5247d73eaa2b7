/** `SHA256SUMS`, for `sha256sum -c` of coreutils and busybox. One line per file: hex digest, two spaces, path, LF. */
import { StowageError } from '../errors.js'
import { type Digest, digestFromHex, hexOf } from '../oci/digest.js'
import { MEMBER_LIMIT } from '../tar/archive.js'
import { isBundlePath } from './manifest.js'

export const CHECKSUMS_FILE = 'SHA256SUMS'

const LINE_FEED = 0x0a
/** UTF-16 units whose order differs from that of code points. */
const SURROGATES = /[\ud800-\udfff]/

/** Encodes the file with its lines sorted by the bytes of the path: the same files give the same bytes. */
export function encodeChecksums(files: ReadonlyMap<string, Digest>): Uint8Array {
  const lines = [...files].sort(([a], [b]) => comparePaths(a, b)).map(([path, digest]) => `${hexOf(digest)}  ${path}\n`)
  return new TextEncoder().encode(lines.join(''))
}

/**
 * Throws INVALID_MANIFEST with the number of a line that is not `<64 hex digits>  <path>` or repeats a file, and for
 * more lines than a bundle may have files.
 */
export function parseChecksums(bytes: Uint8Array, where: string = CHECKSUMS_FILE): ReadonlyMap<string, Digest> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (text.length > 0 && text.at(-1) !== LINE_FEED) {
    throw new StowageError('INVALID_MANIFEST', `${where} does not end with a line feed: it is truncated`)
  }
  let count = 0
  for (let at = -1; count <= MEMBER_LIMIT && (at = text.indexOf(LINE_FEED, at + 1)) >= 0;) count += 1
  if (count > MEMBER_LIMIT) {
    throw new StowageError('INVALID_MANIFEST', `${where} has over ${MEMBER_LIMIT} lines, which is the limit`)
  }
  const files = new Map<string, Digest>()
  for (let n = 1, start = 0; start < text.length; n += 1) {
    const end = text.indexOf(LINE_FEED, start)
    const line = text.toString('utf8', start, end)
    const [, hex, path] = /^([0-9a-f]{64}) [ *](.+)$/.exec(line) ?? []
    if (hex === undefined || path === undefined || !isBundlePath(path)) {
      throw new StowageError(
        'INVALID_MANIFEST',
        `${where} line ${n}: expected "<64 hex digits>  <path>" but found ${JSON.stringify(line.slice(0, 120))}`,
      )
    }
    if (files.has(path)) throw new StowageError('INVALID_MANIFEST', `${where} line ${n}: ${path} is listed twice`)
    files.set(path, digestFromHex(hex))
    start = end + 1
  }
  return files
}

/** Orders paths by their UTF-8 bytes, independent of the locale. */
export function comparePaths(a: string, b: string): number {
  // The order of JavaScript's strings is that of UTF-8 except for what takes two of its units
  if (SURROGATES.test(a) || SURROGATES.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b))
  return a < b ? -1 : Number(a > b)
}
