/** Connections through undici: over TLS, and through proxies. */
import { Agent, type Dispatcher, ProxyAgent } from 'undici'
import type { ConnectionPool, PoolOptions, RegistryResponse, TlsMaterial, TransportRequest } from './transport.js'

/** Of a body that nobody wants, what is read to keep its connection, in bytes. */
const DUMP_LIMIT = 128 * 1024

export class UndiciPool implements ConnectionPool {
  readonly #dispatcher: Dispatcher
  readonly #silence: number

  /** `proxy`: its address. */
  constructor({ connections, connectTimeout, silence, tls, proxy }: PoolOptions & { readonly tls: TlsMaterial; readonly proxy: string | undefined }) {
    this.#silence = silence
    this.#dispatcher = proxy === undefined
      ? new Agent({ connections, connect: { ...tls, timeout: connectTimeout } })
      : new ProxyAgent({ uri: proxy, connections, proxyTunnel: false, requestTls: { ...tls, timeout: connectTimeout } })
  }

  async send(url: URL, { method, body, signal }: TransportRequest, headers: Readonly<Record<string, string>>): Promise<RegistryResponse> {
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
    const header = (name: string): string | undefined => {
      const value = answer.headers[name]
      return Array.isArray(value) ? value.join(', ') : value
    }
    const own = answer.body
    own.on('error', () => undefined) // whoever reads it hears of it; whoever does not has let go of it
    const wrapped = { [Symbol.asyncIterator]: () => own[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>, dump: async () => void (await own.dump({ limit: DUMP_LIMIT })), destroy: () => void own.destroy() }
    return { status: answer.statusCode, header, body: wrapped, url }
  }

  async close(): Promise<void> {
    await this.#dispatcher.destroy()
  }
}
