/** Serves bundles and layouts as a read-only registry, straight from their files. Source: OCI distribution-spec. */
import { readFile } from 'node:fs/promises'
import { createServer as createHttp, type Server } from 'node:http'
import { createServer as createHttps } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { createSecureContext } from 'node:tls'
import pMap from 'p-map'
import { abortError, fileError, StowageError, systemCode, systemReason } from '../errors.js'
import { keyPairFault } from '../http/key-pair.js'
import type { Shelf } from '../image/shelf.js'
import type { WaitOptions } from '../progress.js'
import type { Trust } from '../signature/trust.js'
import { groupVolumes } from '../volumes/find.js'
import { answer, type AnswerOptions } from './answer.js'
import { type Catalog, type CatalogImage, readServedCatalog } from './catalog.js'
import { ServedContent } from './content.js'
import { readHtpasswd } from './htpasswd.js'
import { formatHost, parseListen } from './listen.js'
import { openShelf } from './shelf.js'
import { type FailedConnection, followStrangers, untimely } from './strangers.js'

export interface ServeOptions extends WaitOptions {
  /** `HOST:PORT`, by default 127.0.0.1:5000. Port 0 means any free port. */
  readonly listen?: string | undefined
  /** PEM files: the certificate with its chain, and its key. Without them the server uses plain http. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string } | undefined
  /** A file of `name:bcrypt` lines, as `htpasswd -B` writes it: only the users in it may read. */
  readonly htpasswd?: string | undefined
  /** Checks every blob at startup, instead of each when it is first requested. */
  readonly verify?: boolean | undefined
  /** What must be true of each bundle. */
  readonly trust?: Trust | undefined
  /** Called with a sentence for the user, such as that a compressed bundle is stored first. */
  readonly onNotice?: ((sentence: string) => void) | undefined
  /** Called at the end of each request. */
  readonly onRequest?: ((request: ServedRequest) => void) | undefined
  /** Called for each connection that had no request because the client speaks TLS and the server does not, or the reverse, or because one refused the other. */
  readonly onFailedConnection?: ((failure: FailedConnection) => void) | undefined
  /** Milliseconds after which a client that reads nothing is disconnected; a minute by default. */
  readonly patience?: number | undefined
}

export interface ServedRequest {
  /** When the request arrived. */
  readonly time: Date
  readonly client: string
  /** The authenticated user. */
  readonly user: string | undefined
  readonly method: string
  /** Path and query as the client sent them, not sanitized. */
  readonly target: string
  readonly status: number
  /** Bytes of the body sent. */
  readonly sent: number
  /** In milliseconds. */
  readonly duration: number
  /** Set if the request could not be answered, or if the transfer broke off. */
  readonly error: StowageError | undefined
}

export interface BundleServer extends AsyncDisposable {
  readonly address: ServeAddress
  /** One for each name of each image. */
  readonly images: readonly CatalogImage[]
  /** One sentence for each image that is not served, or not under the expected name. */
  readonly warnings: readonly string[]
  /** Stops listening, and gives running requests five seconds to finish. */
  close(): Promise<void>
}

export interface ServeAddress {
  readonly host: string
  readonly port: number
  /** `http://127.0.0.1:5000` */
  readonly url: string
}

const PATIENCE = 60_000
/** Milliseconds in which a client must send the head of a request, and the whole request. */
const HEAD_TIMEOUT = 15_000
const REQUEST_TIMEOUT = 30_000
/** Milliseconds that a connection may be idle between two requests. */
const KEEP_ALIVE_TIMEOUT = 30_000
const HANDSHAKE_TIMEOUT = 15_000
const HEAD_LIMIT = 16 * 1024
/** Each connection may hold half a MiB. */
const MAX_CONNECTIONS = 512
/** Milliseconds that running requests have to finish when the server closes. */
const GRACE = 5_000

/**
 * Serves the images of `places`, which are bundles (`PATH`, `bundle:PATH[:REF]`; of one in volumes also several paths) and
 * OCI layouts (`oci:DIR[:REF]`),
 * until it is closed or `signal` is aborted. All content is checked against its digest before a client has all of it.
 * Throws what opening the places throws; IMAGE_NOT_FOUND if no image has a name; INVALID_ARGUMENT if a name refers to
 * two images, the address is invalid, the certificate and key do not match, or the htpasswd file has hashes other than
 * bcrypt; BUSY if the address is in use.
 */
export async function serveBundle(places: readonly string[], options: ServeOptions = {}): Promise<BundleServer> {
  const {
    listen,
    tls,
    htpasswd,
    verify = false,
    trust,
    signal,
    onNotice,
    onProgress,
    onRequest,
    onFailedConnection,
    patience = PATIENCE,
  } = options
  if (places.length === 0)
    throw new StowageError('INVALID_ARGUMENT', 'no bundle was named', { hint: 'Name a bundle, or oci:DIR.' })
  const listenAddress = parseListen(listen)
  const authenticator = htpasswd === undefined ? undefined : await readHtpasswd(htpasswd)
  const credentials = tls && (await readCertificate(tls))
  const shelves: Shelf[] = []
  const content = new ServedContent(shelves)
  const release = async (): Promise<void> => {
    await content[Symbol.asyncDispose]()
    await Promise.all(shelves.map(async shelf => await shelf[Symbol.asyncDispose]()))
  }
  try {
    for (const [place = '', ...more] of await groupVolumes(places))
      shelves.push(await openShelf(place, { more, trust, signal, onNotice, onProgress }))
    const catalog = await readServedCatalog(shelves, content, signal ?? new AbortController().signal)
    if (verify) await checkAll(content, catalog, places.join(', '), { signal, onProgress })
    const server = makeServer({ catalog, content, authenticator, patience }, credentials, onRequest)
    if (onFailedConnection) followStrangers(server, onFailedConnection)
    const sockets = followSockets(server)
    await startListening(server, listenAddress, signal)
    const warnings = [...catalog.warnings, ...(credentials && tls ? untimely(tls.certFile, credentials.cert) : [])]
    return new Serving(server, sockets, { images: catalog.images, warnings }, tls ? 'https' : 'http', release, signal)
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
  /** All open sockets, including those without a request yet, which closing the server leaves open. */
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
    const { address: host, port } = server.address() as AddressInfo // it is listening, and not on a pipe
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
    // Close each kept-alive connection once its pending response has ended
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
    const pair = { cert: String(cert), key: String(key) }
    const why = keyPairFault(pair, [certFile, keyFile], error)
    throw new StowageError('INVALID_ARGUMENT', `${certFile} and ${keyFile} are not a certificate and its key: ${why}`, {
      hint: 'Both must be PEM files, and the key must not have a passphrase.',
      cause: error,
    })
  }
  return { cert: cert as Buffer, key: key as Buffer } // one result for each of the two paths
}

function makeServer(
  options: AnswerOptions,
  certificate: Certificate | undefined,
  onRequest: ServeOptions['onRequest'],
): Server {
  const limits = {
    maxHeaderSize: HEAD_LIMIT,
    headersTimeout: HEAD_TIMEOUT,
    requestTimeout: REQUEST_TIMEOUT,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT,
    connectionsCheckingInterval: 2000,
    noDelay: true,
  }
  const server = certificate
    ? createHttps({ ...limits, ...certificate, handshakeTimeout: HANDSHAKE_TIMEOUT })
    : createHttp(limits)
  server.maxConnections = MAX_CONNECTIONS
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
  server.on('error', () => undefined) // a connection that cannot be accepted must not stop the others
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
      return new StowageError('INVALID_ARGUMENT', `cannot listen on ${address}: ${systemReason(error)}`, {
        hint,
        cause: error,
      })
  }
}

/** Checks all blobs, several at a time. Throws the first error, after counting all of them. */
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
  const more = faults.length > 1 ? `, as are ${faults.length - 1} more` : ''
  throw new StowageError(first.code, `a blob of ${subject} is damaged or missing${more}: ${first.message}`, {
    hint: 'Copy the bundle again; "stowage verify" names every damaged file.',
    cause: first,
  })
}
