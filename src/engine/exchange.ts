/** Sends a request body of any length, and reads the response, which may arrive at any time. */
import { once } from 'node:events'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { Bytes } from '../blob/blob-store.js'
import { StowageError } from '../errors.js'
import type { JsonObject } from '../oci/json.js'
import { jsonLines } from './answer.js'

/** Maximum size of a response that is read whole, in bytes. */
const ANSWER_LIMIT = 64 * 1024 * 1024
/** Milliseconds that an engine may take to respond to a request that was ended early. */
const GRACE = 30_000

/** A status, with the text of an error response, or the lines of any other response. */
export interface Exchanged {
  readonly status: number
  readonly text: string
  readonly lines: readonly JsonObject[]
}

/** The response to `outgoing`, once its head has arrived. Call this before the request is ended. */
export async function responseOf(outgoing: ClientRequest): Promise<IncomingMessage> {
  outgoing.on('error', () => {}) // once() handles the first error; a second one must not end the process
  const [message] = (await once(outgoing, 'response')) as [IncomingMessage]
  return message // node:http documents this argument of the event
}

/** The whole body as text. Throws ENGINE_PROTOCOL if it is too large. */
export async function readAnswerText(message: IncomingMessage): Promise<string> {
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of message as AsyncIterable<Uint8Array>) {
    // no encoding is set, so the pieces are Buffers
    size += piece.length
    if (size > ANSWER_LIMIT)
      throw new StowageError('ENGINE_PROTOCOL', `the engine's response is larger than ${ANSWER_LIMIT} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString('utf8')
}

/**
 * Sends `body` as fast as the engine reads it, and reads the response. If `body` throws or `signal` aborts, the request
 * is ended, the engine has {@link GRACE} to respond, and the error is thrown.
 */
export async function sendAndRead(
  outgoing: ClientRequest,
  body: Bytes,
  signal: AbortSignal | undefined,
): Promise<Exchanged> {
  const answer = readAnswer(outgoing)
  let answered = false
  answer.then(
    () => {
      answered = true
    },
    () => {
      answered = true
    },
  )

  let failure: { readonly error: unknown } | undefined
  let timer: NodeJS.Timeout | undefined
  const fail = (error: unknown): void => {
    failure ??= { error }
    timer ??= setTimeout(() => outgoing.destroy(), GRACE)
  }
  const abort = (): void => fail(signal?.reason)
  signal?.addEventListener('abort', abort)
  if (signal?.aborted) abort()

  async function* untilFailure(): Bytes {
    try {
      for await (const piece of body) {
        if (failure || answered) return
        yield piece
      }
    } catch (error) {
      fail(error)
    }
  }

  try {
    // If the connection is lost, reading the response fails too, unless the engine has already responded
    await pipeline(untilFailure(), outgoing).catch(() => {})
    const exchanged = await answer.catch((error: unknown) => {
      throw failure ? failure.error : error
    })
    if (failure) throw failure.error
    return exchanged
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}

async function readAnswer(outgoing: ClientRequest): Promise<Exchanged> {
  const message = await responseOf(outgoing)
  const status = message.statusCode ?? 0
  if (status >= 400) return { status, text: await readAnswerText(message), lines: [] }
  const lines: JsonObject[] = []
  for await (const line of jsonLines(message as AsyncIterable<Uint8Array>, 'response to the load')) lines.push(line)
  return { status, text: '', lines }
}
