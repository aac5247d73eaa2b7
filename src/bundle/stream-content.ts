/** Where the content of files goes that were read from a stream: a file in a workspace, or memory. */
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Bytes, DiskRange, FetchOptions } from '../blob/blob-store.js'
import { writeAll } from '../blob/durable.js'
import { Workspace } from '../blob/workspace.js'
import { outputError, StowageError } from '../errors.js'
import { MANIFEST_LIMIT } from '../oci/manifest.js'
import type { ArchiveMember } from '../tar/archive.js'
import { pieces } from '../tar/pieces.js'
import { BLOBS, DOCUMENT_LIMIT, DOCUMENTS } from './contents.js'

/** Bytes of documents and manifests that are held in memory; more are stored, up to a limit. */
const MEMORY_LIMIT = 64 * 1024 * 1024
const STORE_LIMIT = 1024 * 1024 * 1024
/** The first byte of a manifest: `{`, or white space before it. */
const JSON_START = /^[{\s]/

/** The content of files that were read from a stream. */
export interface StreamContent extends AsyncDisposable {
  put(member: ArchiveMember, bytes: Bytes): Promise<void>
  read(path: string, options: FetchOptions): Bytes
  place(path: string): DiskRange | undefined
}

/** One file in a workspace with the content of all files. */
export class DiskContent implements StreamContent {
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

  place(path: string): DiskRange {
    return { file: this.#path, ...(this.#places.get(path) ?? { offset: 0, size: 0 }) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
    await this.#workspace[Symbol.asyncDispose]()
  }
}

/** Documents and manifests, in memory until they are many; the content of other files is not kept. */
export class MemoryContent implements StreamContent {
  readonly #name: string
  readonly #kept = new Map<string, Uint8Array>()
  readonly #stored = new Set<string>()
  #store: DiskContent | undefined
  #size = 0

  constructor(name: string) {
    this.#name = name
  }

  async put(member: ArchiveMember, bytes: Bytes): Promise<void> {
    const { name, size } = member
    const document = DOCUMENTS.includes(name)
    let kept: Uint8Array[] | undefined =
      (document && size <= DOCUMENT_LIMIT) || (name.startsWith(`${BLOBS}/`) && size <= MANIFEST_LIMIT) ? [] : undefined
    for await (const piece of bytes) {
      if (kept?.length === 0 && !document && !JSON_START.test(String.fromCharCode(piece[0] ?? 0))) kept = undefined
      if (!kept) continue
      kept.push(piece)
    }
    if (kept) await this.#keep(member, Buffer.concat(kept))
  }

  async #keep(member: ArchiveMember, bytes: Uint8Array): Promise<void> {
    this.#size += bytes.length
    if (this.#size <= MEMORY_LIMIT) {
      this.#kept.set(member.name, bytes)
      return
    }
    if (this.#size > STORE_LIMIT) {
      throw new StowageError(
        'UNSUPPORTED',
        `${this.#name} has manifests of ${this.#size} bytes or more; the limit is ${STORE_LIMIT}`,
        { hint: 'Decompress it to a .tar file first.' },
      )
    }
    this.#store ??= await DiskContent.create(undefined)
    this.#stored.add(member.name)
    await this.#store.put(
      member,
      (async function* () {
        yield bytes
      })(),
    )
  }

  async *read(path: string, options: FetchOptions): Bytes {
    if (this.#store && this.#stored.has(path)) {
      yield* this.#store.read(path, options)
      return
    }
    const bytes = this.#kept.get(path)
    if (!bytes) throw new StowageError('INVALID_MANIFEST', `${path} in ${this.#name} is not JSON`)
    yield bytes
  }

  place(): undefined {
    return undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store?.[Symbol.asyncDispose]()
  }
}
