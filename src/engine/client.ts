/** A client for the Docker Engine API. Paths have no version, so that the engine uses its newest one. */
import { type IncomingMessage, request } from 'node:http'
import type { Bytes } from '../blob/blob-store.js'
import { abortError, StowageError, systemCode, systemReason } from '../errors.js'
import { isObject, type JsonObject, parseJsonText, textIn } from '../oci/json.js'
import { connect, EngineAgent } from './connection.js'
import { type EngineEndpoint, findEngineEndpoint } from './endpoint.js'
import { readAnswerText, responseOf, sendAndRead } from './exchange.js'

export interface EngineCallOptions {
  readonly signal?: AbortSignal | undefined
}

type Method = 'GET' | 'POST' | 'DELETE'

/**
 * A connection to one engine. Every call throws ENGINE_UNREACHABLE if no engine answers, ENGINE_REFUSED with the
 * engine's message if it returns an error, ENGINE_PROTOCOL if the response is not that of an engine, and ABORTED.
 */
export class EngineClient implements Disposable {
  readonly endpoint: EngineEndpoint
  readonly #agent: EngineAgent

  constructor(endpoint: EngineEndpoint) {
    this.endpoint = endpoint
    this.#agent = new EngineAgent(endpoint)
  }

  /** The JSON of the response; undefined if there is none. */
  async call(method: Method, path: string, options: EngineCallOptions = {}): Promise<unknown> {
    const { status, text } = await this.#exchange(method, path, options)
    if (status >= 400) throw this.#refused(`${method} ${path}`, status, text)
    return parseJsonText(text)
  }

  /** Like `call('GET', …)`, but undefined for status 404. */
  async find(path: string, options: EngineCallOptions = {}): Promise<unknown> {
    const { status, text } = await this.#exchange('GET', path, options)
    if (status === 404) return undefined
    if (status >= 400) throw this.#refused(`GET ${path}`, status, text)
    return parseJsonText(text)
  }

  /** The body of a response of any length. The request is sent when the first byte is read. */
  async *download(path: string, { signal }: EngineCallOptions = {}): Bytes {
    try {
      const message = await this.#request('GET', path, signal)
      const status = message.statusCode ?? 0
      if (status >= 400) throw this.#refused(`GET ${path}`, status, await readAnswerText(message))
      yield* message as AsyncIterable<Uint8Array> // no encoding is set, so the pieces are Buffers
    } catch (error) {
      throw this.#failure(error, signal)
    }
  }

  /**
   * Posts the tar `body` as it is generated, and returns the lines of the response, which may arrive minutes after the
   * last byte. If `body` throws or `signal` aborts, the request is ended early: the engine then sees a truncated
   * archive and cleans up, which it may not do if the connection is lost. The error is thrown after the engine has
   * responded.
   */
  async upload(path: string, body: Bytes, { signal }: EngineCallOptions = {}): Promise<readonly JsonObject[]> {
    const outgoing = request({
      method: 'POST',
      path,
      headers: { Host: 'docker', 'Content-Type': 'application/x-tar', 'Transfer-Encoding': 'chunked' },
      createConnection: () => connect(this.endpoint),
    })
    try {
      const { status, text, lines } = await sendAndRead(outgoing, body, signal)
      if (status >= 400) throw this.#refused(`POST ${path}`, status, text)
      return lines
    } catch (error) {
      throw this.#failure(error, signal)
    } finally {
      outgoing.destroy()
    }
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }

  async #exchange(
    method: Method,
    path: string,
    { signal }: EngineCallOptions,
  ): Promise<{ status: number; text: string }> {
    try {
      const message = await this.#request(method, path, signal)
      return { status: message.statusCode ?? 0, text: await readAnswerText(message) }
    } catch (error) {
      throw this.#failure(error, signal)
    }
  }

  async #request(method: Method, path: string, signal: AbortSignal | undefined): Promise<IncomingMessage> {
    const headers = { Host: 'docker' }
    const outgoing = request({ method, path, headers, agent: this.#agent, ...(signal ? { signal } : {}) })
    const response = responseOf(outgoing)
    outgoing.end()
    try {
      return await response
    } catch (error) {
      // The engine may have closed an idle connection in the meantime: repeat the request on a new one
      if (!outgoing.reusedSocket || systemCode(error) !== 'ECONNRESET' || signal?.aborted) throw error
      return await this.#request(method, path, signal)
    }
  }

  #refused(call: string, status: number, text: string): StowageError {
    const parsed = parseJsonText(text)
    const own = isObject(parsed) ? textIn(parsed, 'message') : undefined
    const message = own ?? (text.trim().slice(0, 500) || `status ${status}`)
    const what = `the engine at ${this.endpoint.name} refused ${call.split('?')[0]}`
    return new StowageError('ENGINE_REFUSED', `${what}: ${message}`)
  }

  #failure(error: unknown, signal: AbortSignal | undefined): unknown {
    if (error instanceof StowageError || signal?.aborted) return abortError(error, signal)
    const code = systemCode(error)
    if (code === undefined) return error
    const name = this.endpoint.name
    const reason = systemReason(error)
    if (code.startsWith('HPE_')) {
      return new StowageError('ENGINE_PROTOCOL', `the server at ${name} is not a Docker Engine: ${reason}`, {
        hint: 'A TLS port requires DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH.',
        cause: error,
      })
    }
    const lost = code === 'ECONNRESET' || code === 'EPIPE'
    const what = lost
      ? `the connection to the Docker Engine at ${name} was lost`
      : `no Docker Engine answers at ${name}`
    return new StowageError('ENGINE_UNREACHABLE', `${what}: ${reason}`, { hint: hintFor(code), cause: error })
  }
}

/**
 * The engine at `host`, by default the one that `docker` uses. Connects with the first call. Throws INVALID_ARGUMENT.
 */
export async function engineAt(host: string | undefined): Promise<EngineClient> {
  return new EngineClient(await findEngineEndpoint({ host }))
}

function hintFor(code: string): string {
  const alternative = 'or write an OCI layout, which needs no engine: --to oci:DIR.'
  // Node's error codes for certificates: CERT_HAS_EXPIRED, UNABLE_TO_VERIFY_LEAF_SIGNATURE, ERR_TLS_…
  if (/CERT|SIGNATURE|^ERR_TLS/.test(code)) return `Put the engine's ca.pem into DOCKER_CERT_PATH, ${alternative}`
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return `Run it as root or as a member of the group docker, ${alternative}`
    case 'ESSH':
      return `Try \`ssh HOST docker version\`, ${alternative}`
    case 'ECONNRESET':
    case 'EPIPE':
      return `See the engine's log and run the command again, ${alternative}`
    default:
      return `Is Docker running? Start it, name another engine with --host or DOCKER_HOST, ${alternative}`
  }
}
