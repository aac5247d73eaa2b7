/** Connections of plain http, by node:http. */
import { Agent, type ClientRequest, type IncomingMessage, request as sendRequest } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { networkError } from './failure.js'
import { DUMP_LIMIT, pooledAnswer } from './pooled-answer.js'
import type { ConnectionPool, PoolOptions, HttpAnswer, HttpRequest } from './exchange.js'

export class PlainPool implements ConnectionPool {
  readonly #agent: Agent
  readonly #options: PoolOptions
  /** What ends each request that is under way. */
  readonly #stops = new Set<(error: Error) => void>()
  #closed = false

  constructor(options: PoolOptions) {
    this.#options = options
    this.#agent = new Agent({ keepAlive: true, maxSockets: options.connections })
  }

  async send(
    url: URL,
    { method, body, signal }: HttpRequest,
    headers: Readonly<Record<string, string>>,
  ): Promise<HttpAnswer> {
    signal?.throwIfAborted()
    if (this.#closed) throw closedError()
    const message = await new Promise<IncomingMessage>((resolve, reject) => {
      let answer: IncomingMessage | undefined
      const outgoing = sendRequest(url, { method, headers, auth: null, agent: this.#agent }) // what an address has before its @ is shown to nobody
      // A request that is destroyed while its answer waits to be read hands its connection back, whose error then is nobody's
      const stop = (error: Error): void => {
        reject(error) // one that waits for a connection says nothing until it has one
        ;(answer ?? outgoing).destroy(error)
      }
      const abort = (): void => stop(abortReason(signal))
      signal?.addEventListener('abort', abort, { once: true })
      this.#stops.add(stop)
      outgoing.on('error', reject)
      outgoing.once('response', response => {
        answer = response
        resolve(response)
      })
      outgoing.once('close', () => {
        signal?.removeEventListener('abort', abort)
        this.#stops.delete(stop)
        if (!answer) reject(networkError('the connection ended before an answer', 'ECONNRESET'))
      })
      this.#watch(outgoing, url, stop)
      const given = body?.()
      if (given === undefined || typeof given === 'string' || given instanceof Uint8Array) outgoing.end(given)
      else pipeline(given, outgoing).catch(reject) // one that will not have it all has answered before
    })
    return responseOf(message, url)
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const stop of this.#stops) stop(closedError())
    // Whoever waits would have a connection opened, to find itself ended
    for (const waiting of Object.keys(this.#agent.requests)) Reflect.deleteProperty(this.#agent.requests, waiting)
    this.#agent.destroy()
  }

  #watch(outgoing: ClientRequest, { host }: URL, stop: (error: Error) => void): void {
    const { connectTimeout, silence } = this.#options
    outgoing.setTimeout(silence, () => stop(networkError(`nothing came from ${host} for ${silence} ms`, 'ETIMEDOUT')))
    outgoing.once('socket', socket => {
      if (!socket.connecting) return
      const timer = setTimeout(
        () => stop(networkError(`no connection to ${host} within ${connectTimeout} ms`, 'ETIMEDOUT')),
        connectTimeout,
      )
      for (const event of ['connect', 'close']) socket.once(event, () => clearTimeout(timer))
    })
  }
}

function closedError(): Error {
  return networkError('its connections were closed', 'ECONNABORTED')
}

function abortReason(signal: AbortSignal | undefined): Error {
  return signal?.reason instanceof Error ? signal.reason : networkError('aborted', 'ABORT_ERR')
}

function responseOf(message: IncomingMessage, url: URL): HttpAnswer {
  const dump = async (): Promise<void> => {
    let size = 0
    for await (const piece of message as AsyncIterable<Uint8Array>) {
      size += piece.length
      if (size > DUMP_LIMIT) break // which closes the connection
    }
  }
  return pooledAnswer(url, message.statusCode ?? 0, message.headers, message, dump)
}
