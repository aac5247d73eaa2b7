/** Verifies bytes on their way from a source to a destination: counts and hashes them. */
import { createHash } from 'node:crypto'
import { StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Bytes } from './blob-store.js'

/**
 * Yields the bytes of `blob` unchanged. Throws SIZE_MISMATCH at the first byte past the declared size or at an early
 * end, and DIGEST_MISMATCH at the end. The last piece is held back until the digest is verified, so a reader never gets
 * all of a wrong blob.
 */
export async function* verified(blob: Descriptor, bytes: Bytes): Bytes {
  const hash = createHash('sha256')
  let read = 0
  let held: Uint8Array | undefined
  for await (const piece of bytes) {
    if (piece.length === 0) continue
    read += piece.length
    if (read > blob.size) throw tooLong(blob)
    hash.update(piece)
    if (held) yield held
    held = piece
  }
  if (read < blob.size) throw tooShort(blob, read)
  expectDigest(blob, hash.digest('hex'), read)
  if (held) yield held
}

export function tooLong({ digest, size }: Descriptor): StowageError {
  return new StowageError('SIZE_MISMATCH', `expected ${size} bytes for ${digest} but read more`)
}

export function tooShort({ digest, size }: Descriptor, read: number): StowageError {
  return new StowageError('SIZE_MISMATCH', `expected ${size} bytes for ${digest} but read ${read}`)
}

/** Throws DIGEST_MISMATCH unless `hex` is the SHA-256 that the `read` bytes of `blob` should have. */
export function expectDigest({ digest }: Descriptor, hex: string, read: number): void {
  const found = `sha256:${hex}`
  if (found !== digest)
    throw new StowageError('DIGEST_MISMATCH', `expected ${digest} but the ${read} bytes read are ${found}`)
}

/** Reads and verifies a small blob. Throws INVALID_MANIFEST if its declared size is over `limit`. */
export async function readVerified(blob: Descriptor, bytes: Bytes, limit: number): Promise<Uint8Array> {
  if (blob.size > limit) {
    throw new StowageError(
      'INVALID_MANIFEST',
      `${blob.digest} (${blob.mediaType}) says it has ${blob.size} bytes; the limit is ${limit}`,
    )
  }
  const pieces: Uint8Array[] = []
  for await (const piece of verified(blob, bytes)) pieces.push(piece)
  return Buffer.concat(pieces)
}
