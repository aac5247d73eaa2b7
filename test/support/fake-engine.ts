/** An engine's API on node:http that answers what a test says: for what a real engine does only when it is broken. */
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface FakeRequest {
  readonly method: string
  /** With its query. */
  readonly path: string
  /** As far as it came. */
  readonly body: Buffer
}

/** Text and bytes go out as they are, anything else as JSON; `cut` closes the connection after them. */
export interface FakeAnswer {
  readonly status?: number
  readonly body?: unknown
  readonly cut?: boolean
}

export interface FakeEngine {
  readonly host: string
  /** All requests so far, in order. */
  readonly requests: readonly FakeRequest[]
  stop(): Promise<void>
}

/** The answers of an engine to `/version` and `/info`; a test adds its own. */
export function fakeStore(kind: 'graphdriver' | 'containerd' | 'podman', apiVersion = '1.51') {
  return (request: FakeRequest): FakeAnswer | undefined => {
    if (request.path === '/version') {
      const Components = [{ Name: kind === 'podman' ? 'Podman Engine' : 'Engine' }]
      return { body: { Version: '28.5.2', ApiVersion: apiVersion, Os: 'linux', Arch: 'amd64', Components } }
    }
    const DriverStatus = kind === 'containerd' ? [['driver-type', 'io.containerd.snapshotter.v1']] : null
    return request.path === '/info' ? { body: { DriverStatus } } : undefined
  }
}

/** Starts it on a socket of its own; what no function of `answers` answers is 404, as an engine says it. */
export async function startFakeEngine(
  ...answers: readonly ((request: FakeRequest) => FakeAnswer | undefined)[]
): Promise<FakeEngine> {
  const directory = await mkdtemp(join(tmpdir(), 'stowage-fake-engine-'))
  const path = join(directory, 'docker.sock')
  const requests: FakeRequest[] = []
  const server = createServer(async (incoming, outgoing) => {
    const pieces: Uint8Array[] = []
    for await (const piece of incoming) pieces.push(piece as Uint8Array) // no encoding is set, so they are Buffers
    const request = { method: incoming.method ?? '', path: incoming.url ?? '', body: Buffer.concat(pieces) }
    requests.push(request)
    const answer = answers.map(answerTo => answerTo(request)).find(found => found !== undefined)
    const { status = 200, body, cut = false } = answer ?? { status: 404, body: { message: 'no such image' } }
    const bytes = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body ?? null)
    outgoing.writeHead(status, cut ? { 'Content-Length': Buffer.byteLength(bytes) + 1 } : {})
    if (cut) outgoing.write(bytes, () => outgoing.destroy())
    else outgoing.end(bytes)
  })
  await new Promise<void>(resolve => server.listen(path, resolve))
  return {
    host: `unix://${path}`,
    requests,
    async stop() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
      await rm(directory, { recursive: true, force: true })
    },
  }
}
