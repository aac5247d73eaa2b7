/**
 * Uploads a blob in chunks, repeating only a chunk that was lost. Source: OCI distribution-spec, "Pushing a blob in
 * chunks".
 */
import type { Bytes } from '../blob/blob-store.js'
import { abortError, StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import { drain } from '../http/answer.js'
import type { RegistryConnection } from './connection.js'
import { backoff, pause } from '../http/retry.js'
import type { Scope } from './token.js'
import type { HttpAnswer } from '../http/exchange.js'

/** Bytes per chunk, unless the registry requires more. Each chunk is kept in memory until the registry has it. */
const CHUNK = 16 * 1024 * 1024
const MAX_CHUNK = 64 * 1024 * 1024
/** Attempts for one chunk. */
const TRIES = 6

export interface ChunkedUpload {
  readonly connection: RegistryConnection
  readonly repository: string
  readonly scopes: readonly Scope[]
  /** The URL of the upload, from the response to the first POST. */
  readonly location: URL
  /** The minimum size of a chunk in bytes (`OCI-Chunk-Min-Length`). */
  readonly minChunk: number
  readonly signal: AbortSignal | undefined
  readonly firstWait: number | undefined
}

/**
 * Uploads `bytes`, the whole content of `blob`. Returns the registry's last response, which may be a refusal. Throws
 * what `bytes` throws, REGISTRY_UNREACHABLE if a chunk does not arrive, UNSUPPORTED if the registry does not accept
 * chunks.
 */
export async function uploadInChunks(upload: ChunkedUpload, blob: Descriptor, bytes: Bytes): Promise<HttpAnswer> {
  let { location } = upload
  let at = 0
  for await (const chunk of chunksOf(bytes, Math.min(Math.max(CHUNK, upload.minChunk), MAX_CHUNK))) {
    const sent = await send({ ...upload, location }, chunk, at)
    if ('refusal' in sent) {
      if (at > 0) return sent.refusal
      await drain(sent.refusal)
      throw new StowageError(
        'UNSUPPORTED',
        `${upload.connection.endpoint.domain} does not accept chunked uploads: status ${sent.refusal.status}`,
      )
    }
    location = sent.location
    at += chunk.length
  }
  const { connection, repository, scopes, signal } = upload
  const end = new URL(location)
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

type Sent = { readonly location: URL } | { readonly refusal: HttpAnswer }

async function send(upload: ChunkedUpload, chunk: Uint8Array, start: number): Promise<Sent> {
  const { connection, signal, firstWait } = upload
  let { location } = upload
  let done = 0
  for (let attempt = 0; ; attempt += 1) {
    let reason: string
    try {
      const rest = chunk.subarray(done)
      const headers = {
        'content-type': 'application/octet-stream',
        'content-length': String(rest.length),
        'content-range': `${start + done}-${start + chunk.length - 1}`,
      }
      const answer = await request(upload, 'PATCH', location, headers, rest)
      if (answer.status === 202 || answer.status === 204) {
        const next = locationOf(connection, answer, location)
        await drain(answer)
        return { location: next }
      }
      if (answer.status < 500 && answer.status !== 416 && answer.status !== 408 && answer.status !== 429)
        return { refusal: answer }
      if (attempt + 1 >= TRIES) return { refusal: answer }
      await drain(answer)
      reason = `${answer.url.host} answered with status ${answer.status}`
    } catch (error) {
      if (signal?.aborted) throw abortError(error, signal)
      if (attempt + 1 >= TRIES || !(error instanceof StowageError) || error.code !== 'REGISTRY_UNREACHABLE') throw error
      reason = error.message
    }
    const wait = backoff(attempt, firstWait)
    connection.retrying({ retry: attempt + 1, retries: TRIES - 1, wait, reason })
    await pause(wait, signal)
    const known = await progressOf(upload, location)
    if (!known) continue
    location = known.location
    if (known.next < start || known.next > start + chunk.length) {
      throw new StowageError(
        'REGISTRY_UNREACHABLE',
        `${connection.endpoint.domain} lost part of the upload: it has ${known.next} of the ${start} bytes that it had confirmed`,
      )
    }
    done = known.next - start
    if (done === chunk.length) return { location }
  }
}

/** How many bytes the registry has, and the URL for the rest; undefined if it does not say. */
async function progressOf(
  upload: ChunkedUpload,
  location: URL,
): Promise<{ readonly location: URL; readonly next: number } | undefined> {
  const answer = await request(upload, 'GET', location, {}, undefined)
  const range = /^(?:bytes=)?0-(\d+)$/.exec(answer.header('range') ?? '')?.[1]
  const next = locationOf(upload.connection, answer, location)
  await drain(answer)
  if (answer.status !== 204 && answer.status !== 202) return undefined
  // No bytes are reported as 0-0, 0--1 or without a range. A single byte is never sent alone, so 0-0 is unambiguous
  const last = Number(range ?? '0')
  return { location: next, next: last === 0 ? 0 : last + 1 }
}

async function request(
  { connection, repository, scopes, signal }: ChunkedUpload,
  method: 'PATCH' | 'GET',
  location: URL,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array | undefined,
): Promise<HttpAnswer> {
  return await connection.request({
    method,
    target: location.href,
    repository,
    scopes,
    headers,
    signal,
    retries: 0,
    ...(body ? { body: () => body } : {}),
  })
}

function locationOf(connection: RegistryConnection, answer: HttpAnswer, before: URL): URL {
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
