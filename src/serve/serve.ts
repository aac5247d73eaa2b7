/** Serve: a read-only registry straight from the files of bundles and layouts. Source: OCI distribution-spec. */
import { readFile } from 'node:fs/promises'
import { createServer as createHttp, type Server } from 'node:http'
import { createServer as createHttps } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { createSecureContext } from 'node:tls'
import pMap from 'p-map'
import { abortError, fileError, StowageError, systemCode } from '../errors.js'
import type { WaitOptions } from '../progress.js'
import { answer, type AnswerOptions } from './answer.js'
import { type Catalog, type CatalogImage, readServedCatalog } from './catalog.js'
import { ServedContent } from './content.js'
import { readHtpasswd } from './htpasswd.js'
import { formatHost, parseListen } from './listen.js'
import type { Shelf } from '../image/shelf.js'
import { openShelf } from './shelf.js'

export interface ServeOptions extends WaitOptions {
  /** `HOST:PORT`; 127.0.0.1:5000 without it, port 0 for any that is free. */
  readonly listen?: string | undefined
  /** PEM files: the certificate with those that vouch for it, and its key. Plain http without them. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string } | undefined
  /** A file of `name:bcrypt` lines, as `htpasswd -B` writes it: only who is in it may read. */
  readonly htpasswd?: string | undefined
  /** Reads and checks every blob before anyone is served, instead of each when it is first asked for. */
  readonly verify?: boolean | undefined
  /** Told of each request when it is over. */
  readonly onRequest?: ((request: ServedRequest) => void) | undefined
  /** Milliseconds that a client may take no byte of what it is sent: a minute. */
  readonly patience?: number | undefined
}

export interface ServedRequest {
  /** When it came. */
  readonly time: Date
  readonly client: string
  /** Who proved to be let in. */
  readonly user: string | undefined
  readonly method: string
  /** Path and query as they came: whatever the client wrote. */
  readonly target: string
  readonly status: number
  /** Of the body, as far as it was sent. */
  readonly bytes: number
  /** In milliseconds. */
  readonly duration: number
  /** Why it could not be answered, or broke off. */
  readonly error: StowageError | undefined
}

export interface BundleServer extends AsyncDisposable {
  readonly address: ServeAddress
  /** One for each image and name. */
  readonly images: readonly CatalogImage[]
  /** What is not served, or not by the name one would think, a sentence each. */
  readonly warnings: readonly string[]
  /** Listens no more; what is under way has five seconds to end. */
  close(): Promise<void>
}

export interface ServeAddress {
  readonly host: string
  readonly port: number
  /** `http://127.0.0.1:5000` */
  readonly url: string
}

const PATIENCE = 60_000
/** What a client may take for the head of a request, and for all of it. */
const HEAD_PATIENCE = 15_000
const REQUEST_PATIENCE = 30_000
/** How long a connection may be quiet between two requests. */
const KEPT_ALIVE = 30_000
const HANDSHAKE = 15_000
const HEAD_LIMIT = 16 * 1024
/** Each may hold half a MiB. */
const MOST_CONNECTIONS = 512
/** What is under way when the server ends. */
const GRACE = 5_000

/**
 * Serves the images of `places`, bundles (`PATH`, `bundle:PATH[:REF]`) and OCI layouts (`oci:DIR[:REF]`), until it is closed or
 * `signal` is aborted. Whatever is sent is checked against its digest before a client has all of it. Throws what opening the
 * places throws; IMAGE_NOT_FOUND if nothing has a name; INVALID_ARGUMENT if a name stands for two images, for an address
 * that cannot be, certificates that do not fit, or an htpasswd file with other hashes than bcrypt; BUSY for an address that
 * is taken.
 */
export async function serveBundle(places: readonly string[], options: ServeOptions = {}): Promise<BundleServer> {
  const { listen, tls, htpasswd, verify = false, signal, onProgress, onRequest, patience = PATIENCE } = options
  if (places.length === 0)
    throw new StowageError('INVALID_ARGUMENT', 'no bundle is named', { hint: 'Name a bundle, or oci:DIR.' })
  const wanted = parseListen(listen)
  const gate = htpasswd === undefined ? undefined : await readHtpasswd(htpasswd)
  const credentials = tls && (await readCertificate(tls))
  const shelves: Shelf[] = []
  const content = new ServedContent(shelves)
  const release = async (): Promise<void> => {
    await content[Symbol.asyncDispose]()
    await Promise.all(shelves.map(async shelf => await shelf[Symbol.asyncDispose]()))
  }
  try {
    for (const place of places) shelves.push(await openShelf(place, signal))
    const catalog = await readServedCatalog(shelves, content, signal ?? new AbortController().signal)
    if (verify) await checkAll(content, catalog, places.join(', '), { signal, onProgress })
    const server = makeServer({ catalog, content, gate, patience }, credentials, onRequest)
    const sockets = followSockets(server)
    await startListening(server, wanted, signal)
    return new Serving(server, sockets, catalog, tls ? 'https' : 'http', release, signal)
  } catch (error) {
    await release()
    throw abortError(error, signal)
  }
}

class Serving implements BundleServer {
  readonly address: ServeAddress
  readonly images: readonly CatalogImage[]
  readonly warnings: readonly string[]
  readonly #server: Server
  /** Also those that have not spoken yet, which the server itself does not close. */
  readonly #sockets: ReadonlySet<Socket>
  readonly #release: () => Promise<void>
  #closing: Promise<void> | undefined

  constructor(
    server: Server,
    sockets: ReadonlySet<Socket>,
    { images, warnings }: Pick<BundleServer, 'images' | 'warnings'>,
    scheme: string,
    release: () => Promise<void>,
    signal: AbortSignal | undefined,
  ) {
    const { address: host, port } = server.address() as AddressInfo // it listens, and on no pipe
    this.address = { host, port, url: `${scheme}://${formatHost(host, port)}` }
    this.images = images
    this.warnings = warnings
    this.#server = server
    this.#sockets = sockets
    this.#release = release
    const end = (): void => void this.close()
    signal?.addEventListener('abort', end, { once: true })
    server.once('close', () => signal?.removeEventListener('abort', end))
    if (signal?.aborted) end()
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close()
    await this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    // A connection that is kept alive ends with the answer it waits for
    const idle = setInterval(() => this.#server.closeIdleConnections(), 50)
    const grace = setTimeout(() => this.#sockets.forEach(socket => socket.destroy()), GRACE)
    await closed
    clearInterval(idle)
    clearTimeout(grace)
    await this.#release()
  }
}

interface Certificate {
  readonly cert: Buffer
  readonly key: Buffer
}

async function readCertificate({
  certFile,
  keyFile,
}: {
  readonly certFile: string
  readonly keyFile: string
}): Promise<Certificate> {
  const [cert, key] = await Promise.all(
    [certFile, keyFile].map(
      async path =>
        await readFile(path).catch((error: unknown) => {
          throw fileError(error, path)
        }),
    ),
  )
  try {
    createSecureContext({ cert, key })
  } catch (error) {
    const why = error instanceof Error ? error.message : ''
    throw new StowageError('INVALID_ARGUMENT', `${certFile} and ${keyFile} are not a certificate and its key: ${why}`, {
      hint: 'Both are PEM; the key without a passphrase.',
      cause: error,
    })
  }
  return { cert: cert as Buffer, key: key as Buffer } // Promise.all gave as many as it got
}

function makeServer(
  options: AnswerOptions,
  certificate: Certificate | undefined,
  onRequest: ServeOptions['onRequest'],
): Server {
  const limits = {
    maxHeaderSize: HEAD_LIMIT,
    headersTimeout: HEAD_PATIENCE,
    requestTimeout: REQUEST_PATIENCE,
    keepAliveTimeout: KEPT_ALIVE,
    connectionsCheckingInterval: 2000,
    noDelay: true,
  }
  const server = certificate
    ? createHttps({ ...limits, ...certificate, handshakeTimeout: HANDSHAKE })
    : createHttp(limits)
  server.maxConnections = MOST_CONNECTIONS
  server.on('request', (request, response) => {
    const [time, start] = [new Date(), performance.now()]
    const client = request.socket.remoteAddress ?? ''
    void answer(request, response, options).then(outcome => {
      const { method = '', url: target = '' } = request
      onRequest?.({ time, client, method, target, duration: Math.round(performance.now() - start), ...outcome })
    })
  })
  return server
}

function followSockets(server: Server): ReadonlySet<Socket> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  return sockets
}

async function startListening(
  server: Server,
  { host, port }: { readonly host: string; readonly port: number },
  signal: AbortSignal | undefined,
): Promise<void> {
  signal?.throwIfAborted()
  await new Promise<void>((resolve, reject) => {
    server.once('error', error => reject(listenError(error, formatHost(host, port))))
    server.listen({ host, port }, resolve)
  })
  server.on('error', () => undefined) // of a connection that could not be taken; those that could go on
}

function listenError(error: Error, address: string): unknown {
  const hint = 'Name another address with --listen HOST:PORT; port 0 selects any free port.'
  switch (systemCode(error)) {
    case 'EADDRINUSE':
      return new StowageError('BUSY', `${address} is in use: another program listens there`, { hint, cause: error })
    case 'EACCES':
    case 'EPERM':
      return new StowageError(
        'PERMISSION_DENIED',
        `permission denied to listen on ${address}: ports below 1024 require administrator rights`,
        { hint, cause: error },
      )
    default:
      return new StowageError('INVALID_ARGUMENT', `cannot listen on ${address}: ${error.message}`, {
        hint,
        cause: error,
      })
  }
}

/** Several at a time; those that are wrong are all named. */
async function checkAll(
  content: ServedContent,
  { blobs, absent }: Catalog,
  subject: string,
  { signal, onProgress }: WaitOptions,
): Promise<void> {
  const total = blobs.reduce((sum, { size }) => sum + size, 0)
  const faults: StowageError[] = absent.map(
    ({ digest }) => new StowageError('BLOB_MISSING', `the file of ${digest} is missing or has the wrong size`),
  )
  let done = 0
  onProgress?.({ type: 'stage', stage: 'verify', subject })
  await pMap(
    [...blobs].sort((a, b) => b.size - a.size),
    async blob => {
      await content.check(blob).catch((error: unknown) => {
        if (!(error instanceof StowageError)) throw error
        faults.push(error)
      })
      done += blob.size
      onProgress?.({ type: 'bytes', subject, done, total })
    },
    { concurrency: 4, ...(signal ? { signal } : {}) },
  )
  onProgress?.({ type: 'done', subject })
  const [first] = faults
  if (!first) return
  const more = faults.length > 1 ? `, and so are ${faults.length - 1} more` : ''
  throw new StowageError(first.code, `a blob of ${subject} is damaged or missing${more}: ${first.message}`, {
    hint: 'Copy the bundle again; "stowage verify" names every file that is wrong.',
    cause: first,
  })
}
