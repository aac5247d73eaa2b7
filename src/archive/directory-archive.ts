/** An image archive that was unpacked into a directory, read as the archive itself is. */
import { lstat, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { readFileBytes } from '../blob/hash-file.js'
import { fileError } from '../errors.js'
import { type ArchiveEntry, ArchiveFiles, linkTarget } from './archive-files.js'

/** Directories below one another: an archive has three at most, `blobs/sha256/…`. */
const DEPTH_LIMIT = 4

/**
 * The files of `directory`. Links lead only to other files in it. Throws FILE_NOT_FOUND etc. if the directory cannot be
 * listed; a file that cannot be read is reported when it is read.
 */
export async function openDirectoryArchive(directory: string): Promise<ArchiveFiles> {
  const entries = new Map<string, ArchiveEntry>()
  await walk('', 1)
  const subject = { name: directory, hint: 'The directory does not hold the complete image: unpack it again.' }
  return new ArchiveFiles(subject, entries, ({ name }, wait) => readFileBytes(join(directory, name), wait))

  async function walk(below: string, depth: number): Promise<void> {
    const path = join(directory, below)
    try {
      for (const entry of await readdir(path, { withFileTypes: true })) {
        const name = below === '' ? entry.name : `${below}/${entry.name}`
        if (entry.isDirectory() && depth < DEPTH_LIMIT) await walk(name, depth + 1)
        else if (entry.isFile()) {
          const { size } = await lstat(join(directory, name))
          entries.set(name, { type: 'file', file: { name, size } })
        } else if (entry.isSymbolicLink()) {
          const target = linkTarget(name, { type: 'symbolic', target: await readlink(join(directory, name)) })
          entries.set(name, { type: 'link', target })
        }
      }
    } catch (error) {
      throw fileError(error, path)
    }
  }
}
