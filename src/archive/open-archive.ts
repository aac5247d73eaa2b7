/** Opens an image archive: reads a plain tar file in place, and spools a compressed file or a stream once. */
import { open, stat } from 'node:fs/promises'
import type { Bytes } from '../blob/blob-store.js'
import type { BlobDirectory } from '../blob/directory.js'
import { abortError, fileError, StowageError } from '../errors.js'
import { archiveCompressionOf } from '../oci/compression.js'
import type { WaitOptions } from '../progress.js'
import type { ArchiveFiles, ArchiveSubject } from './archive-files.js'
import { archiveHead, counted, openStream, openTarStream } from './archive-stream.js'
import { openSeekableArchive } from './seekable-archive.js'
import { spoolArchive } from './spooled-archive.js'
import { inputTitle, STANDARD_STREAM } from './standard-stream.js'

export interface OpenArchiveOptions extends WaitOptions {
  /** Opens the directory for the files of an archive that cannot be read in place. Its owner removes the files. */
  readonly spool: () => Promise<BlobDirectory>
}

const COPY_AGAIN = 'Copy the file again, and compare its size with the original.'

/**
 * Opens the file `path`: plain, or compressed with gzip, zstd or xz, whatever its name. It may be readable only once,
 * such as a pipe; `-` is standard input. Throws FILE_NOT_FOUND, INVALID_ARGUMENT for a directory, INVALID_TAR,
 * UNSUPPORTED for another compression, NO_SPACE.
 */
export async function openArchive(path: string, options: OpenArchiveOptions): Promise<ArchiveFiles> {
  const subject = { name: inputTitle(path), hint: 'The archive does not contain the complete image: create it again.' }
  try {
    if (path === STANDARD_STREAM) return await spool(openStream(path, options.signal), undefined, subject, options)
    const found = await stat(path)
    if (found.isDirectory()) {
      throw new StowageError('INVALID_ARGUMENT', `${path} is a directory, but an archive is a file`, {
        hint: `An OCI image layout is named oci:${path}, a bundle bundle:${path}, any other tree dir:${path}.`,
      })
    }
    if (!found.isFile()) return await spool(openStream(path, options.signal), undefined, subject, options)
    return await openFile(path, found.size, subject, options)
  } catch (error) {
    throw abortError(fileError(error, path), options.signal)
  }
}

async function openFile(
  path: string,
  size: number,
  subject: ArchiveSubject,
  options: OpenArchiveOptions,
): Promise<ArchiveFiles> {
  const file = await open(path)
  let kept = false
  try {
    if (size === 0) throw new StowageError('INVALID_TAR', `${path} is empty`, { hint: COPY_AGAIN })
    if (archiveCompressionOf(await archiveHead(file, path)))
      return await spool(openStream(path, options.signal), size, subject, options)
    const archive = await openSeekableArchive(file, subject, options)
    kept = true
    return archive
  } finally {
    if (!kept) await file.close()
  }
}

/** Spools the files of the archive `bytes`; its first bytes determine the compression. */
async function spool(
  bytes: Bytes,
  size: number | undefined,
  subject: ArchiveSubject,
  { spool: makeSpool, signal, onProgress }: OpenArchiveOptions,
): Promise<ArchiveFiles> {
  const { name } = subject
  onProgress?.({ type: 'stage', stage: 'read', subject: name })
  const { tar } = await openTarStream(counted(bytes, name, size, onProgress), name, { signal })
  const archive = await spoolArchive(tar, await makeSpool(), { subject, brokenHint: COPY_AGAIN, signal })
  onProgress?.({ type: 'done', subject: name })
  return archive
}
