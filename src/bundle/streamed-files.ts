/** The files of a bundle that can be read only once: a compressed tar, a pipe or standard input. */
import { createHash, type Hash } from 'node:crypto'
import { counted, openStream, openTarStream } from '../archive/archive-stream.js'
import { inputTitle } from '../archive/standard-stream.js'
import type { Bytes, DiskRange, FetchOptions } from '../blob/blob-store.js'
import type { Plain } from '../blob/layer-watch.js'
import { abortError, StowageError } from '../errors.js'
import { type ArchiveCompression, ARCHIVE_COMPRESSIONS } from '../oci/compression.js'
import type { Digest } from '../oci/digest.js'
import { type ArchiveMember, readArchive } from '../tar/archive.js'
import { StreamInput } from '../tar/stream.js'
import { BLOBS } from './contents.js'
import type { BundleFile, BundleFiles, OpenFilesOptions, StreamSource } from './files.js'
import { LayerHash } from './layer-hash.js'
import { type StreamContent, DiskContent, MemoryContent } from './stream-content.js'

const BROKEN_PIPE = 'What sends it, or the connection, ended early: run both again. Nothing was written.'

/**
 * Reads the tar `path` to its end, and hashes every file. Stores the files in a workspace; without
 * `layers`, keeps only documents and manifests, in memory. Throws INVALID_TAR, UNSUPPORTED for a compression that cannot
 * be read, NO_SPACE.
 */
export async function openStreamedFiles(
  path: string,
  { size, bytes: given }: StreamSource,
  { layers = true, deep = false, beside, signal, onNotice, onProgress }: OpenFilesOptions,
): Promise<BundleFiles> {
  const name = inputTitle(path)
  onProgress?.({ type: 'stage', stage: 'read', subject: path })
  const bytes = counted(given ?? openStream(path, signal), path, size, onProgress)
  const { tar, compression } = await openTarStream(bytes, name, { signal })
  const content = layers ? await DiskContent.create(beside) : new MemoryContent(name)
  try {
    if (content instanceof DiskContent) {
      onNotice?.(
        `${reasonOf(name, compression)}: storing it in ${content.directory} first; if interrupted, it starts again`,
      )
    }
    await using input = new StreamInput(tar)
    const digests = new Map<string, Digest>()
    const plain = new Map<string, Plain>()
    const files = new Map<string, BundleFile>()
    for await (const member of readArchive(input, name, { signal })) {
      if (member.type !== 'directory') files.set(member.name, bundleFileOf(member))
      if (member.type !== 'file') continue
      const bytes = input.content(member.offset, member.size)
      if (deep && member.name.startsWith(`${BLOBS}/`)) {
        const hash = new LayerHash(member.name, signal)
        await content.put(member, added(bytes, hash, signal))
        const found = await hash.finish()
        digests.set(member.name, found.digest)
        plain.set(member.name, found.plain)
        continue
      }
      const hash = createHash('sha256')
      await content.put(member, hashed(bytes, hash, signal))
      digests.set(member.name, `sha256:${hash.digest('hex')}`)
    }
    onProgress?.({ type: 'done', subject: path })
    return new StreamedFiles(name, files, { digests, ...(deep ? { plain } : {}) }, content)
  } catch (error) {
    await content[Symbol.asyncDispose]()
    throw streamError(error, size, signal)
  }
}

/** Why a bundle can be read only once, for messages. */
export function reasonOf(name: string, compression: ArchiveCompression | undefined): string {
  return `${name} ${compression ? `is compressed with ${ARCHIVE_COMPRESSIONS[compression].title}` : 'is a stream'}`
}

/** The error of a bundle that could not be read to its end: a stream, whose `size` is undefined, may just have broken. */
export function streamError(error: unknown, size: number | undefined, signal: AbortSignal | undefined): unknown {
  const short =
    error instanceof StowageError &&
    error.code === 'INVALID_TAR' &&
    /truncated|ends early|fewer than/.test(error.message)
  return short && size === undefined ? error.withHint(BROKEN_PIPE) : abortError(error, signal)
}

export function bundleFileOf({ name, size, type }: ArchiveMember): BundleFile {
  return { path: name, size, type: type === 'file' ? 'file' : 'other' }
}

class StreamedFiles implements BundleFiles {
  readonly files: ReadonlyMap<string, BundleFile>
  readonly digests: ReadonlyMap<string, Digest>
  readonly plain?: ReadonlyMap<string, Plain>
  readonly #name: string
  readonly #content: StreamContent

  constructor(
    name: string,
    files: ReadonlyMap<string, BundleFile>,
    found: { readonly digests: ReadonlyMap<string, Digest>; readonly plain?: ReadonlyMap<string, Plain> },
    content: StreamContent,
  ) {
    this.#name = name
    this.files = files
    this.digests = found.digests
    if (found.plain) this.plain = found.plain
    this.#content = content
  }

  async *read(path: string, options: FetchOptions = {}): Bytes {
    this.#expect(path)
    yield* this.#content.read(path, options)
  }

  ranges(path: string): readonly DiskRange[] | undefined {
    this.#expect(path)
    const place = this.#content.place(path)
    return place && [place]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#content[Symbol.asyncDispose]()
  }

  #expect(path: string): void {
    if (!this.digests.has(path)) throw new StowageError('BLOB_MISSING', `${path} is not in ${this.#name}`)
  }
}

async function* added(bytes: Bytes, hash: LayerHash, signal: AbortSignal | undefined): Bytes {
  for await (const piece of bytes) {
    signal?.throwIfAborted()
    await hash.add(piece)
    yield piece
  }
}

async function* hashed(bytes: Bytes, hash: Hash, signal: AbortSignal | undefined): Bytes {
  for await (const piece of bytes) {
    signal?.throwIfAborted()
    hash.update(piece)
    yield piece
  }
}
