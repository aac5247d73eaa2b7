/** Opens connections to an engine: a socket, or `ssh` running `docker system dial-stdio` on the remote host. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { Agent, type AgentOptions } from 'node:http'
import { connect as connectSocket } from 'node:net'
import { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import type { EngineEndpoint } from './endpoint.js'

/** In milliseconds. */
const CONNECT_TIMEOUT = 20_000

/** Reuses a few connections to `endpoint`, because a new one over ssh takes half a second. */
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

/** Opens a connection. Errors are emitted as the stream's `error` event. */
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

/** The arguments of `ssh`, the same as docker uses. */
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

/**
 * The standard input and output of `ssh` as one stream. Its standard error becomes the message of the stream's error.
 */
class SshConnection extends Duplex {
  readonly #child: ChildProcessWithoutNullStreams
  #stderr = ''

  constructor(args: readonly string[]) {
    super()
    const child = spawn('ssh', args, { windowsHide: true })
    this.#child = child
    child.stdout.on('data', (piece: Buffer) => {
      if (!this.push(piece)) child.stdout.pause()
    })
    child.stderr.on('data', (piece: Buffer) => {
      this.#stderr = (this.#stderr + piece.toString()).slice(-2000)
    })
    child.stdin.on('error', () => {}) // the process has ended: 'close' reports why
    child.on('error', error => this.destroy(error))
    child.on('close', code => {
      if (code === 0) this.push(null)
      else
        this.destroy(
          Object.assign(new Error(this.#stderr.trim() || `ssh ended with exit code ${code}`), { code: 'ESSH' }),
        )
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

  // Methods of a socket that node:http calls, and that a pipe does not have
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
