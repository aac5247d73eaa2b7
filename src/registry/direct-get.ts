/**
 * One GET of something large over a connection of its own, read in pieces as large as the system has them: undici copies every
 * byte twice on its way, which is most of what a fast network costs. Source: RFC 9112.
 */
import { once } from 'node:events'
import { connect as connectPlain, isIP, type OnReadOpts, type Socket } from 'node:net'
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls'
import type { Bytes } from '../blob/blob-store.js'

export interface DirectOptions {
  readonly headers: Readonly<Record<string, string>>
  /** PEM, as {@link connectTls} takes them. */
  readonly tls: { readonly ca?: string[]; readonly cert?: string; readonly key?: string }
  /** Milliseconds: for the connection, and for how long nothing may come. */
  readonly connectTimeout: number
  readonly silence: number
  readonly signal?: AbortSignal | undefined
  /** Pieces may be overwritten once the next is asked for. */
  readonly transient?: boolean | undefined
}

/** The head of an answer, and its body to be read once. */
export interface DirectAnswer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  /** Throws where the other side is silent or ends early. Leaving it closes the connection. */
  readonly body: Bytes
  readonly land?: undefined
  close(): void
}

const PIECE = 128 * 1024
/** Pieces that wait to be read before the other side must. */
const MOST_WAITING = 4
const HEAD_LIMIT = 64 * 1024
export const HEAD_END = '\r\n\r\n'

/**
 * Asks for `url`, whose body must have a length: undefined where the answer is in another form, which is not read here. Throws
 * what the network does, as errors of the system.
 */
export async function directGet(url: URL, options: DirectOptions): Promise<DirectAnswer | undefined> {
  const wire = await Wire.open(url, options)
  try {
    wire.send(requestHead('GET', url, options.headers))
    const head = await readHead(wire)
    const length = lengthOf(head)
    if (length === undefined) {
      wire.close()
      return undefined
    }
    return {
      ...head,
      body: bodyOf(wire, head.rest, length),
      close: () => wire.close(),
    }
  } catch (error) {
    wire.close()
    throw error
  }
}

/** The head of an answer: its status and headers, by names in lower case. */
export interface AnswerHead {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
}

interface Head extends AnswerHead {
  /** What came behind it. */
  readonly rest: Buffer
}

/** With the empty line at its end, for a connection that ends after it. */
export function requestHead(method: string, url: URL, headers: Readonly<Record<string, string>>): string {
  const words = Object.entries({ host: url.host, connection: 'close', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${url.pathname}${url.search} HTTP/1.1\r\n${words.join('')}\r\n`
}

async function readHead(wire: Wire): Promise<Head> {
  let text = Buffer.alloc(0)
  for (;;) {
    const piece = await wire.next()
    if (!piece) throw broken('the other side ended the connection without an answer', 'ECONNRESET')
    text = Buffer.concat([text, piece])
    for (let end = text.indexOf(HEAD_END); end >= 0; end = text.indexOf(HEAD_END)) {
      const head = parseHead(text.toString('latin1', 0, end))
      text = text.subarray(end + HEAD_END.length)
      if (head.status >= 200) return { ...head, rest: text }
    }
    if (text.length > HEAD_LIMIT) throw broken('the head of the answer has no end', 'HPE_HEADER_OVERFLOW')
  }
}

/** Of `text` without the empty line at its end. Throws where it is no head of HTTP/1.1. */
export function parseHead(text: string): AnswerHead {
  const [first = '', ...lines] = text.split('\r\n')
  const status = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(first)?.[1]
  if (status === undefined) throw broken('the answer is not HTTP', 'HPE_INVALID_CONSTANT')
  const headers = new Map<string, string>()
  for (const line of lines) {
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? []
    if (name === undefined || value === undefined) throw broken('a header of the answer is none', 'HPE_INVALID_HEADER_TOKEN')
    const known = headers.get(name.toLowerCase())
    headers.set(name.toLowerCase(), known === undefined ? value : `${known}, ${value}`)
  }
  return { status: Number(status), headers }
}

/** Of the body, in bytes; undefined where it is not said, or in a form that is not read here. */
export function lengthOf({ status, headers }: AnswerHead): number | undefined {
  if (status === 204 || status === 304) return 0
  const length = headers.get('content-length') ?? ''
  return headers.has('transfer-encoding') || !/^\d{1,15}$/.test(length) ? undefined : Number(length)
}

async function* bodyOf(wire: Wire, first: Buffer, length: number): Bytes {
  try {
    let left = length
    for (let piece: Uint8Array | undefined = first; left > 0; piece = await wire.next()) {
      if (!piece) throw broken(`the other side ended the connection ${left} bytes early`, 'ECONNRESET')
      const mine = piece.subarray(0, left)
      left -= mine.length
      if (mine.length > 0) yield mine
    }
  } finally {
    wire.close()
  }
}

/** A connection from which pieces are taken one after another, each a buffer of its own. */
class Wire {
  readonly #socket: Socket
  readonly #silence: number
  readonly #waiting: Uint8Array[] = []
  /** Memory to read into again, where pieces do not last. */
  readonly #free: Uint8Array[] | undefined
  #used: Uint8Array | undefined
  readonly #signal: AbortSignal | undefined
  readonly #abort = (): void => void this.#socket.destroy()
  #ended = false
  #error: unknown
  #wake: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined

  static async open(url: URL, { tls, connectTimeout, silence, signal, transient }: DirectOptions): Promise<Wire> {
    signal?.throwIfAborted()
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
    let wire: Wire | undefined
    const onread: OnReadOpts = {
      buffer: () => wire?.memory() ?? Buffer.allocUnsafeSlow(PIECE),
      callback: (length, buffer) => wire?.take(buffer, length) ?? true,
    }
    const place = { host, port: Number(url.port || (url.protocol === 'https:' ? 443 : 80)), onread, noDelay: true }
    const secure = url.protocol === 'https:'
    const socket = secure
      ? connectTls({ ...place, secureContext: contextOf(tls), ALPNProtocols: ['http/1.1'], ...(isIP(host) ? {} : { servername: host }) })
      : connectPlain(place)
    wire = new Wire(socket, silence, signal, transient ?? false)
    const late = setTimeout(() => socket.destroy(broken(`no connection to ${url.host} within ${connectTimeout} ms`, 'ETIMEDOUT')), connectTimeout)
    try {
      await once(socket, secure ? 'secureConnect' : 'connect', signal ? { signal } : {})
      return wire
    } catch (error) {
      wire.close()
      throw error
    } finally {
      clearTimeout(late)
    }
  }

  private constructor(socket: Socket, silence: number, signal: AbortSignal | undefined, transient: boolean) {
    this.#free = transient ? [] : undefined
    this.#socket = socket
    this.#silence = silence
    this.#signal = signal
    signal?.addEventListener('abort', this.#abort, { once: true })
    socket.on('error', error => (this.#error ??= error))
    socket.on('end', () => this.#end())
    socket.on('close', () => this.#end())
  }

  send(text: string): void {
    this.#socket.write(text, 'latin1')
  }

  /** What the socket reads into next. */
  memory(): Uint8Array {
    return this.#free?.pop() ?? Buffer.allocUnsafeSlow(PIECE)
  }

  /** Whether the socket may read on. */
  take(memory: Uint8Array, length: number): boolean {
    this.#timer?.refresh()
    this.#waiting.push(memory.subarray(0, length))
    this.#wake?.()
    return this.#waiting.length < MOST_WAITING
  }

  /** The next piece; undefined once the other side has ended. */
  async next(): Promise<Uint8Array | undefined> {
    if (this.#used) this.#free?.push(new Uint8Array(this.#used.buffer))
    this.#used = undefined
    while (this.#waiting.length === 0) {
      this.#signal?.throwIfAborted()
      if (this.#error !== undefined) throw this.#error
      if (this.#ended) return undefined
      this.#socket.resume()
      await this.#more()
    }
    const piece = this.#waiting.shift()
    this.#used = piece
    if (this.#waiting.length < MOST_WAITING / 2) this.#socket.resume()
    return piece
  }

  close(): void {
    this.#signal?.removeEventListener('abort', this.#abort)
    this.#waiting.length = 0
    this.#socket.destroy()
  }

  async #more(): Promise<void> {
    await new Promise<void>(resolve => {
      this.#wake = resolve
      this.#timer = setTimeout(() => {
        this.#error ??= broken(`nothing came for ${this.#silence} ms`, 'ETIMEDOUT')
        resolve()
      }, this.#silence)
    })
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #end(): void {
    this.#ended = true
    this.#wake?.()
  }
}

const contexts = new Map<string, SecureContext>()

/** Reading all authorities takes a tenth of a second: it is done once for each set of them. */
function contextOf(tls: DirectOptions['tls']): SecureContext {
  const key = JSON.stringify(tls)
  const known = contexts.get(key) ?? createSecureContext(tls)
  contexts.set(key, known)
  return known
}

function broken(message: string, code: string): Error {
  return Object.assign(new Error(message), { code })
}
