/** Reads files on the web without credentials. */
import type { Bytes, FetchOptions } from '../blob/blob-store.js'
import { StowageError } from '../errors.js'
import { abandon, contentRange, drain, readAll } from './answer.js'
import { HttpConnection, type HttpOptions } from './connection.js'
import { findEndpoint } from './endpoint.js'
import type { HttpAnswer } from './exchange.js'

/** Facts about a file before it is read. */
export interface WebFile {
  /** The URL after all redirects. */
  readonly url: string
  /** In bytes; undefined if the server does not report it. */
  readonly size: number | undefined
}

/** A URL for messages, without the parts that may be secret: credentials, query and fragment. */
export function shownAddress(url: string): string {
  return url.replace(/[?#].*$/s, '').replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, '$1')
}

/** Answers to a request for a range after which the whole file is asked for. */
const RANGE_REFUSED = [400, 416, 500, 501]

/** Connections to any number of hosts. The caller disposes of it. */
export class Web implements AsyncDisposable {
  readonly #options: HttpOptions
  readonly #connections = new Map<string, Promise<HttpConnection>>()

  constructor(options: HttpOptions = {}) {
    this.#options = options
  }

  /** Throws FILE_NOT_FOUND, REGISTRY_REFUSED, and what {@link HttpConnection.send} throws. */
  async find(url: string, options: FetchOptions = {}): Promise<WebFile> {
    const answer = await this.#ask('HEAD', url, {}, options)
    await drain(answer)
    if ([403, 405, 501].includes(answer.status)) return { url, size: undefined } // some servers do not support HEAD
    await this.#expect(answer, url)
    const length = answer.header('content-length')
    return { url: answer.url.href, size: length !== undefined && /^\d+$/.test(length) ? Number(length) : undefined }
  }

  /**
   * The content of a small file, and its URL after all redirects. Throws REGISTRY_PROTOCOL if it is over `limit` bytes.
   */
  async read(
    url: string,
    limit: number,
    options: FetchOptions = {},
  ): Promise<{ readonly url: string; readonly bytes: Buffer }> {
    const answer = await this.#ask('GET', url, {}, { ...options, whole: limit })
    await this.#expect(answer, url)
    return { url: answer.url.href, bytes: await readAll(answer, limit) }
  }

  /**
   * The file from byte `offset` on, from one response. The `offset` of the result is 0 if the server cannot give that
   * range. If the connection ends early, reading throws, and the caller can continue there.
   */
  async open(
    url: string,
    offset: number,
    options: FetchOptions = {},
  ): Promise<{ readonly offset: number; readonly size: number | undefined; readonly bytes: Bytes }> {
    const answer = await this.#ask('GET', url, offset > 0 ? { range: `bytes=${offset}-` } : {}, options)
    if (offset > 0 && RANGE_REFUSED.includes(answer.status)) {
      await drain(answer)
      return await this.open(url, 0, options)
    }
    await this.#expect(answer, url)
    if (answer.status === 206) {
      const part = contentRange(answer)
      if (part?.start !== offset) {
        abandon(answer)
        if (offset > 0) return await this.open(url, 0, options)
        throw new StowageError(
          'REGISTRY_PROTOCOL',
          `${answer.url.host} was asked for ${shownAddress(url)}, but sent a part of it: ${JSON.stringify(answer.header('content-range') ?? '')}`,
        )
      }
      return { offset, size: part.size, bytes: answer.body }
    }
    const length = answer.header('content-length')
    return { offset: 0, size: length === undefined ? undefined : Number(length), bytes: answer.body }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections.values()) await (await connection)[Symbol.asyncDispose]()
  }

  async #ask(
    method: 'GET' | 'HEAD',
    url: string,
    headers: Readonly<Record<string, string>>,
    { signal, whole }: FetchOptions & { readonly whole?: number },
  ): Promise<HttpAnswer> {
    if (!/^https?:\/\//i.test(url) || !URL.canParse(url))
      throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(shownAddress(url))} is not a web address`)
    const { host, protocol } = new URL(url)
    const key = `${protocol}//${host}`
    const known = this.#connections.get(key) ?? this.#connect(host, protocol)
    this.#connections.set(key, known)
    return await (await known).send({ method, url: new URL(url), headers, signal, whole })
  }

  async #connect(host: string, protocol: string): Promise<HttpConnection> {
    const scheme = protocol === 'http:' ? 'http' : 'https'
    return new HttpConnection(
      await findEndpoint({ domain: host, host, scheme, byUrl: true }, this.#options.env),
      this.#options,
    )
  }

  async #expect(answer: HttpAnswer, url: string): Promise<void> {
    if (answer.status === 200 || answer.status === 206) return
    await drain(answer)
    const shown = shownAddress(url)
    if (answer.status === 404 || answer.status === 410)
      throw new StowageError(
        'FILE_NOT_FOUND',
        `${shown} does not exist: ${answer.url.host} answered with status ${answer.status}`,
      )
    throw new StowageError(
      'REGISTRY_REFUSED',
      `reading ${shown}: ${answer.url.host} answered with status ${answer.status}`,
    )
  }
}
