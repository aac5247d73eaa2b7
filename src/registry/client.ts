/** A client for the registry API. Source: OCI distribution-spec. */
import type { Bytes, FetchOptions } from '../blob/blob-store.js'
import { StowageError } from '../errors.js'
import { type Descriptor, describe } from '../oci/descriptor.js'
import { type Digest, digestOf, isDigest } from '../oci/digest.js'
import { MANIFEST_LIMIT, parseManifest } from '../oci/manifest.js'
import { DOCKER_INDEX, DOCKER_MANIFEST, isIndex, isManifest, OCI_INDEX, OCI_MANIFEST } from '../oci/media-type.js'
import { drain, readAll } from '../http/answer.js'
import { type ConnectionOptions, RegistryConnection } from './connection.js'
import { checkedAddress, downloadBlob } from './blob-download.js'
import type { HttpAnswer } from '../http/exchange.js'
import { type CredentialsOptions, findCredential } from './credentials.js'
import { type EndpointOptions, findRegistry } from './endpoint.js'
import { referrersTag } from '../oci/referrer-tag.js'
import { indexOfReferrers, parseReferrers, referrerOf } from './referrers.js'
import type { Scope } from './token.js'
import { putManifest, uploadBlob, type UploadOptions } from './upload.js'

export interface RegistryOptions
  extends EndpointOptions, CredentialsOptions, Omit<ConnectionOptions, 'credential' | 'env'> {}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
}

/** A manifest or index with its exact bytes. */
export interface FoundManifest {
  readonly descriptor: Descriptor
  readonly bytes: Uint8Array
}

interface PartOptions extends FetchOptions {
  /** Position of the first byte to read. */
  readonly offset?: number | undefined
}

/** In order of preference: Docker's registry returns the first type that it has. */
const ACCEPTED = [OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST].join(', ')
/** Names per page of tags or repositories. */
const PAGE = 1000

/** Opens the registry that references call `domain`. It connects with the first request. */
export async function openRegistry(domain: string, options: RegistryOptions = {}): Promise<RegistryClient> {
  const endpoint = await findRegistry(domain, options)
  const credential = async (repository: string) => await findCredential(domain, repository, options)
  return new RegistryClient(new RegistryConnection(endpoint, { ...options, credential }), options.backoff)
}

export class RegistryClient implements AsyncDisposable {
  readonly #connection: RegistryConnection
  readonly #backoff: number | undefined
  #listing: Promise<unknown> = Promise.resolve()

  constructor(connection: RegistryConnection, firstWait?: number) {
    this.#connection = connection
    this.#backoff = firstWait
  }

  get domain(): string {
    return this.#connection.endpoint.domain
  }

  /**
   * The manifest under `reference`, a tag or a digest. Its bytes are checked against that digest or, for a tag, the
   * digest that the registry reports. Throws IMAGE_NOT_FOUND, DIGEST_MISMATCH, INVALID_MANIFEST, and connection errors.
   */
  async manifest(repository: string, reference: string, options: CallOptions = {}): Promise<FoundManifest> {
    const answer = await this.#pull(
      'GET',
      repository,
      `/manifests/${reference}`,
      { accept: ACCEPTED },
      { ...options, whole: MANIFEST_LIMIT },
    )
    if (answer.status === 404) throw await this.#notFound(repository, reference, answer)
    if (answer.status !== 200)
      throw await this.#connection.refusal(answer, `reading ${this.domain}/${repository}:${reference}`)
    const bytes = await readAll(answer, MANIFEST_LIMIT)
    const digest = digestOf(bytes)
    const reported = answer.header('docker-content-digest')
    const expected = isDigest(reference) ? reference : isDigest(reported) ? reported : digest
    if (digest !== expected) {
      throw new StowageError(
        'DIGEST_MISMATCH',
        `${this.domain}/${repository}: expected the manifest ${expected} but its ${bytes.length} bytes are ${digest}`,
      )
    }
    return { descriptor: { mediaType: this.#mediaType(answer, bytes), digest, size: bytes.length }, bytes }
  }

  /**
   * The descriptor of the manifest under `reference`, or undefined. Unlike {@link manifest}, Docker Hub does not count
   * this request as a pull.
   */
  async headManifest(
    repository: string,
    reference: string,
    options: CallOptions = {},
  ): Promise<Descriptor | undefined> {
    const answer = await this.#pull('HEAD', repository, `/manifests/${reference}`, { accept: ACCEPTED }, options)
    await drain(answer)
    if (answer.status === 404) return undefined
    if (answer.status !== 200)
      throw await this.#connection.refusal(answer, `looking for ${this.domain}/${repository}:${reference}`)
    const [digest, size, type] = ['docker-content-digest', 'content-length', 'content-type'].map(name =>
      answer.header(name),
    )
    if (isDigest(digest) && size !== undefined && type !== undefined)
      return { mediaType: mediaTypeOf(type), digest, size: Number(size) }
    return (await this.manifest(repository, reference, options)).descriptor
  }

  async hasBlob(repository: string, blob: Descriptor, options: CallOptions = {}): Promise<boolean> {
    const answer = await this.#pull('HEAD', repository, `/blobs/${blob.digest}`, {}, options)
    await drain(answer)
    if (answer.status === 404) return false
    if (answer.status !== 200)
      throw await this.#connection.refusal(answer, `looking for ${blob.digest} in ${this.domain}/${repository}`)
    return true
  }

  /**
   * The bytes of `blob` from `offset` on. If a connection ends early, a new request to the registry continues there,
   * because signed URLs expire. Only the number of bytes is checked. Throws BLOB_MISSING, SIZE_MISMATCH,
   * REGISTRY_REFUSED, REGISTRY_UNREACHABLE after several attempts without progress.
   */
  async *blob(repository: string, blob: Descriptor, options: PartOptions = {}): Bytes {
    const path = `/blobs/${blob.digest}`
    const where = `${this.domain}/${repository}`
    yield* downloadBlob(
      this.#connection,
      blob,
      where,
      { ...options, backoff: this.#backoff },
      async (headers, large) =>
        await this.#pull('GET', repository, path, headers, {
          ...options,
          downloader: large ? options.downloader : undefined,
        }),
    )
  }

  /**
   * The same from `url`, one of the URLs of a foreign layer. Credentials for the registry are not sent there. URLs on
   * this machine are rejected unless the registry is on it too, so that an image cannot make requests to local
   * services. Throws REGISTRY_PROTOCOL.
   */
  async *external(url: string, blob: Descriptor, options: PartOptions = {}): Bytes {
    const { host } = checkedAddress(url, blob, this.domain, this.#connection.endpoint.host)
    const { signal } = options
    yield* downloadBlob(
      this.#connection,
      blob,
      host,
      { ...options, backoff: this.#backoff },
      async headers =>
        await this.#connection.request({
          method: 'GET',
          target: url,
          repository: '',
          scopes: [],
          headers,
          signal,
          anonymous: true,
        }),
    )
  }

  /** Uploads a blob: see {@link uploadBlob}. */
  async putBlob(
    repository: string,
    blob: Descriptor,
    read: () => Bytes,
    options: Pick<UploadOptions, 'signal' | 'mountFrom' | 'place' | 'onSent'> = {},
  ): Promise<'mounted' | 'uploaded'> {
    return await uploadBlob(this.#connection, repository, blob, read, { ...options, firstWait: this.#backoff })
  }

  /**
   * Uploads a manifest under a tag or its digest: see {@link putManifest}. If it has a `subject` and the registry does
   * not list referrers itself, the list is maintained under the referrers tag of the distribution-spec.
   */
  async putManifest(
    repository: string,
    reference: string,
    manifest: FoundManifest,
    options: CallOptions = {},
  ): Promise<void> {
    const { listed } = await putManifest(
      this.#connection,
      repository,
      reference,
      manifest.descriptor,
      manifest.bytes,
      options,
    )
    const { digest, mediaType } = manifest.descriptor
    const { subject } = parseManifest(manifest.bytes, digest, mediaType)
    if (!subject || listed) return
    // The list is read, extended and written: concurrent updates would lose an entry
    const update = this.#listing.then(
      async () => await this.#listReferrer(repository, subject.digest, manifest, options),
    )
    this.#listing = update.catch(() => undefined) // the caller gets the error
    await update
  }

  /**
   * Descriptors of the manifests whose subject is `digest`, as the registry lists them or, if it has no referrers API,
   * from the index under the referrers tag of the distribution-spec.
   */
  async referrers(repository: string, digest: Digest, options: CallOptions = {}): Promise<readonly Descriptor[]> {
    const found: Descriptor[] = []
    const pages = new Set<string>()
    for (let next: string | undefined = `/v2/${repository}/referrers/${digest}`; next !== undefined;) {
      const answer: HttpAnswer = await this.#ask(next, repository, { accept: OCI_INDEX }, options)
      if (answer.status !== 200 || mediaTypeOf(answer.header('content-type') ?? '') !== OCI_INDEX) {
        // Registries without the referrers API respond with various status codes, and some with an HTML page
        await drain(answer)
        return pages.size === 0 ? await this.#taggedReferrers(repository, digest, options) : found
      }
      found.push(...parseReferrers(await readAll(answer, MANIFEST_LIMIT), `${this.domain}${next}`))
      next = this.#nextPage(answer, pages.add(next))
    }
    return found
  }

  /** All tags of a repository, in the registry's order. Throws IMAGE_NOT_FOUND if there is no such repository. */
  async *tags(repository: string, options: CallOptions = {}): AsyncIterable<string> {
    yield* this.#pages(
      `/v2/${repository}/tags/list?n=${PAGE}`,
      repository,
      `repository:${repository}:pull`,
      'tags',
      options,
    )
  }

  /** All repositories in the registry's catalog. Many registries have none. */
  async *repositories(options: CallOptions = {}): AsyncIterable<string> {
    yield* this.#pages(`/v2/_catalog?n=${PAGE}`, '', 'registry:catalog:*', 'repositories', options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]()
  }

  async #pull(
    method: 'GET' | 'HEAD',
    repository: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    { signal, downloader, whole }: FetchOptions & { readonly whole?: number },
  ): Promise<HttpAnswer> {
    const scopes = [`repository:${repository}:pull`]
    return await this.#connection.request({
      method,
      target: `/v2/${repository}${path}`,
      repository,
      scopes,
      headers,
      signal,
      downloader,
      whole,
    })
  }

  async #ask(
    target: string,
    repository: string,
    headers: Readonly<Record<string, string>>,
    { signal }: CallOptions,
  ): Promise<HttpAnswer> {
    return await this.#connection.request({
      method: 'GET',
      target,
      repository,
      scopes: [`repository:${repository}:pull`],
      headers,
      signal,
      whole: MANIFEST_LIMIT,
    })
  }

  async #taggedReferrers(repository: string, digest: Digest, options: CallOptions): Promise<readonly Descriptor[]> {
    const tag = referrersTag(digest)
    try {
      const { bytes, descriptor } = await this.manifest(repository, tag, options)
      return isIndex(descriptor.mediaType) ? parseReferrers(bytes, `${this.domain}/${repository}:${tag}`) : []
    } catch (error) {
      if (error instanceof StowageError && error.code === 'IMAGE_NOT_FOUND') return []
      throw error
    }
  }

  async #listReferrer(
    repository: string,
    subject: Digest,
    { descriptor, bytes }: FoundManifest,
    options: CallOptions,
  ): Promise<void> {
    const before = await this.#taggedReferrers(repository, subject, options)
    if (before.some(({ digest }) => digest === descriptor.digest)) return
    const index = indexOfReferrers([...before, referrerOf(descriptor, bytes)])
    await putManifest(this.#connection, repository, referrersTag(subject), describe(OCI_INDEX, index), index, options)
  }

  async *#pages(
    target: string,
    repository: string,
    scope: Scope,
    field: string,
    { signal }: CallOptions,
  ): AsyncIterable<string> {
    const pages = new Set<string>()
    for (let next: string | undefined = target; next !== undefined;) {
      const answer: HttpAnswer = await this.#connection.request({
        method: 'GET',
        target: next,
        repository,
        scopes: [scope],
        signal,
        whole: MANIFEST_LIMIT,
      })
      if (answer.status === 404) throw await this.#notFound(repository, undefined, answer)
      if (answer.status !== 200)
        throw await this.#connection.refusal(
          answer,
          `listing ${field} of ${this.domain}${repository === '' ? '' : `/${repository}`}`,
        )
      yield* namesOf(await this.#connection.text(answer, MANIFEST_LIMIT), field)
      next = this.#nextPage(answer, pages.add(next))
    }
  }

  /**
   * The path of the page after `answer`, always on this registry. Throws REGISTRY_PROTOCOL if it is one of `before`.
   */
  #nextPage(answer: HttpAnswer, before: ReadonlySet<string>): string | undefined {
    const link = /<([^>]*)>\s*;\s*rel="?next"?/i.exec(answer.header('link') ?? '')?.[1]
    if (link === undefined) return undefined
    const { pathname, search } = this.#connection.resolve(answer, link)
    const next = `${pathname}${search}`
    if (!before.has(next)) return next
    throw new StowageError(
      'REGISTRY_PROTOCOL',
      `the pages of a list from ${this.domain} form a loop: after ${before.size} pages, ${JSON.stringify(next.slice(0, 200))} is repeated`,
    )
  }

  async #notFound(repository: string, reference: string | undefined, answer: HttpAnswer): Promise<StowageError> {
    await drain(answer)
    const name = `${this.domain}/${repository}`
    if (reference === undefined)
      return new StowageError('IMAGE_NOT_FOUND', `${this.domain} has no repository ${repository}`)
    const separator = isDigest(reference) ? '@' : ':'
    return new StowageError('IMAGE_NOT_FOUND', `${this.domain} has no image ${name}${separator}${reference}`, {
      hint: 'Check the name and tag. A registry may also say this if you are not logged in: stowage login.',
    })
  }

  #mediaType(answer: HttpAnswer, bytes: Uint8Array): string {
    const reported = mediaTypeOf(answer.header('content-type') ?? '')
    if (isIndex(reported) || isManifest(reported)) return reported
    try {
      const { mediaType } = JSON.parse(Buffer.from(bytes).toString()) as { mediaType?: unknown }
      if (typeof mediaType === 'string') return mediaType
    } catch {
      // parseManifest() reports the error later
    }
    if (reported.includes('.v1+prettyjws') || reported === 'application/json') {
      throw new StowageError(
        'UNSUPPORTED',
        `${this.domain} answered with an image of schema 1, which has been obsolete since 2017`,
      )
    }
    return reported
  }
}

function mediaTypeOf(header: string): string {
  return (header.split(';')[0] ?? '').trim()
}

function namesOf(text: string, field: string): readonly string[] {
  try {
    const names = (JSON.parse(text) as Readonly<Record<string, unknown>>)[field]
    return Array.isArray(names) ? names.filter(name => typeof name === 'string') : []
  } catch (error) {
    throw new StowageError('REGISTRY_PROTOCOL', `the list of ${field} is not JSON`, { cause: error })
  }
}
