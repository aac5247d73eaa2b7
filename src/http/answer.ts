/** Reads small responses whole, and discards those that are not needed. */
import { StowageError } from '../errors.js'
import type { HttpAnswer } from './exchange.js'

/** All of a body. Throws REGISTRY_PROTOCOL if it has more than `limit` bytes. */
export async function readAll(answer: HttpAnswer, limit: number): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of answer.body) {
    size += piece.length
    if (size > limit) {
      abandon(answer)
      throw new StowageError(
        'REGISTRY_PROTOCOL',
        `${answer.url.host} sent more than ${limit} bytes, which is too much for this response`,
      )
    }
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

/** The part of a file that a response with status 206 brings. */
export interface ContentRange {
  /** In bytes. */
  readonly start: number
  /** Of the whole file, in bytes; undefined if the server does not say. */
  readonly size: number | undefined
}

/** Undefined if the response has no valid Content-Range. Source: RFC 9110, section 14.4. */
export function contentRange(answer: HttpAnswer): ContentRange | undefined {
  const [, start, size] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(answer.header('content-range') ?? '') ?? []
  if (start === undefined) return undefined
  return { start: Number(start), size: size === '*' ? undefined : Number(size) }
}

/** Discards a response that is not needed. If its body is short, the connection is kept. */
export async function drain(answer: HttpAnswer): Promise<void> {
  await answer.body.dump().catch(() => undefined) // the body is not needed
}

/** Closes the connection of a response that is not what was requested. */
export function abandon(answer: HttpAnswer): void {
  answer.body.destroy()
}
