/** An answer whose connection may be kept for the next request, as node:http and undici both give it. */
import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import type { HttpAnswer } from './exchange.js'

/** Of a body that nobody wants, what is read to keep its connection, in bytes. */
export const DUMP_LIMIT = 128 * 1024

/** `dump` reads `body` to its end, or closes its connection after {@link DUMP_LIMIT}. */
export function pooledAnswer(
  url: URL,
  status: number,
  headers: IncomingHttpHeaders,
  body: Readable,
  dump: () => Promise<void>,
): HttpAnswer {
  body.on('error', () => undefined) // whoever reads it hears of it; whoever does not has let go of it
  const header = (name: string): string | undefined => {
    const value = headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }
  const iterate = (): AsyncIterator<Uint8Array> => body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array> // no encoding is set
  return { status, header, body: { [Symbol.asyncIterator]: iterate, dump, destroy: () => void body.destroy() }, url }
}
