/** A client for the Docker Engine API. Paths have no version, so that the engine uses its newest one. */
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import type { Bytes } from '../blob/blob-store.js'
import { abortError, StowageError, systemCode } from '../errors.js'
import { isObject, type JsonObject, parseJsonText, textIn } from '../oci/json.js'
import type { Attempt, Diagnosis } from '../http/diagnosis.js'
import { trustedCertificates } from '../http/endpoint.js'
import { isNoHttp, failureReason } from '../http/failure.js'
import { type OnProgress, type Wait, Waits } from '../progress.js'
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
  /** Those that some request has had. */
  readonly #connections = new WeakSet<object>()
  readonly #waits: Waits

  constructor(endpoint: EngineEndpoint, onProgress?: OnProgress) {
    this.endpoint = endpoint
    this.#agent = new EngineAgent(endpoint)
    this.#waits = new Waits(onProgress, endpoint.name)
  }

  /** The JSON of the response; undefined if there is none. */
  async call(method: Method, path: string, options: EngineCallOptions = {}): Promise<unknown> {
    const { status, text } = await this.#exchange(method, path, options)
    if (status >= 400) throw await this.#refused(`${method} ${path}`, status, text)
    return parseJsonText(text)
  }

  /** Like `call('GET', …)`, but undefined for status 404. */
  async find(path: string, options: EngineCallOptions = {}): Promise<unknown> {
    const { status, text } = await this.#exchange('GET', path, options)
    if (status === 404) return undefined
    if (status >= 400) throw await this.#refused(`GET ${path}`, status, text)
    return parseJsonText(text)
  }

  /** The body of a response of any length. The request is sent when the first byte is read. */
  async *download(path: string, { signal }: EngineCallOptions = {}): Bytes {
    try {
      const message = await this.#begin('GET', path, signal)
      const status = message.statusCode ?? 0
      if (status >= 400) throw await this.#refused(`GET ${path}`, status, await readAnswerText(message))
      yield* message as AsyncIterable<Uint8Array> // no encoding is set, so the pieces are Buffers
    } catch (error) {
      throw await this.#failure(error, signal)
    }
  }

  /**
   * Posts the tar `body` as it is generated, and returns the lines of the response, which may arrive minutes after the
   * last byte. If `body` throws or `signal` aborts, the request is ended early: the engine then sees a truncated
   * archive and cleans up, which it may not do if the connection is lost. The error is thrown after the engine has
   * responded.
   */
  async upload(path: string, body: Bytes, { signal }: EngineCallOptions = {}): Promise<readonly JsonObject[]> {
    using wait = this.#waits.begin('connect')
    const outgoing = request({
      method: 'POST',
      path,
      headers: { Host: 'docker', 'Content-Type': 'application/x-tar', 'Transfer-Encoding': 'chunked' },
      createConnection: () => connect(this.endpoint),
    })
    this.#watch(outgoing, wait, 'send')
    async function* ending(): Bytes {
      yield* body
      wait.become('wait')
    }
    try {
      const { status, text, lines } = await sendAndRead(outgoing, ending(), signal)
      if (status >= 400) throw await this.#refused(`POST ${path}`, status, text)
      return lines
    } catch (error) {
      throw await this.#failure(error, signal)
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
      using wait = this.#waits.begin('connect')
      const message = await this.#request(method, path, signal, wait)
      return { status: message.statusCode ?? 0, text: await readAnswerText(message) }
    } catch (error) {
      throw await this.#failure(error, signal)
    }
  }

  /** The response once its head has arrived. */
  async #begin(method: Method, path: string, signal: AbortSignal | undefined): Promise<IncomingMessage> {
    using wait = this.#waits.begin('connect')
    return await this.#request(method, path, signal, wait)
  }

  async #request(method: Method, path: string, signal: AbortSignal | undefined, wait: Wait): Promise<IncomingMessage> {
    const headers = { Host: 'docker' }
    const outgoing = request({ method, path, headers, agent: this.#agent, ...(signal ? { signal } : {}) })
    this.#watch(outgoing, wait, 'wait')
    const response = responseOf(outgoing)
    outgoing.end()
    try {
      return await response
    } catch (error) {
      // The engine may have closed an idle connection in the meantime: repeat the request on a new one
      if (!outgoing.reusedSocket || systemCode(error) !== 'ECONNRESET' || signal?.aborted) throw error
      return await this.#request(method, path, signal, wait)
    }
  }

  /** Tells `wait` when the connection is there. */
  #watch(outgoing: ClientRequest, wait: Wait, next: 'send' | 'wait'): void {
    const event = 'tls' in this.endpoint ? 'secureConnect' : 'connect'
    outgoing.once('socket', socket => {
      // A request that had to wait for a connection gets one that is there, and is not told so by `reusedSocket`
      if (outgoing.reusedSocket || this.#connections.has(socket)) {
        wait.become(next)
        return
      }
      this.#connections.add(socket)
      socket.once(event, () => wait.become(next))
    })
  }

  async #refused(call: string, status: number, text: string): Promise<StowageError> {
    const attempt = status === 400 ? this.#attempt() : undefined
    if (attempt && !attempt.secure) {
      const { diagnosePlainRefusal } = await import('../http/diagnosis.js')
      const found = await diagnosePlainRefusal(attempt)
      if (found) return new StowageError('ENGINE_UNREACHABLE', found.sentence, { hint: TLS_HINTS[found.type] })
    }
    const parsed = parseJsonText(text)
    const own = isObject(parsed) ? textIn(parsed, 'message') : undefined
    const message = own ?? (text.trim().slice(0, 500) || `status ${status}`)
    const what = `the engine at ${this.endpoint.name} refused ${call.split('?')[0]}`
    return new StowageError('ENGINE_REFUSED', `${what}: ${message}`)
  }

  /** How the engine was reached, if TLS may be spoken there. */
  #attempt(): Attempt | undefined {
    if (this.endpoint.type !== 'tcp') return undefined
    const { name, host, port, tls } = this.endpoint
    const own =
      tls?.cert && tls.key
        ? {
            cert: Buffer.from(tls.cert).toString(),
            key: Buffer.from(tls.key).toString(),
            file: 'cert.pem',
            keyFile: 'key.pem',
          }
        : undefined
    return { who: `the Docker Engine at ${name}`, host, port, secure: tls !== undefined, direct: true, own }
  }

  async #failure(error: unknown, signal: AbortSignal | undefined): Promise<unknown> {
    if (error instanceof StowageError || signal?.aborted) return abortError(error, signal)
    const code = systemCode(error)
    if (code === undefined) return error
    const name = this.endpoint.name
    const attempt = this.#attempt()
    if (attempt && (attempt.secure || isNoHttp(error))) {
      const found = await (await import('../http/diagnosis.js')).diagnose(error, attempt)
      if (found)
        return new StowageError('ENGINE_UNREACHABLE', found.sentence, { hint: TLS_HINTS[found.type], cause: error })
    }
    const reason = failureReason(error)
    if (code.startsWith('HPE_')) {
      return new StowageError('ENGINE_PROTOCOL', `the server at ${name} is not a Docker Engine: ${reason}`, {
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
export async function engineAt(host: string | undefined, onProgress?: OnProgress): Promise<EngineClient> {
  const endpoint = await findEngineEndpoint({ host })
  if (endpoint.type !== 'tcp' || !endpoint.tls?.verify || endpoint.tls.ca) return new EngineClient(endpoint, onProgress)
  const ca = Buffer.from((await trustedCertificates()).join('\n'))
  return new EngineClient({ ...endpoint, tls: { ...endpoint.tls, ca } }, onProgress)
}

const FOLDER = 'the folder that DOCKER_CERT_PATH names (or that of the docker context)'
const TLS_HINTS: Readonly<Record<Diagnosis['type'], string>> = {
  plain:
    'Give the port of its TLS listener, usually 2376; or, if the network is trusted, unset DOCKER_TLS_VERIFY and DOCKER_TLS.',
  secure: 'Set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the folder with ca.pem, cert.pem and key.pem.',
  untrusted: `Put the certificate of its CA into ${FOLDER} as ca.pem.`,
  name: 'Use one of these names in DOCKER_HOST, or have a certificate issued that has this one.',
  time: 'Correct the clock, or have the certificate renewed.',
  client: `Put a certificate that it accepts into ${FOLDER} as cert.pem, and its key as key.pem.`,
}

function hintFor(code: string): string {
  const alternative = 'or use an OCI layout, which needs no engine: --to oci:DIR, or --store oci:DIR.'
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return process.platform === 'win32'
        ? `Run it as an administrator or as a member of the group docker-users, ${alternative}`
        : `Run it as root or as a member of the group docker, ${alternative}`
    case 'ESSH':
      return `Try \`ssh HOST docker version\`, ${alternative}`
    case 'ECONNRESET':
    case 'EPIPE':
      return `See the engine's log and run the command again, ${alternative}`
    default:
      return `Is Docker running? Start it, name another engine with --host or DOCKER_HOST, ${alternative}`
  }
}
