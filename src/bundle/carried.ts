/** Files that a bundle carries beside its images, below `files/`: where they may stand, and what they are. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Bytes, FetchOptions } from '../blob/blob-store.js'
import { abortError, fileError, StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import { type Digest, digestFromHex } from '../oci/digest.js'
import type { WaitOptions } from '../progress.js'
import { FILES } from './directory-medium.js'
import { isBundlePath } from './manifest.js'

const PIECE = 1024 * 1024
/** Names that Windows keeps for devices, whatever their ending. */
const DEVICE = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/i

/**
 * Where a file goes that is to be carried as `path`: a name that every file system of a medium can hold, and that is not among
 * `taken`. Throws INVALID_ARGUMENT.
 */
export function carriedPath(path: string, taken: readonly string[]): string {
  const place = `${FILES}/${path}`
  const bad = path
    .split('/')
    .find(part => /[<>:"|?*\x00-\x1f]/.test(part) || /[. ]$/.test(part) || DEVICE.test(part) || part.length > 200)
  if (!isBundlePath(place) || bad !== undefined || path.length > 1000) {
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(path)} is no path to carry a file under`, {
      hint: 'Write names with "/" between them, without what FAT or Windows cannot hold: < > : " | ? * \\, a dot or a space at the end.',
    })
  }
  const other = taken.find(known => clash(known, place))
  if (other !== undefined) {
    throw new StowageError(
      'INVALID_ARGUMENT',
      `two files would be carried as ${other} and ${place}, which are one to FAT or Windows`,
      {
        hint: 'Name one of them otherwise.',
      },
    )
  }
  return place
}

/** What `source` is as a blob. Throws FILE_NOT_FOUND, INVALID_ARGUMENT for what is no file, ABORTED. */
export async function describeFile(source: string, options: WaitOptions = {}): Promise<Descriptor> {
  return { mediaType: 'application/octet-stream', ...(await hashFile(source, options)) }
}

export interface HashedFile {
  /** In bytes. */
  readonly size: number
  readonly digest: Digest
}

/** Reads the whole of `path`. Throws FILE_NOT_FOUND and the like, INVALID_ARGUMENT for what is no file, ABORTED. */
export async function hashFile(path: string, { signal, onProgress }: WaitOptions = {}): Promise<HashedFile> {
  try {
    const found = await stat(path)
    if (!found.isFile()) throw new StowageError('INVALID_ARGUMENT', `${path} is no file, and only files are carried`)
    const hash = createHash('sha256')
    let size = 0
    onProgress?.({ type: 'stage', stage: 'hash', subject: path })
    for await (const piece of readFileBytes(path, { signal })) {
      hash.update(piece)
      size += piece.length
      onProgress?.({ type: 'bytes', subject: path, done: size, total: found.size })
    }
    onProgress?.({ type: 'done', subject: path })
    return { size, digest: digestFromHex(hash.digest('hex')) }
  } catch (error) {
    throw abortError(fileError(error, path), signal)
  }
}

export async function* readFileBytes(source: string, { signal }: FetchOptions = {}): Bytes {
  try {
    yield* createReadStream(source, { highWaterMark: PIECE, ...(signal ? { signal } : {}) })
  } catch (error) {
    throw abortError(fileError(error, source), signal)
  }
}

/** The same name, or one the directory of the other, whatever the letters' case. */
function clash(one: string, other: string): boolean {
  const [a, b] = [one.toLowerCase(), other.toLowerCase()]
  return a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`)
}
