/** The files of a bundle that can be read only once: a compressed tar, a pipe or standard input. */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { counted, openStream, openTarStream } from '../archive/archive-stream.js'
import { inputTitle } from '../archive/standard-stream.js'
import type { Bytes, FetchOptions } from '../blob/blob-store.js'
import { writeAll } from '../blob/durable.js'
import { Workspace } from '../blob/workspace.js'
import { abortError, outputError, StowageError } from '../errors.js'
import { ARCHIVE_COMPRESSIONS } from '../oci/compression.js'
import type { Digest } from '../oci/digest.js'
import { MANIFEST_LIMIT } from '../oci/manifest.js'
import { type ArchiveMember, listArchive } from '../tar/archive.js'
import { pieces } from '../tar/pieces.js'
import { StreamInput } from '../tar/stream.js'
import { BLOBS, DOCUMENTS } from './contents.js'
import type { BundleFile, BundleFiles, OpenFilesOptions } from './files.js'

/** Bytes of documents and manifests that are held in memory. */
const MEMORY_LIMIT = 512 * 1024 * 1024
const BROKEN_PIPE = 'What sends it, or the connection, ended early: run both again. Nothing was written.'
/** The first byte of a manifest: `{`, or white space before it. */
const JSON_START = /^[{\s]/

/**
 * Reads the tar `path` of `size` bytes to its end, and hashes every file. Stores the files in a workspace; without
 * `layers`, keeps only documents and manifests, in memory. Throws INVALID_TAR, UNSUPPORTED for a compression that cannot
 * be read, NO_SPACE.
 */
export async function openStreamedFiles(
  path: string,
  size: number | undefined,
  { layers = true, beside, signal, onNotice, onProgress }: OpenFilesOptions,
): Promise<BundleFiles> {
  const name = inputTitle(path)
  onProgress?.({ type: 'stage', stage: 'read', subject: path })
  const bytes = counted(openStream(path, signal), path, size, onProgress)
  const { tar, compression } = await openTarStream(bytes, name, { signal })
  const content = layers ? await DiskContent.create(beside) : new MemoryContent(name)
  try {
    if (content instanceof DiskContent) {
      const reason = compression ? `is compressed with ${ARCHIVE_COMPRESSIONS[compression].title}` : 'is a stream'
      onNotice?.(`${name} ${reason}: storing it in ${content.directory} first; if interrupted, it starts again`)
    }
    await using input = new StreamInput(tar)
    const digests = new Map<string, Digest>()
    const members = await listArchive(input, name, {
      signal,
      async onMember(member) {
        if (member.type !== 'file') return
        const hash = createHash('sha256')
        await content.put(member, hashed(input.content(member.offset, member.size)))
        digests.set(member.name, `sha256:${hash.digest('hex')}`)

        async function* hashed(bytes: Bytes): Bytes {
          for await (const piece of bytes) {
            signal?.throwIfAborted()
            hash.update(piece)
            yield piece
          }
        }
      },
    })
    onProgress?.({ type: 'done', subject: path })
    const files = members.filter(({ type }) => type !== 'directory')
    return new StreamedFiles(name, new Map(files.map(member => [member.name, describe(member)])), digests, content)
  } catch (error) {
    await content[Symbol.asyncDispose]()
    const short =
      error instanceof StowageError && error.code === 'INVALID_TAR' && /truncated|ends early/.test(error.message)
    throw short && size === undefined ? error.withHint(BROKEN_PIPE) : abortError(error, signal)
  }
}

function describe({ name, size, type }: ArchiveMember): BundleFile {
  return { path: name, size, type: type === 'file' ? 'file' : 'other' }
}

class StreamedFiles implements BundleFiles {
  readonly files: ReadonlyMap<string, BundleFile>
  readonly digests: ReadonlyMap<string, Digest>
  readonly #name: string
  readonly #content: Content

  constructor(
    name: string,
    files: ReadonlyMap<string, BundleFile>,
    digests: ReadonlyMap<string, Digest>,
    content: Content,
  ) {
    this.#name = name
    this.files = files
    this.digests = digests
    this.#content = content
  }

  async *read(path: string, options: FetchOptions = {}): Bytes {
    this.#expect(path)
    yield* this.#content.read(path, options)
  }

  place(path: string): { file: string; offset: number; size: number } | undefined {
    this.#expect(path)
    return this.#content.place(path)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#content[Symbol.asyncDispose]()
  }

  #expect(path: string): void {
    if (!this.digests.has(path)) throw new StowageError('BLOB_MISSING', `${path} is not in ${this.#name}`)
  }
}

/** The content of files that were read from a stream. */
interface Content extends AsyncDisposable {
  put(member: ArchiveMember, bytes: Bytes): Promise<void>
  read(path: string, options: FetchOptions): Bytes
  place(path: string): { file: string; offset: number; size: number } | undefined
}

/** One file in a workspace with the content of all files. */
class DiskContent implements Content {
  readonly directory: string
  readonly #workspace: Workspace
  readonly #path: string
  readonly #file: FileHandle
  readonly #places = new Map<string, { readonly offset: number; readonly size: number }>()
  #end = 0

  /** The workspace is beside `beside`, see {@link Workspace}. */
  static async create(beside: string | undefined): Promise<DiskContent> {
    const workspace = new Workspace(beside)
    try {
      const directory = await workspace.path()
      const path = join(directory, 'content')
      return new DiskContent(workspace, directory, path, await open(path, 'wx+'))
    } catch (error) {
      await workspace[Symbol.asyncDispose]()
      throw error
    }
  }

  private constructor(workspace: Workspace, directory: string, path: string, file: FileHandle) {
    this.#workspace = workspace
    this.directory = directory
    this.#path = path
    this.#file = file
  }

  async put({ name, size }: ArchiveMember, bytes: Bytes): Promise<void> {
    this.#places.set(name, { offset: this.#end, size })
    for await (const piece of bytes) {
      await writeAll(this.#file, piece, this.#end).catch((error: unknown) => {
        throw outputError(error, this.#path)
      })
      this.#end += piece.length
    }
  }

  async *read(path: string, { signal }: FetchOptions): Bytes {
    const { offset, size } = this.place(path)
    yield* pieces(this.#file, offset, size, signal)
  }

  place(path: string): { file: string; offset: number; size: number } {
    return { file: this.#path, ...(this.#places.get(path) ?? { offset: 0, size: 0 }) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
    await this.#workspace[Symbol.asyncDispose]()
  }
}

/** Documents and manifests in memory; the content of other files is not kept. */
class MemoryContent implements Content {
  readonly #name: string
  readonly #kept = new Map<string, Uint8Array>()
  #size = 0

  constructor(name: string) {
    this.#name = name
  }

  async put({ name, size }: ArchiveMember, bytes: Bytes): Promise<void> {
    const document = DOCUMENTS.includes(name)
    let kept: Uint8Array[] | undefined =
      document || (name.startsWith(`${BLOBS}/`) && size <= MANIFEST_LIMIT) ? [] : undefined
    for await (const piece of bytes) {
      if (kept?.length === 0 && !document && !JSON_START.test(String.fromCharCode(piece[0] ?? 0))) kept = undefined
      if (!kept) continue
      kept.push(piece)
      this.#size += piece.length
      if (this.#size > MEMORY_LIMIT) {
        throw new StowageError(
          'UNSUPPORTED',
          `${this.#name} has more than ${MEMORY_LIMIT} bytes of manifests, which are held in memory`,
          { hint: 'Decompress it to a .tar file first.' },
        )
      }
    }
    if (kept) this.#kept.set(name, Buffer.concat(kept))
  }

  async *read(path: string): Bytes {
    const bytes = this.#kept.get(path)
    if (!bytes) throw new StowageError('INVALID_MANIFEST', `${path} in ${this.#name} is not JSON`)
    yield bytes
  }

  place(): undefined {
    return undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
