/** An archive that is a plain tar file on disk: read in place, without unpacking. */
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import type { FetchOptions } from '../blob/blob-store.js'
import { abortError, fileError, StowageError } from '../errors.js'
import { type ArchiveMember, fileInput, listArchive } from '../tar/archive.js'
import { pieces } from '../tar/pieces.js'
import { type ArchiveEntry, type ArchiveFile, ArchiveFiles, type ArchiveSubject, linkTarget } from './archive-files.js'

/**
 * Reads the headers of `file`; disposing the archive closes it. Throws INVALID_TAR, including for two files with the
 * same name and different content.
 */
export async function openSeekableArchive(
  file: FileHandle,
  subject: ArchiveSubject,
  { signal }: FetchOptions = {},
): Promise<ArchiveFiles> {
  const members = await listArchive(await fileInput(file), subject.name, { signal, foreign: true })
  const entries = new Map<string, ArchiveEntry>()
  const offsets = new Map<ArchiveFile, number>()
  const before = new Map<string, ArchiveMember>()
  for (const member of members) {
    const { name, type, size, offset, link } = member
    const twice = before.get(name)
    before.set(name, member)
    if (twice) await expectSame(twice, member)
    if (type === 'file') {
      const content = { name, size }
      offsets.set(content, offset)
      entries.set(name, { type: 'file', file: content })
    } else if (link) {
      entries.set(name, { type: 'link', target: linkTarget(name, link) })
    }
  }
  return new ArchiveFiles(
    subject,
    entries,
    (content, wait) => bytesOf(offsets.get(content) ?? 0, content.size, wait),
    async () => await file.close(),
  )

  async function* bytesOf(offset: number, size: number, wait: FetchOptions): AsyncGenerator<Uint8Array> {
    try {
      yield* pieces(file, offset, size, wait.signal)
    } catch (error) {
      throw abortError(fileError(error, subject.name), wait.signal)
    }
  }

  /** Some writers add a shared file once per image that has it; readers differ in which copy they use. */
  async function expectSame(one: ArchiveMember, other: ArchiveMember): Promise<void> {
    const alike = one.type === other.type && one.size === other.size && one.link?.target === other.link?.target
    if (alike && (one.type !== 'file' || (await hashOf(one)) === (await hashOf(other)))) return
    throw new StowageError(
      'INVALID_TAR',
      `${subject.name}: found ${JSON.stringify(one.name)} twice, with different content`,
    )
  }

  async function hashOf({ offset, size }: ArchiveMember): Promise<string> {
    const hash = createHash('sha256')
    for await (const piece of bytesOf(offset, size, { signal })) hash.update(piece)
    return hash.digest('hex')
  }
}
