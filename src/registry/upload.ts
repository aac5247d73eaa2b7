/** Writes blobs and manifests to a registry. Source: OCI distribution-spec, "Push". */
import type { BlobPlace, Bytes } from '../blob/blob-store.js'
import { abortError, StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import { isDigest } from '../oci/digest.js'
import { uploadInChunks } from './chunked-upload.js'
import { drain } from '../http/answer.js'
import { isFinal, failureReason } from '../http/failure.js'
import type { RegistryConnection } from './connection.js'
import { backoff, pause } from '../http/retry.js'
import type { HttpAnswer } from '../http/exchange.js'

export interface UploadOptions {
  readonly signal?: AbortSignal | undefined
  /** A repository of the same registry that has the blob, to mount it from if the registry supports that. */
  readonly mountFrom?: string | undefined
  /** Milliseconds before the second attempt. */
  readonly firstWait?: number | undefined
  /** Where the blob is on disk: if possible, one request sends it straight from there. */
  readonly place?: BlobPlace | undefined
  /** Size in bytes from which the first attempt already uses chunks. */
  readonly large?: number | undefined
  /** Called with the number of bytes that went out since the last time; bytes that are sent again do not count. */
  readonly onSent?: ((size: number) => void) | undefined
}

/** Attempts to upload one blob. */
const TRIES = 4
/**
 * Size in bytes from which the first attempt already uses chunks, so that a broken connection costs only one of them.
 */
const LARGE = 256 * 1024 * 1024

/**
 * Uploads `blob` to `repository`. Each call of `read` gives its bytes from the beginning. The blob goes in one request,
 * which every registry accepts, or in chunks if it is large or if one request was cut off or too large. Throws what
 * reading throws, UNAUTHORIZED, REGISTRY_REFUSED, REGISTRY_UNREACHABLE, and DIGEST_MISMATCH if the registry reports
 * another digest, in which case it does not have the blob.
 *
 * A blob sent straight from its file is hashed only by the registry. If the registry reports no digest, or rejects the
 * blob, the file is read once more with `read` to check it.
 */
export async function uploadBlob(
  connection: RegistryConnection,
  repository: string,
  blob: Descriptor,
  read: () => Bytes,
  options: UploadOptions = {},
): Promise<'mounted' | 'uploaded'> {
  const { signal, mountFrom, firstWait, place: file } = options
  const scopes = scopesOf(repository)
  let chunked = blob.size >= (options.large ?? LARGE)
  let acceptsChunks = true
  let most = 0
  /** Counts the bytes of one attempt. */
  const counter = (): ((size: number) => void) => {
    let at = 0
    return size => {
      at += size
      if (at <= most) return
      options.onSent?.(at - most)
      most = at
    }
  }
  for (let attempt = 0; ; attempt += 1) {
    let reason: string
    const begun = await begin(connection, repository, blob, attempt === 0 ? mountFrom : undefined, signal)
    if (begun === 'mounted') return begun
    const { location, minChunk } = begun
    let unreadable: { readonly error: unknown } | undefined
    let wasRead = false
    async function* bytes(): Bytes {
      wasRead = true
      const count = counter()
      try {
        for await (const piece of read()) {
          count(piece.length)
          yield piece
        }
      } catch (error) {
        unreadable = { error }
        throw error
      }
    }
    try {
      const answer =
        chunked && acceptsChunks
          ? await uploadInChunks(
              { connection, repository, scopes, location, minChunk, signal, firstWait },
              blob,
              bytes(),
            )
          : await finish(connection, repository, blob, location, bytes, { signal, place: file, onSent: counter() })
      await drain(answer)
      const done = answer.status === 201 || answer.status === 204
      const hashed = done && expectSame(answer, blob, `${connection.endpoint.domain}/${repository}`)
      // A blob sent from its file has not been hashed here: check it unless the registry has
      if (!wasRead && !hashed && (done || answer.status === 400))
        for await (const _piece of bytes()) signal?.throwIfAborted()
      if (done) return 'uploaded'
      if (!(isRetryable(answer.status) || (answer.status === 413 && !chunked)) || attempt + 1 >= TRIES) {
        throw await connection.refusal(answer, `writing ${blob.digest} to ${connection.endpoint.domain}/${repository}`)
      }
      reason = `${answer.url.host} answered with status ${answer.status}`
    } catch (error) {
      if (unreadable) throw unreadable.error
      if (signal?.aborted) throw abortError(error, signal)
      if (error instanceof StowageError && error.code === 'UNSUPPORTED') acceptsChunks = false
      const refused = error instanceof StowageError && !['REGISTRY_UNREACHABLE', 'UNSUPPORTED'].includes(error.code)
      if (refused || isFinal(error) || attempt + 1 >= TRIES) throw error
      reason = error instanceof StowageError ? error.message : failureReason(error)
    }
    chunked = true
    const wait = backoff(attempt, firstWait)
    connection.retrying({ retry: attempt + 1, retries: TRIES - 1, wait, reason })
    await pause(wait, signal)
  }
}

/**
 * Uploads a manifest under `reference`, a tag or its digest. `listed` says whether the registry adds it to the list of
 * its subject's referrers itself. Throws DIGEST_MISMATCH if the registry reports another digest.
 */
export async function putManifest(
  connection: RegistryConnection,
  repository: string,
  reference: string,
  { mediaType, digest }: Descriptor,
  bytes: Uint8Array,
  { signal }: UploadOptions = {},
): Promise<{ readonly listed: boolean }> {
  const answer = await connection.request({
    method: 'PUT',
    target: `/v2/${repository}/manifests/${reference}`,
    repository,
    scopes: scopesOf(repository),
    headers: { 'content-type': mediaType, 'content-length': String(bytes.length) },
    body: () => bytes,
    signal,
  })
  const where = `${connection.endpoint.domain}/${repository}`
  if (answer.status !== 201 && answer.status !== 200)
    throw await connection.refusal(answer, `writing the manifest ${digest} to ${where}`)
  await drain(answer)
  expectSame(answer, { digest }, where)
  return { listed: answer.header('oci-subject') !== undefined }
}

async function begin(
  connection: RegistryConnection,
  repository: string,
  blob: Descriptor,
  mountFrom: string | undefined,
  signal: AbortSignal | undefined,
): Promise<'mounted' | { readonly location: URL; readonly minChunk: number }> {
  const mount = mountFrom === undefined ? '' : `?mount=${blob.digest}&from=${encodeURIComponent(mountFrom)}`
  const scopes = [...scopesOf(repository), ...(mountFrom === undefined ? [] : [`repository:${mountFrom}:pull`])]
  const headers = { 'content-length': '0' }
  const answer = await connection.request({
    method: 'POST',
    target: `/v2/${repository}/blobs/uploads/${mount}`,
    repository,
    scopes,
    headers,
    signal,
  })
  const location = answer.header('location')
  await drain(answer)
  if (answer.status === 201 && mountFrom !== undefined) return 'mounted'
  if (answer.status === 202 && location !== undefined) {
    return {
      location: connection.uploadLocation(answer, location),
      minChunk: Number(answer.header('oci-chunk-min-length') ?? 0) || 0,
    }
  }
  throw await connection.refusal(answer, `writing ${blob.digest} to ${connection.endpoint.domain}/${repository}`)
}

async function finish(
  connection: RegistryConnection,
  repository: string,
  blob: Descriptor,
  location: URL,
  read: () => Bytes,
  { signal, place: file, onSent }: UploadOptions,
): Promise<HttpAnswer> {
  location.searchParams.set('digest', blob.digest)
  const headers = { 'content-type': 'application/octet-stream', 'content-length': String(blob.size) }
  return await connection.request({
    method: 'PUT',
    target: location.href,
    repository,
    scopes: scopesOf(repository),
    headers,
    body: read,
    signal,
    retries: 0,
    ...(file ? { file: { blob, place: file, onSent } } : {}),
  })
}

/** Whether the registry reports a digest. Throws DIGEST_MISMATCH if it is not the expected one. */
function expectSame(answer: HttpAnswer, { digest }: Pick<Descriptor, 'digest'>, where: string): boolean {
  const reported = answer.header('docker-content-digest')
  if (!isDigest(reported)) return false
  if (reported !== digest)
    throw new StowageError('DIGEST_MISMATCH', `${where}: wrote ${digest} but the registry has ${reported}`)
  return true
}

function isRetryable(status: number): boolean {
  return status >= 500 || [404, 408, 425, 429].includes(status) // 404: the registry has lost the upload
}

function scopesOf(repository: string): string[] {
  return [`repository:${repository}:pull,push`]
}
