/** Bytes to a client, as fast as it takes them: one that takes none for a minute is let go. */
import type { ServerResponse } from 'node:http'
import type { Bytes } from '../blob/blob-store.js'
import { StowageError } from '../errors.js'

/** Bytes that must move within the patience of {@link send}: what a slow but living connection does. */
const SLICE = 64 * 1024

/**
 * Writes `bytes` and ends the response. Throws what reading throws, and ABORTED if the client left or took nothing for
 * `patience` milliseconds. Whoever calls then closes the connection: the length that was promised tells the client.
 */
export async function send(
  response: ServerResponse,
  bytes: Bytes,
  patience: number,
  onSent: (size: number) => void,
): Promise<void> {
  for await (const piece of bytes) {
    for (let at = 0; at < piece.length; at += SLICE) {
      if (response.destroyed) throw left()
      const slice = piece.subarray(at, at + SLICE)
      const moved = response.write(slice)
      onSent(slice.length)
      if (!moved) await until(response, 'drain', patience)
    }
  }
  if (response.destroyed) throw left()
  response.end()
  await until(response, 'finish', patience)
}

async function until(response: ServerResponse, event: 'drain' | 'finish', patience: number): Promise<void> {
  if (event === 'finish' && response.writableFinished) return
  if (response.destroyed) throw left()
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => settle(() => reject(stalled(patience))), patience)
    const happened = (): void => settle(resolve)
    const closed = (): void => settle(() => reject(left()))
    const settle = (end: () => void): void => {
      clearTimeout(timer)
      response.off(event, happened).off('close', closed)
      end()
    }
    response.on(event, happened).on('close', closed)
  })
}

function left(): StowageError {
  return new StowageError('ABORTED', 'the client closed the connection')
}

function stalled(patience: number): StowageError {
  return new StowageError('ABORTED', `the client read nothing for ${patience / 1000} s`)
}
