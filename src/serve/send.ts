/** Sends bytes to a client as fast as it reads them, and gives up if it reads nothing for too long. */
import type { ServerResponse } from 'node:http'
import type { Bytes } from '../blob/blob-store.js'
import { StowageError } from '../errors.js'

/** Bytes that must be sent within the patience of {@link send}, few enough for a slow but working connection. */
const SLICE = 64 * 1024

/**
 * Writes `bytes` and ends the response. Throws errors from reading, and ABORTED if the client closes the connection or
 * reads nothing for `patience` milliseconds. On an error the caller must close the connection, so that the client sees
 * a body shorter than its content-length.
 */
export async function send(
  response: ServerResponse,
  bytes: Bytes,
  patience: number,
  onSent: (size: number) => void,
): Promise<void> {
  for await (const piece of bytes) {
    for (let at = 0; at < piece.length; at += SLICE) {
      if (response.destroyed) throw clientClosed()
      const slice = piece.subarray(at, at + SLICE)
      const writable = response.write(slice)
      onSent(slice.length)
      if (!writable) await waitFor(response, 'drain', patience)
    }
  }
  if (response.destroyed) throw clientClosed()
  response.end()
  await waitFor(response, 'finish', patience)
}

async function waitFor(response: ServerResponse, event: 'drain' | 'finish', patience: number): Promise<void> {
  if (event === 'finish' && response.writableFinished) return
  if (response.destroyed) throw clientClosed()
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => settle(() => reject(stalled(patience))), patience)
    const happened = (): void => settle(resolve)
    const closed = (): void => settle(() => reject(clientClosed()))
    const settle = (end: () => void): void => {
      clearTimeout(timer)
      response.off(event, happened).off('close', closed)
      end()
    }
    response.on(event, happened).on('close', closed)
  })
}

function clientClosed(): StowageError {
  return new StowageError('ABORTED', 'the client closed the connection')
}

function stalled(patience: number): StowageError {
  return new StowageError('ABORTED', `the client read nothing for ${patience / 1000} s`)
}
