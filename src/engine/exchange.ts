/** One request and its answer: bodies of any length out, answers at any time back. */
import { once } from 'node:events'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { Bytes } from '../blob/blob-store.js'
import { StowageError } from '../errors.js'
import type { JsonObject } from '../oci/json.js'
import { jsonLines } from './answer.js'

/** Largest answer that is read as a whole, in bytes. */
const ANSWER_LIMIT = 64 * 1024 * 1024
/** How long an engine may take to answer a request that was ended early, in milliseconds. */
const GRACE = 30_000

/** A status, with the text of a refusal or the lines of anything else. */
export interface Exchanged {
  readonly status: number
  readonly text: string
  readonly lines: readonly JsonObject[]
}

/** The response to `outgoing`, once its head is there. To be called before the request is ended. */
export async function responseOf(outgoing: ClientRequest): Promise<IncomingMessage> {
  outgoing.on('error', () => {}) // once() tells of the first; a second must not end the process
  const [message] = (await once(outgoing, 'response')) as [IncomingMessage]
  return message // what node:http documents for this event
}

/** The whole body as text. Throws ENGINE_PROTOCOL when it is too large. */
export async function readAnswerText(message: IncomingMessage): Promise<string> {
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of message as AsyncIterable<Uint8Array>) {
    // no encoding is set, so its pieces are Buffers
    size += piece.length
    if (size > ANSWER_LIMIT)
      throw new StowageError('ENGINE_PROTOCOL', `the engine's response is larger than ${ANSWER_LIMIT} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString('utf8')
}

/**
 * Sends `body` and reads the answer, at the engine's pace. When `body` throws or `signal` aborts, nothing more is sent
 * but the end; the engine then has {@link GRACE} to answer, and the error is thrown.
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
    // A connection lost in the middle fails the answer as well, unless the engine had answered before.
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
  for await (const line of jsonLines(message as AsyncIterable<Uint8Array>, 'answer to the load')) lines.push(line)
  return { status, text: '', lines }
}
