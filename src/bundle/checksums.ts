/** `SHA256SUMS`, for `sha256sum -c` of coreutils and busybox. One line per file: hex digest, two spaces, path, LF. */
import { StowageError } from '../errors.js'
import { type Digest, digestFromHex, hexOf } from '../oci/digest.js'
import { isBundlePath } from './manifest.js'

export const CHECKSUMS_FILE = 'SHA256SUMS'

/** Encodes the file with its lines sorted by the bytes of the path: the same files give the same bytes. */
export function encodeChecksums(files: ReadonlyMap<string, Digest>): Uint8Array {
  const lines = [...files].sort(([a], [b]) => comparePaths(a, b)).map(([path, digest]) => `${hexOf(digest)}  ${path}\n`)
  return new TextEncoder().encode(lines.join(''))
}

/** Throws INVALID_MANIFEST with the number of a line that is not `<64 hex digits>  <path>` or repeats a file. */
export function parseChecksums(bytes: Uint8Array, where: string = CHECKSUMS_FILE): ReadonlyMap<string, Digest> {
  const files = new Map<string, Digest>()
  const lines = Buffer.from(bytes).toString('utf8').split('\n')
  if (lines.pop() !== '') {
    throw new StowageError('INVALID_MANIFEST', `${where} does not end with a line feed: it is truncated`)
  }
  for (const [n, line] of lines.entries()) {
    const [, hex, path] = /^([0-9a-f]{64}) [ *](.+)$/.exec(line) ?? []
    if (hex === undefined || path === undefined || !isBundlePath(path)) {
      throw new StowageError(
        'INVALID_MANIFEST',
        `${where} line ${n + 1}: expected "<64 hex digits>  <path>" but found ${JSON.stringify(line.slice(0, 120))}`,
      )
    }
    if (files.has(path)) throw new StowageError('INVALID_MANIFEST', `${where} line ${n + 1}: ${path} is listed twice`)
    files.set(path, digestFromHex(hex))
  }
  return files
}

/** Orders paths by their UTF-8 bytes, independent of the locale. */
export function comparePaths(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
