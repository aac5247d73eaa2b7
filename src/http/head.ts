/** Writes and parses HTTP/1.1 heads for the native threads, which only transfer their bytes. Source: RFC 9112. */
import { networkError } from './failure.js'

/** The head of a response. Header names are in lower case. */
export interface AnswerHead {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
}

export const HEAD_END = '\r\n\r\n'

/** A request head including the empty line, for a connection that closes after the response. */
export function requestHead(method: string, url: URL, headers: Readonly<Record<string, string>>): string {
  const words = Object.entries({ host: url.host, connection: 'close', ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  )
  return `${method} ${url.pathname}${url.search} HTTP/1.1\r\n${words.join('')}\r\n`
}

/** Parses a response head without the empty line. Throws if it is not HTTP/1.x. */
export function parseHead(text: string): AnswerHead {
  const [first = '', ...lines] = text.split('\r\n')
  const status = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(first)?.[1]
  if (status === undefined) throw networkError('the response is not HTTP', 'HPE_INVALID_CONSTANT')
  const headers = new Map<string, string>()
  for (const line of lines) {
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? []
    if (name === undefined || value === undefined)
      throw networkError('a header of the response is invalid', 'HPE_INVALID_HEADER_TOKEN')
    const known = headers.get(name.toLowerCase())
    headers.set(name.toLowerCase(), known === undefined ? value : `${known}, ${value}`)
  }
  return { status: Number(status), headers }
}

/** Size of the body in bytes; undefined if it is unknown, or if the body has a transfer encoding. */
export function lengthOf({ status, headers }: AnswerHead): number | undefined {
  if (status === 204 || status === 304) return 0
  const length = headers.get('content-length') ?? ''
  return headers.has('transfer-encoding') || !/^\d{1,15}$/.test(length) ? undefined : Number(length)
}
