/** The far side of landing-get.ts: {@link directGet} on the thread that writes the blob, from the socket into its memory. */
import type { LandingReader } from '../blob/landing.js'
import { directGet, type DirectAnswer, type DirectOptions } from './direct-get.js'

/** Plain data, which may hold what lets one in: it is for the thread alone. */
export interface DirectRequest extends Omit<DirectOptions, 'signal' | 'transient'> {
  readonly url: string
}

/** What the registry said. */
export interface DirectHead {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  /** Of an answer that is no blob, the beginning of what it says. */
  readonly text: Uint8Array
}

/** Of an answer that is no blob, in bytes. */
const TEXT_LIMIT = 64 * 1024

/** Its head is a {@link DirectHead}; undefined where the answer is in a form that is not read here. */
export async function open(request: unknown, signal: AbortSignal): Promise<LandingReader> {
  const { url, ...options } = request as DirectRequest // from landing-get.ts, through the door of the thread
  const answer = await directGet(new URL(url), { ...options, signal })
  if (!answer) return { head: undefined, read: async () => undefined, close: () => undefined }
  const { status, headers } = answer
  const text = status === 200 || status === 206 ? new Uint8Array() : await textOf(answer)
  const head: DirectHead = { status, headers, text }
  return { head, read: async (skip, length, room) => await answer.read(skip, length, room), close: () => answer.close() }
}

async function textOf({ body }: DirectAnswer): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of body) {
    pieces.push(piece)
    size += piece.length
    if (size >= TEXT_LIMIT) break
  }
  return Buffer.concat(pieces).subarray(0, TEXT_LIMIT)
}
