/** Reads a whole local file: its bytes, or its size and SHA-256. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { abortError, fileError, StowageError } from '../errors.js'
import { type Digest, digestFromHex } from '../oci/digest.js'
import type { WaitOptions } from '../progress.js'
import type { Bytes, FetchOptions } from './blob-store.js'

/** Size of one read, in bytes. */
const READ_SIZE = 1024 * 1024

export interface HashedFile {
  /** In bytes. */
  readonly size: number
  readonly digest: Digest
}

/**
 * Hashes all of `path`. Throws file errors such as FILE_NOT_FOUND, INVALID_ARGUMENT if it is not a file, and ABORTED.
 */
export async function hashFile(path: string, { signal, onProgress }: WaitOptions = {}): Promise<HashedFile> {
  try {
    const found = await stat(path)
    if (!found.isFile())
      throw new StowageError(
        'INVALID_ARGUMENT',
        `${path} is not a regular file, and a bundle can hold only regular files`,
      )
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

/** The bytes of the file `source`, from byte `start` on. Throws {@link fileError}s and ABORTED. */
export async function* readFileBytes(
  source: string,
  { signal, start = 0 }: FetchOptions & { readonly start?: number } = {},
): Bytes {
  try {
    const from = start > 0 ? { start } : {} // a pipe has no positions
    yield* createReadStream(source, { ...from, highWaterMark: READ_SIZE, ...(signal ? { signal } : {}) })
  } catch (error) {
    throw abortError(fileError(error, source), signal)
  }
}
