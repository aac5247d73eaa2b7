/** Connections to an engine: a socket, or the system's `ssh` with `docker system dial-stdio` at its far end. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { Agent, type AgentOptions } from 'node:http'
import { connect as connectSocket } from 'node:net'
import { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import type { EngineEndpoint } from './endpoint.js'

/** How long a host may be silent before we give up connecting, in milliseconds. */
const CONNECT_TIMEOUT = 20_000

/** Keeps a few connections to `endpoint` for requests that follow one another; over ssh a new one takes half a second. */
export class EngineAgent extends Agent {
  readonly #endpoint: EngineEndpoint

  constructor(endpoint: EngineEndpoint, options: AgentOptions = {}) {
    super({ keepAlive: true, maxSockets: 4, ...options })
    this.#endpoint = endpoint
  }

  override createConnection(): Duplex {
    return connect(this.#endpoint)
  }
}

/** Opens a connection. Errors come as the stream's `error` event. */
export function connect(endpoint: EngineEndpoint): Duplex {
  if (endpoint.type === 'ssh') return new SshConnection(sshArguments(endpoint))
  if (endpoint.type === 'socket') return connectSocket({ path: endpoint.path })
  const { host, port, tls } = endpoint
  const socket = tls
    ? connectTls({
        host,
        port,
        ...(tls.ca ? { ca: Buffer.from(tls.ca) } : {}),
        ...(tls.cert ? { cert: Buffer.from(tls.cert) } : {}),
        ...(tls.key ? { key: Buffer.from(tls.key) } : {}),
        rejectUnauthorized: tls.verify,
      })
    : connectSocket({ host, port })
  const timer = setTimeout(() => {
    socket.destroy(Object.assign(new Error(`no answer within ${CONNECT_TIMEOUT / 1000} s`), { code: 'ETIMEDOUT' }))
  }, CONNECT_TIMEOUT)
  socket.once(tls ? 'secureConnect' : 'connect', () => clearTimeout(timer))
  socket.once('close', () => clearTimeout(timer))
  return socket
}

/** Words after `ssh`, as the docker command has them. */
export function sshArguments(endpoint: EngineEndpoint & { type: 'ssh' }): readonly string[] {
  return [
    '-T',
    '-o',
    `ConnectTimeout=${CONNECT_TIMEOUT / 1000}`,
    ...(endpoint.user ? ['-l', endpoint.user] : []),
    ...(endpoint.port === undefined ? [] : ['-p', String(endpoint.port)]),
    '--',
    endpoint.host,
    'docker',
    ...(endpoint.path ? ['--host', `unix://${endpoint.path}`] : []),
    'system',
    'dial-stdio',
  ]
}

/** Standard input and output of a process as one stream; what it says on standard error becomes its error. */
class SshConnection extends Duplex {
  readonly #child: ChildProcessWithoutNullStreams
  #complaint = ''

  constructor(words: readonly string[]) {
    super()
    const child = spawn('ssh', words, { windowsHide: true })
    this.#child = child
    child.stdout.on('data', (piece: Buffer) => {
      if (!this.push(piece)) child.stdout.pause()
    })
    child.stderr.on('data', (piece: Buffer) => {
      this.#complaint = (this.#complaint + piece.toString()).slice(-2000)
    })
    child.stdin.on('error', () => {}) // the process has ended: `close` says why
    child.on('error', error => this.destroy(error))
    child.on('close', code => {
      if (code === 0) this.push(null)
      else this.destroy(Object.assign(new Error(this.#complaint.trim() || `ssh ended with ${code}`), { code: 'ESSH' }))
    })
  }

  override _read(): void {
    this.#child.stdout.resume()
  }

  override _write(piece: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    this.#child.stdin.write(piece, error => done(error))
  }

  override _final(done: () => void): void {
    this.#child.stdin.end(done)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#child.kill()
    done(error)
  }

  // What node:http asks of a socket, which a pipe does not have.
  setKeepAlive(): this {
    return this
  }
  setNoDelay(): this {
    return this
  }
  setTimeout(): this {
    return this
  }
  ref(): this {
    return this
  }
  unref(): this {
    return this
  }
}
