/** A registry of the test's own: Debian's docker-registry on loopback, with a directory of its own. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import {
  createServer,
  type IncomingMessage,
  request,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { type AddressInfo, createServer as createSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Digest } from '../../src/oci/digest.js'
import type { Test } from 'tap'
import type { TestCertificate } from './certificate.js'
import { type TestImage, writeLayout } from './images.js'

const UP = 20_000

export interface TestRegistry {
  /** `127.0.0.1:PORT`. */
  readonly domain: string
  readonly port: number
  /** The file of a blob. */
  blobFile(digest: Digest): string
}

/** Starts it, and ends it with the test. `settings` are lines of its configuration, `http` words of that of its server. */
export async function startRegistry(t: Test, settings: readonly string[] = [], http = ''): Promise<TestRegistry> {
  const directory = mkdtempSync(join(tmpdir(), 'stowage-registry-'))
  const port = await freePort()
  const config = join(directory, 'config.yml')
  writeFileSync(
    config,
    [
      'version: 0.1',
      'log: {level: error, accesslog: {disabled: true}}',
      `storage: {filesystem: {rootdirectory: ${directory}/data}, delete: {enabled: true}}`,
      `http: {addr: '127.0.0.1:${port}'${http}}`,
      ...settings,
    ].join('\n'),
  )
  const child = spawn('docker-registry', ['serve', config], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (piece: Buffer) => (said = (said + piece.toString()).slice(-2000)))
  let failed: Error | undefined
  child.once('error', error => (failed = error))
  t.teardown(async () => {
    const ended = new Promise(resolve => child.once('close', resolve))
    if (child.kill()) await ended
    rmSync(directory, { recursive: true, force: true })
  })
  for (const start = Date.now(); !(await answers(port)); await sleep(50)) {
    if (failed) throw failed
    if (Date.now() - start > UP) throw new Error(`docker-registry did not come up: ${said}`)
  }
  return {
    domain: `127.0.0.1:${port}`,
    port,
    blobFile: digest => {
      const hex = digest.slice('sha256:'.length)
      return join(directory, 'data', 'docker', 'registry', 'v2', 'blobs', 'sha256', hex.slice(0, 2), hex, 'data')
    },
  }
}

/** Puts `image` there under `name` (`team/shop:2.3`) with skopeo, every platform of it, byte for byte. */
export async function pushWithSkopeo(
  t: Test,
  { domain }: TestRegistry,
  name: string,
  image: TestImage,
  words: readonly string[] = [],
): Promise<void> {
  const layout = mkdtempSync(join(tmpdir(), 'stowage-layout-'))
  t.teardown(() => rmSync(layout, { recursive: true, force: true }))
  await writeLayout(layout, { [`docker.io/${name}`]: image })
  const args = ['copy', '--quiet', '--all', '--preserve-digests', '--dest-tls-verify=false', ...words]
  execFileSync('skopeo', [...args, `oci:${layout}`, `docker://${domain}/${name}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
}

/** What a test does to one request on its way: nothing where it gives undefined; else it has answered by itself. */
export type Fault = (
  request: IncomingMessage,
  response: ServerResponse,
  count: number,
) => 'answered' | undefined | Passing

/** The answer passes, changed. */
export interface Passing {
  /** The connection ends after so many bytes of the body. */
  readonly cutAfter?: number
  /** Nothing more comes after so many bytes of the body. */
  readonly stallAfter?: number
  readonly headers?: Readonly<Record<string, string | undefined>>
  readonly status?: number
}

export interface FaultyProxy {
  readonly domain: string
  /** `METHOD path` of all requests so far, with what they asked for by Range. */
  readonly requests: readonly {
    readonly line: string
    readonly range: string | undefined
    readonly authorization: string | undefined
  }[]
}

/** A server of the test's own between us and the registry, over TLS with `tls`: it does to each request what `fault` says. */
export async function startFaultyProxy(
  t: Test,
  { port }: TestRegistry,
  fault: Fault,
  tls?: TestCertificate,
): Promise<FaultyProxy> {
  const requests: { line: string; range: string | undefined; authorization: string | undefined }[] = []
  const listener: RequestListener = (incoming, outgoing) => {
    const line = `${incoming.method} ${incoming.url}`
    const count = requests.filter(other => other.line === line).length
    requests.push({ line, range: incoming.headers.range, authorization: incoming.headers.authorization })
    const passing = fault(incoming, outgoing, count)
    if (passing === 'answered') return
    const own = (server.address() as AddressInfo).port
    const passed = request(
      { port, method: incoming.method, path: incoming.url, headers: { ...incoming.headers, host: `127.0.0.1:${own}` } },
      answer => {
        const headers = Object.fromEntries(
          Object.entries({ ...answer.headers, ...passing?.headers }).filter(([, value]) => value !== undefined),
        )
        outgoing.writeHead(passing?.status ?? answer.statusCode ?? 502, headers)
        let sent = 0
        answer.on('data', (piece: Buffer) => {
          const limit = passing?.cutAfter ?? passing?.stallAfter ?? Infinity
          const rest = piece.subarray(0, Math.max(limit - sent, 0))
          sent += rest.length
          outgoing.write(rest)
          if (passing?.cutAfter !== undefined && sent >= limit) outgoing.socket?.end() // what was sent arrives
        })
        answer.on('end', () => {
          if (passing?.cutAfter === undefined && passing?.stallAfter === undefined) outgoing.end()
        })
      },
    )
    passed.on('error', () => outgoing.destroy())
    incoming.pipe(passed)
  }
  const server = tls ? createSecureServer(tls, listener) : createServer(listener)
  return { domain: await startServer(t, server), requests }
}

/** A server on loopback until the test ends, which answers what the test says; gives its `host:port`. */
export async function startServer(t: Test, answering: RequestListener | Server): Promise<string> {
  const server = typeof answering === 'function' ? createServer(answering) : answering
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A port that nobody listened at a moment ago. */
export async function freePort(): Promise<number> {
  const server = createSocket()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

async function answers(port: number): Promise<boolean> {
  return await new Promise(resolve => {
    const asked = request({ port, path: '/v2/' }, answer => {
      answer.resume()
      resolve(true)
    })
    asked.on('error', () => resolve(false))
    asked.end()
  })
}
