/** An upload in pieces, of which a lost one is sent again alone. Source: OCI distribution-spec, "Pushing a blob in chunks". */
import type { Bytes } from '../blob/blob-store.js'
import { abortError, StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import { drain } from '../http/answer.js'
import type { RegistryConnection } from './connection.js'
import { backoff, pause } from '../http/retry.js'
import type { Scope } from './token.js'
import type { HttpAnswer } from '../http/exchange.js'

/** Bytes of a piece, where the registry does not want more: each is held until the registry has it. */
const CHUNK = 16 * 1024 * 1024
const MOST_CHUNK = 64 * 1024 * 1024
/** Tries for one piece. */
const TRIES = 6

export interface ChunkedUpload {
  readonly connection: RegistryConnection
  readonly repository: string
  readonly scopes: readonly Scope[]
  /** Where the registry wants it, as its answer to the first POST said. */
  readonly place: URL
  /** The smallest piece that it takes, in bytes (`OCI-Chunk-Min-Length`). */
  readonly smallest: number
  readonly signal: AbortSignal | undefined
  readonly firstWait: number | undefined
}

/**
 * Sends `bytes`, all of `blob`, and ends the upload; gives the registry's last answer, also one that refuses. Throws what `bytes`
 * throws, REGISTRY_UNREACHABLE if a piece does not arrive, UNSUPPORTED if the registry takes no pieces at all.
 */
export async function uploadInChunks(upload: ChunkedUpload, blob: Descriptor, bytes: Bytes): Promise<HttpAnswer> {
  let { place } = upload
  let at = 0
  for await (const chunk of chunksOf(bytes, Math.min(Math.max(CHUNK, upload.smallest), MOST_CHUNK))) {
    const sent = await send({ ...upload, place }, chunk, at)
    if ('refusal' in sent) {
      if (at > 0) return sent.refusal
      await drain(sent.refusal)
      throw new StowageError(
        'UNSUPPORTED',
        `${upload.connection.endpoint.domain} does not accept chunked uploads: status ${sent.refusal.status}`,
      )
    }
    place = sent.place
    at += chunk.length
  }
  const { connection, repository, scopes, signal } = upload
  const end = new URL(place)
  end.searchParams.set('digest', blob.digest)
  return await connection.request({
    method: 'PUT',
    target: end.href,
    repository,
    scopes,
    headers: { 'content-length': '0' },
    signal,
  })
}

type Sent = { readonly place: URL } | { readonly refusal: HttpAnswer }

async function send(upload: ChunkedUpload, chunk: Uint8Array, start: number): Promise<Sent> {
  const { connection, signal, firstWait } = upload
  let { place } = upload
  let done = 0
  for (let attempt = 0; ; attempt += 1) {
    try {
      const rest = chunk.subarray(done)
      const headers = {
        'content-type': 'application/octet-stream',
        'content-length': String(rest.length),
        'content-range': `${start + done}-${start + chunk.length - 1}`,
      }
      const answer = await request(upload, 'PATCH', place, headers, rest)
      if (answer.status === 202 || answer.status === 204) {
        const next = placeOf(connection, answer, place)
        await drain(answer)
        return { place: next }
      }
      if (answer.status < 500 && answer.status !== 416 && answer.status !== 408 && answer.status !== 429)
        return { refusal: answer }
      if (attempt + 1 >= TRIES) return { refusal: answer }
      await drain(answer)
    } catch (error) {
      if (signal?.aborted) throw abortError(error, signal)
      if (attempt + 1 >= TRIES || !(error instanceof StowageError) || error.code !== 'REGISTRY_UNREACHABLE') throw error
    }
    await pause(backoff(attempt, firstWait), signal)
    const known = await progressOf(upload, place)
    if (!known) continue
    place = known.place
    if (known.next < start || known.next > start + chunk.length) {
      throw new StowageError(
        'REGISTRY_UNREACHABLE',
        `${connection.endpoint.domain} lost what was uploaded: it has ${known.next} bytes of the ${start} that were sent`,
      )
    }
    done = known.next - start
    if (done === chunk.length) return { place }
  }
}

/** How much the registry has, and where it wants the rest. */
async function progressOf(
  upload: ChunkedUpload,
  place: URL,
): Promise<{ readonly place: URL; readonly next: number } | undefined> {
  const answer = await request(upload, 'GET', place, {}, undefined)
  const range = /^(?:bytes=)?0-(\d+)$/.exec(answer.header('range') ?? '')?.[1]
  const next = placeOf(upload.connection, answer, place)
  await drain(answer)
  if (answer.status !== 204 && answer.status !== 202) return undefined
  // Nothing is told as 0-0 by some, as -1 or not at all by others; one byte is never sent alone
  const last = Number(range ?? '0')
  return { place: next, next: last === 0 ? 0 : last + 1 }
}

async function request(
  { connection, repository, scopes, signal }: ChunkedUpload,
  method: 'PATCH' | 'GET',
  place: URL,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array | undefined,
): Promise<HttpAnswer> {
  return await connection.request({
    method,
    target: place.href,
    repository,
    scopes,
    headers,
    signal,
    retries: 0,
    ...(body ? { body: () => body } : {}),
  })
}

function placeOf(connection: RegistryConnection, answer: HttpAnswer, before: URL): URL {
  const location = answer.header('location')
  return location === undefined ? before : connection.uploadLocation(answer, location)
}

async function* chunksOf(bytes: Bytes, size: number): AsyncIterable<Uint8Array> {
  let chunk = Buffer.allocUnsafe(size)
  let filled = 0
  for await (const piece of bytes) {
    for (let at = 0; at < piece.length;) {
      const length = Math.min(piece.length - at, size - filled)
      chunk.set(piece.subarray(at, at + length), filled)
      filled += length
      at += length
      if (filled < size) continue
      yield chunk
      chunk = Buffer.allocUnsafe(size)
      filled = 0
    }
  }
  if (filled > 0) yield chunk.subarray(0, filled)
}
