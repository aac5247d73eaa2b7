/** The files of a bundle that is read from a stream once, in its order, while they are on their way elsewhere. */
import { openStream, openTarStream } from '../archive/archive-stream.js'
import { inputTitle } from '../archive/standard-stream.js'
import type { Bytes, FetchOptions } from '../blob/blob-store.js'
import { StowageError } from '../errors.js'
import { type ArchiveMember, readArchive } from '../tar/archive.js'
import { StreamInput } from '../tar/stream.js'
import { BLOBS, DOCUMENTS } from './contents.js'
import type { BundleFile, BundleFiles, OpenFilesOptions, StreamSource } from './files.js'
import { DiskContent } from './stream-content.js'
import { bundleFileOf, reasonOf, streamError } from './streamed-files.js'

/** The largest file that is held in memory, in bytes, and how much all may have; others are stored. */
const SMALL = 4 * 1024 * 1024
const MEMORY_LIMIT = 64 * 1024 * 1024

/**
 * Opens the tar `path` at its start. Files can be read in any order: one that comes before it is asked
 * for is kept, in memory if it is small, else in a workspace, unless `forgo()` says that nobody will ask. A file that
 * was read is gone, unless it was kept. Throws UNSUPPORTED for a compression that cannot be read.
 */
export async function openPassingFiles(
  path: string,
  { size, bytes: given }: StreamSource,
  { beside, signal, onNotice }: OpenFilesOptions,
): Promise<PassingFiles> {
  const name = inputTitle(path)
  const { tar, compression } = await openTarStream(given ?? openStream(path, signal), name, { signal })
  onNotice?.(`${reasonOf(name, compression)}: if interrupted, it starts again`)
  return new PassingFiles(new StreamInput(tar), {
    name,
    fail: error => streamError(error, size, signal),
    async store() {
      const content = await DiskContent.create(beside)
      onNotice?.(`storing in ${content.directory} what comes before it is needed, or is needed more than once`)
      return content
    },
    signal,
  })
}

interface PassingOptions {
  readonly name: string
  /** The error to throw for one of the stream. */
  readonly fail: (error: unknown) => unknown
  /** Opens the place for large files that are kept; called once at most. */
  readonly store: () => Promise<DiskContent>
  readonly signal: AbortSignal | undefined
}

export class PassingFiles implements BundleFiles {
  /** Those that have come. */
  readonly files = new Map<string, BundleFile>()
  readonly #name: string
  readonly #fail: (error: unknown) => unknown
  readonly #input: StreamInput
  readonly #members: AsyncIterator<ArchiveMember>
  readonly #openStore: () => Promise<DiskContent>
  readonly #memory = new Map<string, Uint8Array>()
  readonly #stored = new Set<string>()
  #store: DiskContent | undefined
  #size = 0
  /** How often each file will still be read; undefined while that is not known, so that all are kept. */
  #uses: Map<string, number> | undefined
  /** The stream as seen by one reader at a time. */
  #turn: Promise<unknown> = Promise.resolve()
  #broken: { readonly error: unknown } | undefined

  constructor(input: StreamInput, { name, fail, store, signal }: PassingOptions) {
    this.#input = input
    this.#members = readArchive(input, name, { signal })
    this.#name = name
    this.#fail = fail
    this.#openStore = store
  }

  /** Whether the file can be read: it was kept, or it has not come yet. */
  has(path: string): boolean {
    return this.#isKept(path) || !this.files.has(path)
  }

  /** Says how often each file will be read from now on; others, except documents, are not kept. */
  expect(paths: Iterable<string>): void {
    this.#uses = new Map()
    for (const path of paths) this.#uses.set(path, (this.#uses.get(path) ?? 0) + 1)
  }

  /** Says that each of these files will be read once less. */
  forgo(paths: Iterable<string>): void {
    for (const path of paths) this.#uses?.set(path, (this.#uses.get(path) ?? 0) - 1)
  }

  /** `size` is what the file must have. Throws also SIZE_MISMATCH, and INVALID_TAR for a broken stream. */
  async *read(path: string, { size, ...options }: FetchOptions & { readonly size?: number } = {}): Bytes {
    let end = (): void => undefined
    const before = this.#turn
    this.#turn = new Promise<void>(resolve => (end = resolve))
    try {
      await before
      if (!this.#isKept(path)) {
        const member = await this.#advance(path)
        if (!member) throw this.#missing(path)
        if (size !== undefined && member.size !== size) {
          throw new StowageError('SIZE_MISMATCH', `expected ${size} bytes in ${path} but found ${member.size}`)
        }
        if (!this.#isNeeded(path, 1)) {
          yield* this.#contentOf(member)
          return
        }
        await this.#keep(member)
      }
    } finally {
      end()
    }
    const small = this.#memory.get(path)
    if (small) yield small
    else if (this.#store) yield* this.#store.read(path, options)
  }

  ranges(): undefined {
    return undefined
  }

  /** Reads the stream to its end. Throws INVALID_TAR if it has none. */
  async drain(): Promise<void> {
    await this.#turn
    await this.#advance(undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input[Symbol.asyncDispose]()
    await this.#store?.[Symbol.asyncDispose]()
  }

  /** The member `path`, with its content next in the stream; undefined at the end. Keeps what is needed before it. */
  async #advance(path: string | undefined): Promise<ArchiveMember | undefined> {
    if (this.#broken) throw this.#broken.error
    if (path !== undefined && this.files.has(path)) return undefined
    for (;;) {
      const next = await this.#members.next().catch((error: unknown) => this.#break(error))
      if (next.done) return undefined
      const member = next.value
      if (member.type !== 'directory') this.files.set(member.name, bundleFileOf(member))
      if (member.type !== 'file') continue
      if (member.name === path) return member
      if (this.#isNeeded(member.name, 0)) await this.#keep(member)
    }
  }

  /** Whether the file will be read, after `reads` more times, or is a document of the bundle. */
  #isNeeded(path: string, reads: number): boolean {
    if (DOCUMENTS.includes(path)) return true
    if (!path.startsWith(`${BLOBS}/`)) return false
    return this.#uses === undefined || (this.#uses.get(path) ?? 0) > reads
  }

  async #keep(member: ArchiveMember): Promise<void> {
    const { name, size } = member
    const bytes = this.#contentOf(member)
    if (size > SMALL || this.#size + size > MEMORY_LIMIT) {
      this.#store ??= await this.#openStore()
      await this.#store.put(member, bytes)
      this.#stored.add(name)
      return
    }
    const pieces: Uint8Array[] = []
    for await (const piece of bytes) pieces.push(piece)
    this.#memory.set(name, Buffer.concat(pieces))
    this.#size += size
  }

  #isKept(path: string): boolean {
    return this.#memory.has(path) || this.#stored.has(path)
  }

  async *#contentOf({ offset, size }: ArchiveMember): Bytes {
    const pieces = this.#input.content(offset, size)[Symbol.asyncIterator]()
    for (let left = size; left > 0;) {
      const next = await pieces.next().catch((error: unknown) => this.#break(error))
      if (next.done) {
        await this.#members.next().catch((error: unknown) => this.#break(error)) // says where the tar ends
        return
      }
      left -= next.value.length
      yield next.value
    }
  }

  /** Every reader after this gets the same error. */
  #break(error: unknown): never {
    this.#broken ??= { error: this.#fail(error) }
    throw this.#broken.error
  }

  #missing(path: string): StowageError {
    return this.files.has(path)
      ? new StowageError('BLOB_MISSING', `${path} of ${this.#name} has passed, and a stream cannot be read again`, {
          hint: 'Run both commands again, or store the bundle in a file first.',
        })
      : new StowageError('BLOB_MISSING', `${path} is not in ${this.#name}`)
  }
}
