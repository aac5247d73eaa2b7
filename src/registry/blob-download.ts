/** Downloads a blob from a registry or from the URL of a foreign layer. Source: OCI distribution-spec, "Pull". */
import { type Bytes, withoutFirst } from '../blob/blob-store.js'
import { StowageError } from '../errors.js'
import { abandon, contentRange, drain } from '../http/answer.js'
import { download, type DownloadOptions, TRIES } from '../http/download.js'
import { failureReason } from '../http/failure.js'
import type { HttpAnswer } from '../http/exchange.js'
import { isLoopback } from '../http/proxy.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { RegistryConnection } from './connection.js'

export interface BlobDownloadOptions extends DownloadOptions {
  /** Position of the first byte to download. */
  readonly offset?: number | undefined
}

/** Sends one request for a blob with these headers. `large` says whether many bytes are requested. */
export type AskForBlob = (headers: Readonly<Record<string, string>>, large: boolean) => Promise<HttpAnswer>

/** Size in bytes from which a download is worth a native thread and a separate connection. */
const LARGE = 4 * 1024 * 1024

/** The bytes of `blob` from an offset on; if a connection ends, another continues there. `where` is for messages. */
export async function* downloadBlob(
  connection: RegistryConnection,
  blob: Descriptor,
  where: string,
  { offset = 0, ...options }: BlobDownloadOptions,
  ask: AskForBlob,
): Bytes {
  yield* download(
    {
      offset,
      size: blob.size,
      open: async at => ({ offset: at, pieces: readPart(connection, blob, where, at, ask) }),
      broken: (at, failure) => broken(failure, where, blob, at),
    },
    {
      ...options,
      onRetry: retry => {
        connection.retrying({ ...retry, reason: `${where}: ${retry.reason}` })
      },
    },
  )
}

/**
 * Parses `url`, the URL of a foreign layer. Throws REGISTRY_PROTOCOL if it is not an http(s) URL, or if it points to
 * this machine while the registry at `host` does not.
 */
export function checkedAddress(url: string, blob: Descriptor, domain: string, host: string): URL {
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) {
    throw new StowageError(
      'REGISTRY_PROTOCOL',
      `${blob.digest} gives its location as ${JSON.stringify(url.slice(0, 200))}, which is not a web address`,
    )
  }
  if (isLoopback(hostOf(url)) && !isLoopback(hostOf(`https://${host}`))) {
    throw new StowageError(
      'REGISTRY_PROTOCOL',
      `${blob.digest} of ${domain} gives its location as ${new URL(url).host}, which is this machine; it is not fetched from there`,
    )
  }
  return new URL(url)
}

/**
 * The bytes that one request brings from `at` on, or the number of bytes that a native thread has written to the file.
 */
async function* readPart(
  connection: RegistryConnection,
  blob: Descriptor,
  where: string,
  at: number,
  ask: AskForBlob,
): AsyncIterable<Uint8Array | number> {
  const answer = await askFrom(blob, at, ask)
  if (answer.status === 404) {
    await drain(answer)
    throw new StowageError('BLOB_MISSING', `${where} does not have ${blob.digest}`)
  }
  if (answer.status !== 200 && answer.status !== 206)
    throw await connection.refusal(answer, `reading ${blob.digest} of ${where}`)
  if (answer.status === 206 && !isRange(answer, at, blob.size)) {
    abandon(answer)
    throw new StowageError(
      'REGISTRY_PROTOCOL',
      `${where}: asked for ${blob.digest} from byte ${at} of ${blob.size}, but got ${JSON.stringify(answer.header('content-range') ?? '')}`,
    )
  }
  const skip = answer.status === 206 ? 0 : at
  const length = answer.header('content-length')
  if (answer.status === 200 && length !== undefined && Number(length) !== blob.size) {
    abandon(answer)
    throw new StowageError(
      'SIZE_MISMATCH',
      `expected ${blob.size} bytes for ${blob.digest} but ${answer.url.host} has ${length}`,
    )
  }
  if (answer.body.writeToFile) {
    const available = length === undefined ? 0 : Number(length) - skip
    if (available > blob.size - at) {
      abandon(answer)
      throw new StowageError(
        'SIZE_MISMATCH',
        `expected ${blob.size - at} bytes more for ${blob.digest} but ${answer.url.host} has ${available}`,
      )
    }
    yield* answer.body.writeToFile(skip, available)
    return
  }
  yield* withoutFirst(skip, answer.body)
}

/**
 * Asks for the blob from byte `at` on, with a Range that has an end, because some registries refuse one without. A registry
 * that cannot give that range (416, 500, 501, or another range) is asked for the whole blob.
 */
async function askFrom(blob: Descriptor, at: number, ask: AskForBlob): Promise<HttpAnswer> {
  const large = blob.size - at > LARGE
  if (at > 0) {
    const answer = await ask({ range: `bytes=${at}-${blob.size - 1}` }, large)
    if (answer.status === 200 || FINAL.includes(answer.status) || isRange(answer, at, blob.size)) return answer
    if (answer.status === 206) abandon(answer)
    else await drain(answer)
  }
  return await ask({}, large)
}

/** Refusals that asking for the whole blob does not change. */
const FINAL = [401, 403, 404, 429]

function isRange(answer: HttpAnswer, at: number, size: number): boolean {
  const part = contentRange(answer)
  return answer.status === 206 && part?.start === at && (part.size ?? size) === size
}

function broken(failure: unknown, where: string, blob: Descriptor, at: number): StowageError {
  const cause = failure instanceof Error ? `: ${failureReason(failure)}` : ''
  return new StowageError(
    'REGISTRY_UNREACHABLE',
    `${where} sent ${at} of the ${blob.size} bytes of ${blob.digest}, and no more after ${TRIES} attempts${cause}`,
    {
      hint: 'Run the command again: what is already present is not downloaded again.',
      cause: failure,
    },
  )
}

function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, '')
}
