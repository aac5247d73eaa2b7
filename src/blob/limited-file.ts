/** Reads files that are small if they are what they should be. */
import { createReadStream } from 'node:fs'
import { buffer } from 'node:stream/consumers'
import { fileError } from '../errors.js'

/** The content of the file `path`; undefined if it has over `limit` bytes. Throws what {@link fileError} makes. */
export async function readLimited(path: string, limit: number): Promise<Buffer | undefined> {
  const bytes = await buffer(createReadStream(path, { end: limit })).catch((error: unknown) => {
    throw fileError(error, path)
  })
  return bytes.length > limit ? undefined : bytes
}
