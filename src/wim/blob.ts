/** Reads the contents of a WIM with the addon's own code instead of libwim. */
import { StowageError } from '../errors.js'
import { FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_REPARSE_POINT } from '../windows/file-attributes.js'
import type { NativeWimFile } from './addon.js'
import { binding, nativeError } from './binding.js'
import type { DirectoryEntry } from './entry.js'
import { checkedThreads } from './flags.js'

/** A piece of a blob. */
export interface BlobPiece {
  /** Position of the blob in the requested list. */
  readonly request: number
  readonly bytes: Uint8Array
  /** Whether this is the last piece of the blob, whose SHA-1 has been verified. */
  readonly last: boolean
}

export interface ReadOptions {
  readonly signal?: AbortSignal | undefined
  /** Threads for decompression, 1 to 256; by default one per processor. */
  readonly threads?: number | undefined
}

export interface ReadFileOptions extends ReadOptions {
  /** Name of a data stream; by default the unnamed one, the content of the file. */
  readonly stream?: string | undefined
}

/** Blobs of the archive, by index. */
export interface BlobList {
  readonly count: number
  /** Uncompressed, in bytes. */
  readonly sizes: Float64Array
  /** Rank of the blob's position in the archive: reading in ascending rank is fastest, by far in a solid WIM. */
  readonly ranks: Uint32Array
  /** SHA-1 in 40 hex digits. */
  sha1(blob: number): string
}

export function listBlobs(native: NativeWimFile): BlobList {
  const { hashes, sizes, ranks } = native.blobs()
  return { count: sizes.length, sizes, ranks, sha1: blob => hashes.toString('hex', blob * 20, blob * 20 + 20) }
}

/** See `WimFile.readBlobs()`. `name` is that of the WIM, for errors. */
export async function* readBlobs(
  native: NativeWimFile,
  name: string,
  blobs: readonly number[] | Uint32Array,
  { signal, threads }: ReadOptions,
): AsyncGenerator<BlobPiece> {
  let stream
  try {
    stream = new (binding().BlobStream)(native, Uint32Array.from(blobs), checkedThreads(threads))
    for (let batch = await stream.next(); batch; batch = await stream.next()) {
      let at = 0
      for (let n = 0; n < batch.heads.length; n += 3) {
        if (signal?.aborted) throw new StowageError('ABORTED', 'interrupted before the end')
        const size = batch.heads[n + 1] ?? 0
        yield {
          request: batch.heads[n] ?? 0,
          bytes: batch.bytes.subarray(at, at + size),
          last: batch.heads[n + 2] === 1,
        }
        at += size
      }
    }
  } catch (error) {
    throw nativeError(error, name)
  } finally {
    stream?.close()
  }
}

/**
 * The blob of one stream of the file at `path`; undefined for an empty stream. Throws FILE_NOT_FOUND if it does not
 * exist, INVALID_ARGUMENT if the file has no data, and BLOB_MISSING.
 */
export function blobOf(
  native: NativeWimFile,
  name: string,
  entry: DirectoryEntry | undefined,
  path: string,
  stream: string,
): number | undefined {
  const found = entry?.streams.find(candidate => candidate.name === stream)
  if (!entry || !found) throw new StowageError('FILE_NOT_FOUND', `${path} has no stream ${JSON.stringify(stream)}`)
  const linked = (entry.attributes & FILE_ATTRIBUTE_REPARSE_POINT) !== 0
  if (stream === '' && (linked || (entry.attributes & FILE_ATTRIBUTE_DIRECTORY) !== 0)) {
    throw new StowageError('INVALID_ARGUMENT', `${path} is a ${linked ? 'reparse point' : 'directory'} and has no data`)
  }
  const { sha1, size, missing } = found.resource
  if (size === 0 && !missing) return undefined // of a missing blob, the size is not known
  const blob = native.findBlob(Buffer.from(sha1, 'hex'))
  if (blob !== undefined) return blob
  throw new StowageError('BLOB_MISSING', `the content of ${path} is not in ${name}`, {
    hint: /^0+$/.test(sha1)
      ? 'It was added but has not been written yet.'
      : 'Name the WIM files that contain it with --ref.',
  })
}
