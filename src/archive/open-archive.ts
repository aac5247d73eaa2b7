/** Opens an image archive: reads a plain tar file in place, and spools a compressed file or a stream once. */
import { createReadStream } from 'node:fs'
import { open, stat, type FileHandle } from 'node:fs/promises'
import type { Bytes } from '../blob/blob-store.js'
import type { BlobDirectory } from '../blob/directory.js'
import { abortError, fileError, StowageError } from '../errors.js'
import { compressionOf, MAGIC_SIZE } from '../oci/compression.js'
import type { OnProgress, WaitOptions } from '../progress.js'
import type { ArchiveFiles, ArchiveSubject } from './archive-files.js'
import { decompressed, refuseOthers } from './compression.js'
import { openSeekableArchive } from './seekable-archive.js'
import { spoolArchive } from './spooled-archive.js'

export interface OpenArchiveOptions extends WaitOptions {
  /** Opens the directory for the files of an archive that cannot be read in place. Its owner removes the files. */
  readonly spool: () => Promise<BlobDirectory>
}

const PIECE = 1024 * 1024
const COPY_AGAIN = 'Copy the file again, and compare its size with the original.'

/**
 * Opens the file `path`: plain, or compressed with gzip or zstd, whatever its name. It may be readable only once, such
 * as a pipe. Throws FILE_NOT_FOUND, INVALID_ARGUMENT for a directory, INVALID_TAR, UNSUPPORTED for another compression,
 * NO_SPACE.
 */
export async function openArchive(path: string, options: OpenArchiveOptions): Promise<ArchiveFiles> {
  const subject = { name: path, hint: 'The archive does not contain the complete image: create it again.' }
  try {
    const found = await stat(path)
    if (found.isDirectory()) {
      throw new StowageError('INVALID_ARGUMENT', `${path} is a directory, but an archive is a file`, {
        hint: `An OCI image layout is named oci:${path}, a bundle bundle:${path}, any other tree dir:${path}.`,
      })
    }
    if (!found.isFile()) return await spool(readOnce(path), undefined, subject, options)
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
    const head = await headOf(file)
    refuseOthers(head, path)
    if (compressionOf(head)) return await spool(readOnce(path), size, subject, options)
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
  const { head, all } = await withHead(counted(bytes, name, size, onProgress))
  refuseOthers(head, name)
  const compression = compressionOf(head)
  const tar = compression ? decompressed(all, compression, name, { signal }) : all
  const archive = await spoolArchive(tar, await makeSpool(), { subject, brokenHint: COPY_AGAIN, signal })
  onProgress?.({ type: 'done', subject: name })
  return archive
}

async function* counted(
  bytes: Bytes,
  subject: string,
  total: number | undefined,
  onProgress: OnProgress | undefined,
): Bytes {
  let done = 0
  for await (const piece of bytes) {
    done += piece.length
    onProgress?.({ type: 'bytes', subject, done, total })
    yield piece
  }
}

/** The first bytes, and a stream of all bytes including these. */
async function withHead(bytes: Bytes): Promise<{ readonly head: Uint8Array; readonly all: Bytes }> {
  const iterator = bytes[Symbol.asyncIterator]()
  let first: Uint8Array = new Uint8Array()
  while (first.length < MAGIC_SIZE) {
    const next = await iterator.next()
    if (next.done) break
    first = Buffer.concat([first, next.value])
  }
  return {
    head: first.subarray(0, MAGIC_SIZE),
    all: (async function* () {
      yield first
      yield* { [Symbol.asyncIterator]: () => iterator }
    })(),
  }
}

async function* readOnce(path: string): Bytes {
  try {
    yield* createReadStream(path, { highWaterMark: PIECE })
  } catch (error) {
    throw fileError(error, path)
  }
}

async function headOf(file: FileHandle): Promise<Uint8Array> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(MAGIC_SIZE), 0, MAGIC_SIZE, 0)
  return buffer.subarray(0, bytesRead)
}
