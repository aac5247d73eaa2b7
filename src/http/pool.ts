/**
 * Connections to one origin through undici. Without a proxy only its Agent is loaded, because all of undici takes three
 * times as long. Responses come through undici's handlers, because its streams copy every byte.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { BodyQueue } from './body-queue.js'
import type { ConnectionPool, HttpAnswer, HttpRequest, PoolOptions, TlsMaterial } from './exchange.js'
import { networkError } from './failure.js'
import { secureContextFor } from './secure-context.js'

export interface OpenPoolOptions extends PoolOptions {
  readonly tls: TlsMaterial
  /** URL of the proxy. */
  readonly proxy: string | undefined
}

/** Bytes per read: neither TLS nor the system delivers more at a time. */
const READ_SIZE = 64 * 1024

export async function openPool(options: OpenPoolOptions): Promise<ConnectionPool> {
  const { connections, connectTimeout: timeout, silence, tls, proxy } = options
  const connect = {
    secureContext: secureContextFor(tls),
    timeout,
    highWaterMark: READ_SIZE,
    ...(tls.unverified ? { rejectUnauthorized: false } : {}),
  }
  if (proxy === undefined) {
    const { default: UndiciAgent } = await import('undici/lib/dispatcher/agent.js')
    return new UndiciPool(new UndiciAgent({ connections, connect }), silence)
  }
  const { ProxyAgent } = await import('undici')
  const proxyTls = { secureContext: secureContextFor({ ca: tls.ca }), timeout }
  return new UndiciPool(
    new ProxyAgent({ uri: proxy, connections, proxyTunnel: false, requestTls: connect, proxyTls }),
    silence,
  )
}

class UndiciPool implements ConnectionPool {
  readonly #dispatcher: Dispatcher
  readonly #silence: number
  /** Exchanges without a response yet. */
  readonly #unanswered = new Set<Exchange>()
  #closed = false

  constructor(dispatcher: Dispatcher, silence: number) {
    this.#dispatcher = dispatcher
    this.#silence = silence
  }

  async send(
    url: URL,
    { method, body, signal, onConnected }: HttpRequest,
    headers: Readonly<Record<string, string>>,
  ): Promise<HttpAnswer> {
    signal?.throwIfAborted()
    if (this.#closed) throw closedError()
    return await new Promise<HttpAnswer>((resolve, reject) => {
      const onOutcome = (outcome: Outcome): void => {
        this.#unanswered.delete(exchange)
        if ('answer' in outcome) resolve(outcome.answer)
        else reject(outcome.failure)
      }
      const exchange = new Exchange(url, signal, onOutcome, onConnected)
      this.#unanswered.add(exchange)
      this.#dispatcher.dispatch(
        {
          origin: url.origin,
          path: `${url.pathname}${url.search}`,
          method,
          headers,
          body: (body?.() ?? null) as Uint8Array | null, // undici also takes async iterables, which its types omit
          headersTimeout: this.#silence,
          bodyTimeout: this.#silence,
        },
        exchange,
      )
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const exchange of this.#unanswered) exchange.stop(closedError())
    await this.#dispatcher.destroy(closedError())
  }
}

type Outcome = { readonly answer: HttpAnswer } | { readonly failure: Error }

/** One request and its response. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #url: URL
  readonly #signal: AbortSignal | undefined
  readonly #onOutcome: (outcome: Outcome) => void
  readonly #onConnected: (() => void) | undefined
  readonly #abort = (): void => this.stop(abortReason(this.#signal))
  #controller: Dispatcher.DispatchController | undefined
  #body: BodyQueue | undefined
  #failure: Error | undefined

  constructor(
    url: URL,
    signal: AbortSignal | undefined,
    onOutcome: (outcome: Outcome) => void,
    onConnected: (() => void) | undefined,
  ) {
    this.#url = url
    this.#signal = signal
    this.#onOutcome = onOutcome
    this.#onConnected = onConnected
    signal?.addEventListener('abort', this.#abort, { once: true })
  }

  /** Ends the exchange at once, even if it is waiting for a connection. */
  stop(failure: Error): void {
    this.#failure ??= failure
    this.#controller?.abort(failure)
    this.#finish(failure)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#failure) controller.abort(this.#failure)
    this.#onConnected?.()
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return
    this.#body = new BodyQueue(controller, this.#signal)
    const header = (name: string): string | undefined => {
      const value = headers[name]
      return Array.isArray(value) ? value.join(', ') : value
    }
    this.#onOutcome({ answer: { status, header, body: this.#body, url: this.#url } })
  }

  onResponseData(_controller: Dispatcher.DispatchController, piece: Buffer): void {
    this.#body?.push(piece)
  }

  onResponseEnd(): void {
    this.#finish(undefined)
  }

  onResponseError(_controller: Dispatcher.DispatchController, failure: Error): void {
    this.#finish(this.#failure ?? failure)
  }

  #finish(failure: Error | undefined): void {
    this.#signal?.removeEventListener('abort', this.#abort)
    if (this.#body) this.#body.end(failure)
    else this.#onOutcome({ failure: failure ?? networkError('the connection ended before a response', 'ECONNRESET') })
  }
}

function closedError(): Error {
  return networkError('the connections were closed', 'ECONNABORTED')
}

function abortReason(signal: AbortSignal | undefined): Error {
  return signal?.reason instanceof Error ? signal.reason : networkError('aborted', 'ABORT_ERR')
}
