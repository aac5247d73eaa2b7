/** Connections through undici: over TLS, and through proxies. */
import { Agent, type Dispatcher, ProxyAgent } from 'undici'
import { DUMP_LIMIT, pooledAnswer } from './pooled-answer.js'
import type { ConnectionPool, PoolOptions, HttpAnswer, TlsMaterial, HttpRequest } from './exchange.js'

export class UndiciPool implements ConnectionPool {
  readonly #dispatcher: Dispatcher
  readonly #silence: number

  /** `proxy`: its address. */
  constructor({
    connections,
    connectTimeout,
    silence,
    tls,
    proxy,
  }: PoolOptions & { readonly tls: TlsMaterial; readonly proxy: string | undefined }) {
    this.#silence = silence
    this.#dispatcher =
      proxy === undefined
        ? new Agent({ connections, connect: { ...tls, timeout: connectTimeout } })
        : new ProxyAgent({
            uri: proxy,
            connections,
            proxyTunnel: false,
            requestTls: { ...tls, timeout: connectTimeout },
          })
  }

  async send(
    url: URL,
    { method, body, signal }: HttpRequest,
    headers: Readonly<Record<string, string>>,
  ): Promise<HttpAnswer> {
    const answer = await this.#dispatcher.request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method,
      headers,
      body: (body?.() ?? null) as Uint8Array | null, // it takes what can be iterated as well, which its types leave out
      headersTimeout: this.#silence,
      bodyTimeout: this.#silence,
      signal: signal ?? null,
    })
    const { statusCode, headers: found, body: own } = answer
    return pooledAnswer(url, statusCode, found, own, async () => void (await own.dump({ limit: DUMP_LIMIT })))
  }

  async close(): Promise<void> {
    await this.#dispatcher.destroy()
  }
}
