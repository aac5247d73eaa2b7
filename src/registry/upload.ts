/** Writing to a registry: blobs, mounted or uploaded, and manifests. Source: OCI distribution-spec, "Push". */
import type { BlobPlace, Bytes } from '../blob/blob-store.js'
import { abortError, StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import { isDigest } from '../oci/digest.js'
import { uploadInChunks } from './chunked-upload.js'
import { drain } from '../http/answer.js'
import type { RegistryConnection } from './connection.js'
import { backoff, pause } from '../http/retry.js'
import type { HttpAnswer } from '../http/exchange.js'

export interface UploadOptions {
  readonly signal?: AbortSignal | undefined
  /** A repository of the same registry that has the blob: it is mounted from there, where the registry does that. */
  readonly mountFrom?: string | undefined
  /** Milliseconds before the second try. */
  readonly firstWait?: number | undefined
  /** Where the blob is on disk, to be sent from there where it goes in one request and that can be. */
  readonly place?: BlobPlace | undefined
  /** From this size on in pieces from the start, in bytes. */
  readonly large?: number | undefined
}

/** Whole uploads of one blob before it is given up. */
const TRIES = 4
/** From here on a blob goes in pieces from the start, so that a connection that breaks costs one of them, in bytes. */
const LARGE = 256 * 1024 * 1024

/**
 * Puts `blob` into `repository`, whose bytes `read` gives, from the beginning whenever it is called: in one request, which every
 * registry takes, or in pieces where it is large or one request was cut off or was too large. Throws what reading throws, UNAUTHORIZED, REGISTRY_REFUSED,
 * REGISTRY_UNREACHABLE, and DIGEST_MISMATCH if the registry says it got something else; then the registry has no such blob.
 * What goes straight from its file is hashed by the registry alone; where that does not say what it has, or says no, the file is
 * read once more, by `read`.
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
  let inPieces = blob.size >= (options.large ?? LARGE)
  let takesPieces = true
  for (let attempt = 0; ; attempt += 1) {
    const begun = await begin(connection, repository, blob, attempt === 0 ? mountFrom : undefined, signal)
    if (begun === 'mounted') return begun
    const { place, smallest } = begun
    let unreadable: { readonly error: unknown } | undefined
    let seen = false
    async function* bytes(): Bytes {
      seen = true
      try {
        yield* read()
      } catch (error) {
        unreadable = { error }
        throw error
      }
    }
    try {
      const answer =
        inPieces && takesPieces
          ? await uploadInChunks({ connection, repository, scopes, place, smallest, signal, firstWait }, blob, bytes())
          : await finish(connection, repository, blob, place, bytes, { signal, place: file })
      await drain(answer)
      const done = answer.status === 201 || answer.status === 204
      const hashed = done && expectSame(answer, blob, `${connection.endpoint.domain}/${repository}`)
      // What went from its file nobody here has looked at: unless the registry has, we do
      if (!seen && !hashed && (done || answer.status === 400))
        for await (const _piece of bytes()) signal?.throwIfAborted()
      if (done) return 'uploaded'
      if (!(worthAnother(answer.status) || (answer.status === 413 && !inPieces)) || attempt + 1 >= TRIES) {
        throw await connection.refusal(answer, `writing ${blob.digest} to ${connection.endpoint.domain}/${repository}`)
      }
    } catch (error) {
      if (unreadable) throw unreadable.error
      if (signal?.aborted) throw abortError(error, signal)
      if (error instanceof StowageError && error.code === 'UNSUPPORTED') takesPieces = false
      const refused = error instanceof StowageError && !['REGISTRY_UNREACHABLE', 'UNSUPPORTED'].includes(error.code)
      if (refused || attempt + 1 >= TRIES) throw error
    }
    inPieces = true
    await pause(backoff(attempt, firstWait), signal)
  }
}

/**
 * Gives `bytes` the name `reference`, a tag or its digest; `listed`: the registry says that it lists it with what it is about.
 * Throws DIGEST_MISMATCH if the registry says it got something else.
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
): Promise<'mounted' | { readonly place: URL; readonly smallest: number }> {
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
      place: connection.uploadLocation(answer, location),
      smallest: Number(answer.header('oci-chunk-min-length') ?? 0) || 0,
    }
  }
  throw await connection.refusal(answer, `writing ${blob.digest} to ${connection.endpoint.domain}/${repository}`)
}

async function finish(
  connection: RegistryConnection,
  repository: string,
  blob: Descriptor,
  place: URL,
  read: () => Bytes,
  { signal, place: file }: UploadOptions,
): Promise<HttpAnswer> {
  place.searchParams.set('digest', blob.digest)
  const headers = { 'content-type': 'application/octet-stream', 'content-length': String(blob.size) }
  return await connection.request({
    method: 'PUT',
    target: place.href,
    repository,
    scopes: scopesOf(repository),
    headers,
    body: read,
    signal,
    retries: 0,
    ...(file ? { file: { blob, place: file } } : {}),
  })
}

/** Whether the registry says what it has. Throws DIGEST_MISMATCH if that is something else. */
function expectSame(answer: HttpAnswer, { digest }: Pick<Descriptor, 'digest'>, where: string): boolean {
  const said = answer.header('docker-content-digest')
  if (!isDigest(said)) return false
  if (said !== digest)
    throw new StowageError('DIGEST_MISMATCH', `${where}: wrote ${digest} but the registry has ${said}`)
  return true
}

function worthAnother(status: number): boolean {
  return status >= 500 || status === 408 || status === 425 || status === 429 || status === 404 // an upload that was forgotten
}

function scopesOf(repository: string): string[] {
  return [`repository:${repository}:pull,push`]
}
