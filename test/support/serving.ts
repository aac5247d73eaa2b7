/** A server of ours in a test, and plain requests to it. */
import { type IncomingHttpHeaders, request } from 'node:http'
import type { Test } from 'tap'
import { type BundleServer, serveBundle, type ServedRequest, type ServeOptions } from '../../src/serve/serve.js'

export interface Served extends BundleServer {
  /** All requests that are over. */
  readonly log: readonly ServedRequest[]
  /** The first request over, now or later, that `is` likes. */
  logged(is: (request: ServedRequest) => boolean): Promise<ServedRequest>
}

/** Serves `places` on a free port of loopback until the test ends. */
export async function serve(t: Test, places: readonly string[], options: ServeOptions = {}): Promise<Served> {
  const log: ServedRequest[] = []
  const waiting = new Set<() => void>()
  const onRequest = (over: ServedRequest): void => {
    log.push(over)
    for (const look of waiting) look()
  }
  const server = await serveBundle(places, { listen: ':0', ...options, onRequest })
  t.teardown(async () => await server.close())
  return {
    address: server.address,
    images: server.images,
    warnings: server.warnings,
    log,
    close: async () => await server.close(),
    [Symbol.asyncDispose]: async () => await server.close(),
    logged: async is =>
      await new Promise(resolve => {
        const look = (): void => {
          const found = log.find(is)
          if (!found) return
          waiting.delete(look)
          resolve(found)
        }
        waiting.add(look)
        look()
      }),
  }
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** Whether all that was promised came. */
  readonly whole: boolean
}

/** One request, its path as it is written, on a connection of its own. */
export async function ask(
  { address: { host, port } }: BundleServer,
  path: string,
  { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const asked = request({ host, port, path, method, headers, agent: false }, answer => {
      const pieces: Buffer[] = []
      answer.on('data', (piece: Buffer) => pieces.push(piece))
      answer.on('error', () => undefined) // told by `whole`
      answer.on('close', () =>
        resolve({
          status: answer.statusCode ?? 0,
          headers: answer.headers,
          body: Buffer.concat(pieces),
          whole: answer.complete,
        }),
      )
    })
    asked.on('error', reject)
    asked.end()
  })
}

/** The codes of the specification's errors in an answer. */
export function errorCodes({ body }: Answer): readonly string[] {
  const { errors } = JSON.parse(body.toString()) as { errors: readonly { readonly code: string }[] }
  return errors.map(({ code }) => code)
}
