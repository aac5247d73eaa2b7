/** What `GET /images/NAME/get` gives: a tar of unknown order, spooled in one pass, each file under its digest. */
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { posix } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { extract } from 'tar-stream'
import type { Bytes, FetchOptions, StagedBlob } from '../blob/blob-store.js'
import type { BlobDirectory } from '../blob/directory.js'
import { readVerified } from '../blob/verified.js'
import { abortError, StowageError, systemCode } from '../errors.js'
import { type Descriptor } from '../oci/descriptor.js'
import { MANIFEST_LIMIT } from '../oci/manifest.js'

/** How many links may follow one another before we take them for a loop. */
const LINK_LIMIT = 8

/**
 * The members of an export by name. Names are only looked up here, never given to the file system: a file is on disk
 * under its digest, and a link is followed among the members alone.
 */
export class ExportArchive {
  readonly #directory: BlobDirectory
  readonly #members: ReadonlyMap<string, Member>

  constructor(directory: BlobDirectory, members: ReadonlyMap<string, Member>) {
    this.#directory = directory
    this.#members = members
  }

  /** The content of the member `name`, or of what it links to; undefined when there is none. */
  find(name: string): StagedBlob | undefined {
    let member = this.#members.get(normalName(name))
    for (let links = 0; member?.type === 'link' && links < LINK_LIMIT; links++) member = this.#members.get(member.target)
    return member?.type === 'file' ? member.blob : undefined
  }

  /** The bytes of a small member, or undefined. Throws INVALID_MANIFEST when it is larger than a manifest may be. */
  async read(name: string): Promise<Uint8Array | undefined> {
    const blob = this.find(name)
    if (!blob) return undefined
    const descriptor: Descriptor = { mediaType: name, ...blob }
    return await readVerified(descriptor, this.#directory.fetch(descriptor), MANIFEST_LIMIT)
  }
}

type Member = { readonly type: 'file'; readonly blob: StagedBlob } | { readonly type: 'link'; readonly target: string }

/**
 * Files every member of `tar` in `directory`, hashed while it is written, once.
 * Throws INVALID_TAR, NO_SPACE, ABORTED and what `tar` throws; what was filed before stays, for its owner to remove.
 */
export async function spoolExport(
  tar: Bytes,
  directory: BlobDirectory,
  { signal }: FetchOptions = {},
): Promise<ExportArchive> {
  const members = new Map<string, Member>()
  const archive = extract()
  const fed = pipeline(tar, archive, signal ? { signal } : {})
  const broken = fed.then(() => undefined, (error: unknown) => error)
  try {
    for await (const entry of archive) {
      const { name, type, linkname } = entry.header
      const key = normalName(name)
      if (type === 'file' || type === 'contiguous-file') {
        const blob = await file(entry as Bytes, directory) // tar-stream does not type its pieces, which are Buffers
        members.set(key, { type: 'file', blob })
      } else if (type === 'symlink') {
        members.set(key, { type: 'link', target: normalName(posix.join(posix.dirname(key), linkname)) })
      } else if (type === 'link') {
        members.set(key, { type: 'link', target: normalName(linkname) })
      }
      entry.resume()
    }
    await fed
  } catch (error) {
    archive.destroy()
    // Of a broken archive a member only says that it was destroyed.
    const first = error instanceof StowageError ? error : ((await broken) ?? error)
    throw abortError(isTarError(first) ? invalidTar(first) : first, signal)
  }
  return new ExportArchive(directory, members)
}

/** Writes one member to where it will stay, and hashes it on the way. */
async function file(bytes: Bytes, directory: BlobDirectory): Promise<StagedBlob> {
  return await directory.create(async ({ path }) => {
    const hash = createHash('sha256')
    let size = 0
    async function* hashed(): Bytes {
      for await (const piece of bytes) {
        hash.update(piece)
        size += piece.length
        yield piece
      }
    }
    await pipeline(hashed(), createWriteStream(path, { flags: 'r+' }))
    return { digest: `sha256:${hash.digest('hex')}`, size }
  })
}

function normalName(name: string): string {
  return posix.normalize(name).replace(/\/+$/, '')
}

/** tar-stream throws plain errors with no code. */
function isTarError(error: unknown): error is Error {
  return error instanceof Error && error.name === 'Error' && systemCode(error) === undefined
}

function invalidTar(error: Error): StowageError {
  return new StowageError('INVALID_TAR', `the engine's export is not a whole tar archive: ${error.message}`, {
    hint: 'See the log of the engine, and run the command again.',
    cause: error,
  })
}
