/** Reading an answer: whole where it is small, or not at all. */
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

/** Discards an answer that nobody reads. A short one keeps its connection. */
export async function drain(answer: HttpAnswer): Promise<void> {
  await answer.body.dump().catch(() => undefined) // it is discarded in any case
}

/** Closes the connection of an answer that is not what was asked for, however long it is. */
export function abandon(answer: HttpAnswer): void {
  answer.body.destroy()
}
