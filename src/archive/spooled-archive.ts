/** An archive read from a stream, with members in any order: spooled in one pass, each file stored by its digest. */
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { extract } from 'tar-stream'
import type { Bytes, FetchOptions, StagedBlob } from '../blob/blob-store.js'
import type { BlobDirectory } from '../blob/directory.js'
import { abortError, StowageError, systemCode } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import {
  type ArchiveEntry,
  type ArchiveFile,
  ArchiveFiles,
  type ArchiveSubject,
  climbsOut,
  linkTarget,
  memberName,
} from './archive-files.js'

export interface SpoolOptions extends FetchOptions {
  readonly subject: ArchiveSubject
  /** What to do if the stream is not a complete tar. */
  readonly brokenHint: string
}

/** More members than any image has; the list of them must fit in memory. */
const MEMBER_LIMIT = 1_000_000

/**
 * Stores every file of `tar` in `directory`, written once and hashed while it is written. Throws INVALID_TAR, NO_SPACE,
 * ABORTED and what `tar` throws; files stored before that stay, and the owner of `directory` removes them.
 */
export async function spoolArchive(tar: Bytes, directory: BlobDirectory, options: SpoolOptions): Promise<ArchiveFiles> {
  const { subject, brokenHint, signal } = options
  const entries = new Map<string, ArchiveEntry>()
  const blobs = new Map<ArchiveFile, Descriptor>()
  /** The last member that was whole. */
  let last: string | undefined
  const archive = extract()
  const fed = pipeline(tar, archive, signal ? { signal } : {})
  const broken = fed.then(
    () => undefined,
    (error: unknown) => error,
  )
  try {
    for await (const entry of archive) {
      const { name, type, linkname } = entry.header
      if (climbsOut(name))
        throw invalid(subject, `a member whose name leads out of the archive: ${JSON.stringify(name.slice(0, 200))}`)
      const key = memberName(name)
      if (type === 'file' || type === 'contiguous-file') {
        const blob = await fileBlob(entry as Bytes, directory) // tar-stream does not type its pieces, which are Buffers
        const file = { name: key, ...blob }
        blobs.set(file, { mediaType: key, ...blob })
        enter(key, { type: 'file', file })
      } else if ((type === 'symlink' || type === 'link') && linkname) {
        enter(key, {
          type: 'link',
          target: linkTarget(key, { type: type === 'link' ? 'hard' : 'symbolic', target: linkname }),
        })
      }
      entry.resume()
      last = name.slice(0, 200)
    }
    await fed
  } catch (error) {
    archive.destroy()
    // The error of a member of a broken archive says only that the stream was destroyed
    const first = error instanceof StowageError ? error : ((await broken) ?? error)
    throw abortError(isTarError(first) ? notWhole(first) : first, signal)
  }
  return new ArchiveFiles(subject, entries, (file, wait) => {
    const blob = blobs.get(file)
    if (!blob) throw new TypeError(`${file.name} belongs to another archive`)
    return directory.fetch(blob, wait)
  })

  function enter(key: string, entry: ArchiveEntry): void {
    const before = entries.get(key)
    if (before && !same(before, entry)) throw invalid(subject, `${JSON.stringify(key)} twice, with different content`)
    entries.set(key, entry)
    if (entries.size > MEMBER_LIMIT) throw invalid(subject, `more than ${MEMBER_LIMIT} members`)
  }

  function notWhole(error: Error): StowageError {
    const what =
      last === undefined
        ? 'is not a tar'
        : `is not a complete tar: after ${JSON.stringify(last)} there is no whole member`
    return new StowageError('INVALID_TAR', `${subject.name} ${what}`, { hint: brokenHint, cause: error })
  }
}

/** Writes one member to its final location, and hashes it while writing. */
async function fileBlob(bytes: Bytes, directory: BlobDirectory): Promise<StagedBlob> {
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

function same(one: ArchiveEntry, other: ArchiveEntry): boolean {
  if (one.type === 'file') return other.type === 'file' && one.file.digest === other.file.digest
  return other.type === 'link' && one.target === other.target
}

function invalid(subject: ArchiveSubject, found: string): StowageError {
  return new StowageError('INVALID_TAR', `${subject.name}: found ${found}`)
}

/** tar-stream throws plain errors without a code. */
function isTarError(error: unknown): error is Error {
  return error instanceof Error && error.name === 'Error' && systemCode(error) === undefined
}
