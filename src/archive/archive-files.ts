/** The files of an image archive by name, wherever their bytes are: in the tar itself, or spooled out of it. */
import { posix } from 'node:path'
import type { Bytes, FetchOptions } from '../blob/blob-store.js'
import { StowageError } from '../errors.js'
import type { Digest } from '../oci/digest.js'
import { MANIFEST_LIMIT } from '../oci/manifest.js'

/** One file of an archive. */
export interface ArchiveFile {
  /** As the archive has it, without `./` or `/` before it. */
  readonly name: string
  /** In bytes. */
  readonly size: number
  /** Where it is known already. */
  readonly digest?: Digest | undefined
}

/** What messages say of an archive. */
export interface ArchiveSubject {
  /** `the engine's export of shop:2.3`, or the path of the file. */
  readonly name: string
  /** What to do about one that lacks something. */
  readonly hint: string
}

/** How long a chain of links may be before we take it for a loop. */
const LINK_LIMIT = 8

/** A member by its name: a file, or a link among the members. */
export type ArchiveEntry =
  { readonly type: 'file'; readonly file: ArchiveFile } | { readonly type: 'link'; readonly target: string }

/**
 * An open archive. Names are only looked up here, never given to the file system, and a link is followed among the members
 * alone. The caller disposes of it.
 */
export class ArchiveFiles implements AsyncDisposable {
  readonly subject: ArchiveSubject
  readonly #entries: ReadonlyMap<string, ArchiveEntry>
  readonly #read: (file: ArchiveFile, options: FetchOptions) => Bytes
  readonly #close: () => Promise<void>

  /** `entries` by their {@link memberName}; `close` is called once, when no more is read. */
  constructor(
    subject: ArchiveSubject,
    entries: ReadonlyMap<string, ArchiveEntry>,
    read: (file: ArchiveFile, options: FetchOptions) => Bytes,
    close: () => Promise<void> = async () => undefined,
  ) {
    this.subject = subject
    this.#entries = entries
    this.#read = read
    this.#close = close
  }

  /** The file `name`, or that it links to; undefined when there is none. */
  find(name: string): ArchiveFile | undefined {
    const end = this.#follow(name)
    return typeof end === 'string' ? undefined : end
  }

  /** As {@link find}. Throws BLOB_MISSING saying what is wrong with it. */
  get(name: string): ArchiveFile {
    const end = this.#follow(name)
    if (typeof end !== 'string') return end
    throw new StowageError('BLOB_MISSING', `${this.subject.name} has ${end}`, { hint: this.subject.hint })
  }

  /** Names of files and links at the top of the archive and below. */
  names(): Iterable<string> {
    return this.#entries.keys()
  }

  /** The content, unchecked, in pieces. */
  read(file: ArchiveFile, options: FetchOptions = {}): Bytes {
    return this.#read(file, options)
  }

  /** All of a small file. Throws BLOB_MISSING, and INVALID_MANIFEST when it is larger than `limit` bytes. */
  async readSmall(
    name: string,
    { limit = MANIFEST_LIMIT, signal }: FetchOptions & { readonly limit?: number } = {},
  ): Promise<Uint8Array> {
    const file = this.get(name)
    if (file.size > limit) {
      throw new StowageError(
        'INVALID_MANIFEST',
        `${this.subject.name}: ${name} has ${file.size} bytes; the limit is ${limit}`,
      )
    }
    const parts: Uint8Array[] = []
    for await (const piece of this.read(file, { signal })) parts.push(piece)
    return Buffer.concat(parts)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close()
  }

  /** The file at the end of the links, or in words why there is none. */
  #follow(name: string): ArchiveFile | string {
    // Docker on Windows once wrote paths with the separator of the system
    let key = this.#entries.has(memberName(name)) ? memberName(name) : memberName(name.replaceAll('\\', '/'))
    for (let links = 0; links <= LINK_LIMIT; links++) {
      const entry = this.#entries.get(key)
      if (!entry) return key === memberName(name) ? `no ${name}` : `no ${key}, which ${name} is a link to`
      if (entry.type === 'file') return entry.file
      key = entry.target
    }
    return `a loop of links behind ${name}`
  }
}

/** A name in the form that members are found by: without `./`, and without `/` at either end. */
export function memberName(name: string): string {
  return posix.normalize(name).replace(/^\/+|\/+$/g, '')
}

/** Where a link of the member `name` leads, in the form of {@link memberName}; one out of the archive leads to no member. */
export function linkTarget(
  name: string,
  link: { readonly type: 'hard' | 'symbolic'; readonly target: string },
): string {
  if (link.type === 'hard' || link.target.startsWith('/')) return memberName(link.target)
  return memberName(posix.join(posix.dirname(memberName(name)), link.target))
}

/** Whether a member's name leads out of the directory it would be unpacked to. */
export function climbsOut(name: string): boolean {
  return name.split('/').includes('..')
}
