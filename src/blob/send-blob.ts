/** Sends a blob from a file as a request body, on a native thread. The receiver must check that it is complete. */
import { abortError, StowageError } from '../errors.js'
import { nativePart, readFailure } from '../native.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { BlobPlace } from './blob-store.js'
import type { NativeRequest } from './native-download.js'
import { tooShort } from './verified.js'

/** `native/blob_send_job.h`. */
type NativeBlobSending = new (
  blob: { readonly path: string; readonly offset: number; readonly size: number },
  request: NativeRequest,
  callback: (event: { readonly sent: number; readonly result?: NativeSent; readonly error?: Error }) => void,
) => { cancel(): void; close(): void }

interface NativeSent {
  /** Empty if the file ended before the blob did. */
  readonly answer: Buffer
  readonly size: number
}

export interface SendOptions {
  readonly signal?: AbortSignal | undefined
  readonly onSent?: ((size: number) => void) | undefined
}

/** Whether native uploads are supported. */
export function sendsBlobs(): boolean {
  return nativePart<NativeBlobSending>('BlobSendJob') !== undefined
}

/**
 * Sends `request` with the blob at `place` as its body. Returns the head of the response and the beginning of its body.
 * Throws SIZE_MISMATCH and DIGEST_MISMATCH, in which case the receiver never gets the end of the blob; file errors;
 * ABORTED; and network failures as system errors. `onSent` is called with the bytes sent since the last time.
 */
export async function sendBlob(
  place: BlobPlace,
  blob: Descriptor,
  request: NativeRequest,
  { signal, onSent }: SendOptions = {},
): Promise<Buffer> {
  const Native = nativePart<NativeBlobSending>('BlobSendJob')
  if (!Native) throw new StowageError('ADDON_MISSING', 'native uploads are not supported on this system')
  const { promise, resolve, reject } = withResolvers<NativeSent>()
  const source = { path: place.file, offset: place.offset, size: blob.size }
  const job = new Native(source, request, ({ sent, result, error }) => {
    if (sent > 0) onSent?.(sent)
    if (result) resolve(result)
    if (error) reject(error)
  })
  const cancel = (): void => job.cancel()
  signal?.addEventListener('abort', cancel, { once: true })
  if (signal?.aborted) cancel()
  try {
    const { answer, size } = await promise
    if (answer.length > 0) return answer
    throw tooShort(blob, size)
  } catch (error) {
    const own = error instanceof Error && 'written' in error ? readFailure(error, place.file) : error
    throw abortError(own, signal)
  } finally {
    signal?.removeEventListener('abort', cancel)
    job.close()
  }
}

function withResolvers<T>(): {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
} {
  let settle: { readonly resolve: (value: T) => void; readonly reject: (error: unknown) => void } | undefined
  const promise = new Promise<T>((resolve, reject) => (settle = { resolve, reject }))
  return { promise, resolve: value => settle?.resolve(value), reject: error => settle?.reject(error) }
}
