/** Answers requests as a read-only registry. Source: OCI distribution-spec 1.1. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { isDigest } from '../oci/digest.js'
import { OCI_INDEX } from '../oci/media-type.js'
import { type Catalog, encodeReferrers, type Repository } from './catalog.js'
import { isContentError, type ServedContent } from './content.js'
import type { Authenticator } from './htpasswd.js'
import { pageOf } from './page.js'
import { parseByteRange } from './range.js'
import { parseTarget, type RequestTarget, type Route } from './route.js'
import { send } from './send.js'

export interface AnswerOptions {
  readonly catalog: Catalog
  readonly content: ServedContent
  readonly authenticator: Authenticator | undefined
  /** Milliseconds after which a client that reads nothing is disconnected. */
  readonly patience: number
}

/** The result of a request. */
export interface Outcome {
  readonly status: number
  /** Bytes of the body sent. */
  readonly sent: number
  readonly user: string | undefined
  /** Set if the server failed, or if the transfer broke off. */
  readonly error: StowageError | undefined
}

/** Error codes of the distribution-spec, and of Docker's registry if the specification has none. */
type ErrorName =
  | 'BLOB_UNKNOWN'
  | 'DIGEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_UNKNOWN'
  | 'UNAUTHORIZED'
  | 'UNSUPPORTED'
  | 'TOOMANYREQUESTS'
  | 'RANGE_INVALID'
  | 'PAGINATION_NUMBER_INVALID'
  | 'UNAVAILABLE'
  | 'UNKNOWN'

/** Maximum length of a request target in bytes: a name has up to 255, a digest 71. */
const LONGEST_TARGET = 4096

/** Answers one request. Never throws. */
export async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: AnswerOptions,
): Promise<Outcome> {
  const exchange = new Exchange(request, response, options)
  const error = await exchange.run()
  return { status: response.statusCode, sent: exchange.sent, user: exchange.user, error }
}

class Exchange {
  sent = 0
  user: string | undefined
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #options: AnswerOptions
  readonly #closed = new AbortController()

  constructor(request: IncomingMessage, response: ServerResponse, options: AnswerOptions) {
    this.#request = request
    this.#response = response
    this.#options = options
    response.on('error', () => undefined) // a broken connection also emits 'close'
    response.once('close', () => this.#closed.abort(new StowageError('ABORTED', 'the client closed the connection')))
  }

  async run(): Promise<StowageError | undefined> {
    const response = this.#response
    response.setHeader('docker-distribution-api-version', 'registry/2.0')
    response.setHeader('x-content-type-options', 'nosniff')
    try {
      await this.#answer()
      return undefined
    } catch (error) {
      const known =
        error instanceof StowageError
          ? error
          : new StowageError('IO_ERROR', `the request could not be answered: ${String(error)}`, { cause: error })
      if (response.headersSent || known.code === 'ABORTED')
        response.destroy() // the client sees that the body is shorter than its content-length
      else await this.#fail(known, { expected: error === known }).catch(() => response.destroy())
      return known
    }
  }

  async #answer(): Promise<void> {
    const { method = '', url = '' } = this.#request
    if (url.length > LONGEST_TARGET) {
      await this.#refuse(414, 'UNSUPPORTED', 'the address is too long')
      return
    }
    if (!(await this.#authenticate())) return
    if (method !== 'GET' && method !== 'HEAD') {
      this.#response.setHeader('allow', 'GET, HEAD')
      this.#response.setHeader('connection', 'close') // the body of the request is not read
      await this.#refuse(405, 'UNSUPPORTED', 'this registry is read-only: nothing can be pushed or deleted')
      return
    }
    const { route, query, path } = parseTarget(url)
    if (!route) {
      await this.#refuse(404, 'NAME_UNKNOWN', 'this is a registry: its content is below /v2/')
      return
    }
    await this.#follow(route, { route, query, path })
  }

  /** Whether the client may read. If not, the request has been answered. */
  async #authenticate(): Promise<boolean> {
    const { authenticator } = this.#options
    if (!authenticator) return true
    const user = await authenticator.authenticate(this.#request.headers.authorization)
    if (user === 'busy') {
      this.#response.setHeader('retry-after', '1')
      await this.#refuse(429, 'TOOMANYREQUESTS', 'too many passwords are being checked')
      return false
    }
    this.user = user?.name
    if (user) return true
    this.#response.setHeader('www-authenticate', 'Basic realm="stowage", charset="UTF-8"')
    await this.#refuse(401, 'UNAUTHORIZED', 'user name and password are required')
    return false
  }

  async #follow(route: Route, target: RequestTarget): Promise<void> {
    const { catalog } = this.#options
    if (route.type === 'version') {
      await this.#json({})
      return
    }
    if (route.type === 'catalog') {
      await this.#page('repositories', catalog.names, target, {})
      return
    }
    const repository = this.#find(route.repository, target.query)
    if (!repository) {
      await this.#refuse(404, 'NAME_UNKNOWN', 'there is no such repository')
      return
    }
    switch (route.type) {
      case 'tags': {
        await this.#page('tags', repository.tags, target, { name: route.repository })
        return
      }
      case 'manifest': {
        await this.#manifest(repository, route.reference)
        return
      }
      case 'blob': {
        await this.#blob(repository, route.digest)
        return
      }
      case 'referrers': {
        await this.#referrers(repository, route.digest, target.query)
        return
      }
    }
  }

  /**
   * The repository `name`. If a client uses this server as a mirror, as containerd does, the query parameter `ns` names
   * the registry, whose repository of that name is meant.
   */
  #find(name: string, query: URLSearchParams): Repository | undefined {
    const { repositories } = this.#options.catalog
    const registry = query.get('ns')
    if (registry === null || registry === '') return repositories.get(name)
    const own = registry === 'registry-1.docker.io' || registry === 'index.docker.io' ? 'docker.io' : registry
    return repositories.get(`${own}/${name}`) ?? (name.startsWith(`${own}/`) ? repositories.get(name) : undefined)
  }

  async #manifest(repository: Repository, reference: string): Promise<void> {
    // The reference is only used as a key
    const manifest = repository.byTag.get(reference) ?? repository.manifests.get(reference as Digest)
    if (!manifest) {
      await this.#refuse(404, 'MANIFEST_UNKNOWN', `${repository.name} has no such tag or manifest`)
      return
    }
    await this.#content(manifest, manifest.mediaType)
  }

  async #blob(repository: Repository, digest: string): Promise<void> {
    const blob = repository.blobs.get(digest as Digest) // only used as a key
    if (blob) {
      await this.#content(blob, 'application/octet-stream')
      return
    }
    if (!/^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]+$/.test(digest)) {
      await this.#refuse(400, 'DIGEST_INVALID', 'this is not a digest')
      return
    }
    await this.#refuse(404, 'BLOB_UNKNOWN', `${repository.name} has no such blob`)
  }

  async #content(blob: Descriptor, mediaType: string): Promise<void> {
    const { content, patience } = this.#options
    const { headers, method } = this.#request
    const response = this.#response
    const tag = `"${blob.digest}"`
    await using opened = await content.open(blob)
    response.setHeader('docker-content-digest', blob.digest)
    response.setHeader('etag', tag)
    response.setHeader('accept-ranges', 'bytes')
    if (matches(headers['if-none-match'], tag)) {
      await this.#empty(304)
      return
    }
    const same = headers['if-range'] === undefined || headers['if-range'] === tag
    const range = method === 'GET' && same ? parseByteRange(headers.range, blob.size) : undefined
    if (range === 'unsatisfiable') {
      response.setHeader('content-range', `bytes */${blob.size}`)
      await this.#refuse(416, 'RANGE_INVALID', `the content has ${blob.size} bytes`)
      return
    }
    const { start, end } = range ?? { start: 0, end: blob.size }
    const sendHead = (): void => {
      const contentRange = range ? { 'content-range': `bytes ${start}-${end - 1}/${blob.size}` } : {}
      const fields = { 'content-type': mediaType, 'content-length': end - start, ...contentRange }
      response.writeHead(range ? 206 : 200, fields)
    }
    if (method === 'HEAD') {
      sendHead()
      await this.#end()
      return
    }
    const bytes = opened.bytes(start, end, this.#closed.signal)[Symbol.asyncIterator]()
    // Read the first piece before sending the head, so that a small damaged blob gets an error status
    const first = await bytes.next()
    sendHead()
    await send(response, resumed(first, bytes), patience, size => (this.sent += size))
  }

  async #referrers(repository: Repository, digest: string, query: URLSearchParams): Promise<void> {
    if (!isDigest(digest)) {
      await this.#refuse(400, 'DIGEST_INVALID', 'this is not a SHA-256 digest')
      return
    }
    const wanted = query.getAll('artifactType').filter(type => type !== '')
    const all = repository.referrers.get(digest) ?? []
    if (wanted.length > 0) this.#response.setHeader('oci-filters-applied', 'artifactType')
    const chosen = wanted.length === 0 ? all : all.filter(({ artifactType }) => wanted.includes(artifactType ?? ''))
    await this.#body(200, OCI_INDEX, encodeReferrers(chosen))
  }

  async #page(
    field: 'tags' | 'repositories',
    names: readonly string[],
    { query, path }: RequestTarget,
    rest: Readonly<Record<string, string>>,
  ): Promise<void> {
    const page = pageOf(names, query)
    if (!page) {
      await this.#refuse(400, 'PAGINATION_NUMBER_INVALID', 'n is not a number')
      return
    }
    if (page.next !== undefined) this.#response.setHeader('link', `<${path}?${page.next}>; rel="next"`)
    await this.#json({ ...rest, [field]: page.names })
  }

  /**
   * Sends the status for an error: 404 if a blob is missing or damaged, which will not change, and 503 if the medium
   * cannot be read, because it may come back.
   */
  async #fail(error: StowageError, { expected }: { readonly expected: boolean }): Promise<void> {
    for (const name of ['docker-content-digest', 'etag', 'accept-ranges']) this.#response.removeHeader(name)
    if (!expected) await this.#refuse(500, 'UNKNOWN', 'the request could not be answered')
    else if (isContentError(error)) await this.#refuse(404, 'BLOB_UNKNOWN', 'the local copy is damaged')
    else if (error.code === 'BLOB_MISSING') await this.#refuse(404, 'BLOB_UNKNOWN', 'the local copy is missing')
    else await this.#refuse(503, 'UNAVAILABLE', 'the medium that holds the content cannot be read')
  }

  async #refuse(status: number, code: ErrorName, message: string): Promise<void> {
    await this.#body(status, 'application/json', Buffer.from(JSON.stringify({ errors: [{ code, message }] })))
  }

  async #json(value: unknown): Promise<void> {
    await this.#body(200, 'application/json', Buffer.from(JSON.stringify(value)))
  }

  async #body(status: number, mediaType: string, bytes: Uint8Array): Promise<void> {
    this.#response.writeHead(status, { 'content-type': mediaType, 'content-length': bytes.length })
    if (this.#request.method === 'HEAD') {
      await this.#end()
      return
    }
    await send(this.#response, once(bytes), this.#options.patience, size => (this.sent += size))
  }

  async #empty(status: number): Promise<void> {
    this.#response.writeHead(status)
    await this.#end()
  }

  async #end(): Promise<void> {
    await send(this.#response, once(), this.#options.patience, () => undefined)
  }
}

/** Whether an If-None-Match header, a list of weak or strong tags or `*`, matches `tag`. */
function matches(header: string | undefined, tag: string): boolean {
  return (header ?? '')
    .split(',')
    .map(item => item.trim().replace(/^W\//, ''))
    .some(item => item === tag || item === '*')
}

async function* once(...pieces: readonly Uint8Array[]): AsyncIterable<Uint8Array> {
  yield* pieces
}

async function* resumed(first: IteratorResult<Uint8Array>, rest: AsyncIterator<Uint8Array>): AsyncIterable<Uint8Array> {
  try {
    for (let next = first; next.done !== true; next = await rest.next()) yield next.value
  } finally {
    await rest.return?.()
  }
}
