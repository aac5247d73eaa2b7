/** The files of an image archive by name. Their bytes are in the tar itself or in a spool directory. */
import { posix } from 'node:path'
import type { Bytes, FetchOptions } from '../blob/blob-store.js'
import { StowageError } from '../errors.js'
import type { Digest } from '../oci/digest.js'
import { MANIFEST_LIMIT } from '../oci/manifest.js'

/** One file of an archive. */
export interface ArchiveFile {
  /** The name in the archive, without a leading `./` or `/`. */
  readonly name: string
  /** In bytes. */
  readonly size: number
  /** Set if it is already known. */
  readonly digest?: Digest | undefined
}

/** How messages refer to an archive. */
export interface ArchiveSubject {
  /** `the engine's export of shop:2.3`, or the path of the file. */
  readonly name: string
  /** What to do if the archive lacks something. */
  readonly hint: string
}

/** Longest chain of links; a longer one is treated as a loop. */
const LINK_LIMIT = 8

/** A member: a file, or a link to another member. */
export type ArchiveEntry =
  { readonly type: 'file'; readonly file: ArchiveFile } | { readonly type: 'link'; readonly target: string }

/**
 * An open archive. Names are only looked up among the members, never passed to the file system, and links resolve only
 * to other members. The caller disposes of it.
 */
export class ArchiveFiles implements AsyncDisposable {
  readonly subject: ArchiveSubject
  readonly #entries: ReadonlyMap<string, ArchiveEntry>
  readonly #read: (file: ArchiveFile, options: FetchOptions) => Bytes
  readonly #close: () => Promise<void>

  /** `entries` are keyed by {@link memberName}; `close` is called when the archive is disposed. */
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

  /** The file `name`, or the file it links to; undefined if there is none. */
  find(name: string): ArchiveFile | undefined {
    const end = this.#follow(name)
    return typeof end === 'string' ? undefined : end
  }

  /** Like {@link find}, but throws BLOB_MISSING with the reason if there is no such file. */
  get(name: string): ArchiveFile {
    const end = this.#follow(name)
    if (typeof end !== 'string') return end
    throw new StowageError('BLOB_MISSING', `${this.subject.name} has ${end}`, { hint: this.subject.hint })
  }

  /** The names of all files and links, at any depth. */
  names(): Iterable<string> {
    return this.#entries.keys()
  }

  /** The content in pieces, not verified. */
  read(file: ArchiveFile, options: FetchOptions = {}): Bytes {
    return this.#read(file, options)
  }

  /** Reads a whole small file. Throws BLOB_MISSING, and INVALID_MANIFEST if it is larger than `limit` bytes. */
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

  /** The file at the end of the links, or a phrase saying why there is none. */
  #follow(name: string): ArchiveFile | string {
    // Old versions of Docker on Windows wrote paths with the system's separator
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

/** Normalizes a name to the lookup key of a member: without `./`, and without `/` at either end. */
export function memberName(name: string): string {
  return posix.normalize(name).replace(/^\/+|\/+$/g, '')
}

/**
 * The target of a link of the member `name`, in the form of {@link memberName}. A link that leads out of the archive
 * matches no member.
 */
export function linkTarget(
  name: string,
  link: { readonly type: 'hard' | 'symbolic'; readonly target: string },
): string {
  if (link.type === 'hard' || link.target.startsWith('/')) return memberName(link.target)
  return memberName(posix.join(posix.dirname(memberName(name)), link.target))
}

/** Whether a member's name leads out of the directory that it would be unpacked into. */
export function climbsOut(name: string): boolean {
  return name.split('/').includes('..')
}
