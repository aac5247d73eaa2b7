/**
 * One GET of something large over a connection of its own, read in pieces as large as the system has them: undici copies every
 * byte twice on its way, which is most of what a fast network costs. Source: RFC 9112.
 */
import { once } from 'node:events'
import { connect as connectPlain, isIP, type OnReadOpts, type Socket } from 'node:net'
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls'
import type { Bytes } from '../blob/blob-store.js'
import { networkError } from './failure.js'

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
/** With less room than this a piece is full: what TLS gives at a time. */
const LEAST_ROOM = 16 * 1024
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
  const words = Object.entries({ host: url.host, connection: 'close', ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  )
  return `${method} ${url.pathname}${url.search} HTTP/1.1\r\n${words.join('')}\r\n`
}

async function readHead(wire: Wire): Promise<Head> {
  let text = Buffer.alloc(0)
  for (;;) {
    const piece = await wire.next()
    if (!piece) throw networkError('the other side ended the connection without an answer', 'ECONNRESET')
    text = Buffer.concat([text, piece])
    for (let end = text.indexOf(HEAD_END); end >= 0; end = text.indexOf(HEAD_END)) {
      const head = parseHead(text.toString('latin1', 0, end))
      text = text.subarray(end + HEAD_END.length)
      if (head.status >= 200) return { ...head, rest: text }
    }
    if (text.length > HEAD_LIMIT) throw networkError('the head of the answer has no end', 'HPE_HEADER_OVERFLOW')
  }
}

/** Of `text` without the empty line at its end. Throws where it is no head of HTTP/1.1. */
export function parseHead(text: string): AnswerHead {
  const [first = '', ...lines] = text.split('\r\n')
  const status = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(first)?.[1]
  if (status === undefined) throw networkError('the answer is not HTTP', 'HPE_INVALID_CONSTANT')
  const headers = new Map<string, string>()
  for (const line of lines) {
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? []
    if (name === undefined || value === undefined)
      throw networkError('a header of the answer is none', 'HPE_INVALID_HEADER_TOKEN')
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
      if (!piece) throw networkError(`the other side ended the connection ${left} bytes early`, 'ECONNRESET')
      const mine = piece.subarray(0, left)
      left -= mine.length
      if (mine.length > 0) yield mine
    }
  } finally {
    wire.close()
  }
}

/** What a socket fills, from its beginning to its end, piece by piece. */
class Memory {
  readonly bytes = Buffer.allocUnsafeSlow(PIECE)
  filled = 0
  /** Of what is filled, what was given on. */
  handed = 0
  /** Pieces of it that are not read yet. */
  out = 0
}

/** A connection from which pieces are taken one after another, each a buffer of its own. */
class Wire {
  readonly #socket: Socket
  readonly #silence: number
  readonly #waiting: { readonly bytes: Uint8Array; readonly memory: Memory }[] = []
  /** Memory to read into again, where pieces do not last. */
  readonly #free: Memory[] | undefined
  #used: Memory | undefined
  #filling: Memory
  #handing: NodeJS.Immediate | undefined
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
    const first = new Memory()
    const onread: OnReadOpts = {
      buffer: () => wire?.memory() ?? first.bytes,
      callback: length => wire?.take(length) ?? true,
    }
    const place = { host, port: Number(url.port || (url.protocol === 'https:' ? 443 : 80)), onread, noDelay: true }
    const secure = url.protocol === 'https:'
    const socket = secure
      ? connectTls({
          ...place,
          secureContext: contextOf(tls),
          ALPNProtocols: ['http/1.1'],
          ...(isIP(host) ? {} : { servername: host }),
        })
      : connectPlain(place)
    wire = new Wire(socket, first, { silence, signal, transient })
    const late = setTimeout(
      () => socket.destroy(networkError(`no connection to ${url.host} within ${connectTimeout} ms`, 'ETIMEDOUT')),
      connectTimeout,
    )
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

  private constructor(
    socket: Socket,
    first: Memory,
    { silence, signal, transient = false }: Pick<DirectOptions, 'silence' | 'signal' | 'transient'>,
  ) {
    this.#free = transient ? [] : undefined
    this.#filling = first
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
    if (PIECE - this.#filling.filled < LEAST_ROOM) {
      const full = this.#filling
      this.#filling = this.#free?.pop() ?? new Memory()
      this.#release(full)
    }
    return this.#filling.bytes.subarray(this.#filling.filled)
  }

  /** So much of it is filled; whether the socket may read on. */
  take(length: number): boolean {
    this.#timer?.refresh()
    this.#filling.filled += length
    if (PIECE - this.#filling.filled < LEAST_ROOM) this.#hand()
    else this.#handing ??= setImmediate(() => this.#hand())
    return this.#waiting.length < MOST_WAITING
  }

  /** What is filled is a piece: TLS gives no more than 16 KiB at a time, and each piece costs more than its bytes. */
  #hand(): void {
    if (this.#handing) clearImmediate(this.#handing)
    this.#handing = undefined
    const memory = this.#filling
    if (memory.filled > memory.handed) {
      this.#waiting.push({ bytes: memory.bytes.subarray(memory.handed, memory.filled), memory })
      memory.handed = memory.filled
      memory.out += 1
    }
    this.#wake?.()
  }

  /** To be filled again, once nothing of it is read any more, nor may be filled by the socket. */
  #release(memory: Memory): void {
    if (memory.out > 0 || memory === this.#filling) return
    memory.filled = 0
    memory.handed = 0
    this.#free?.push(memory)
  }

  /** The next piece; undefined once the other side has ended. */
  async next(): Promise<Uint8Array | undefined> {
    if (this.#used) {
      this.#used.out -= 1
      this.#release(this.#used)
    }
    this.#used = undefined
    while (this.#waiting.length === 0) {
      this.#signal?.throwIfAborted()
      if (this.#error !== undefined) throw this.#error
      if (this.#ended) return undefined
      this.#socket.resume()
      await this.#more()
    }
    const piece = this.#waiting.shift()
    this.#used = piece?.memory
    if (this.#waiting.length < MOST_WAITING / 2) this.#socket.resume()
    return piece?.bytes
  }

  close(): void {
    this.#signal?.removeEventListener('abort', this.#abort)
    this.#waiting.length = 0
    this.#filling.handed = this.#filling.filled
    this.#socket.destroy()
  }

  async #more(): Promise<void> {
    await new Promise<void>(resolve => {
      this.#wake = resolve
      this.#timer = setTimeout(() => {
        this.#error ??= networkError(`nothing came for ${this.#silence} ms`, 'ETIMEDOUT')
        resolve()
      }, this.#silence)
    })
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #end(): void {
    this.#hand()
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
