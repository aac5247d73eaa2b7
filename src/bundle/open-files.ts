/** Opens the files of a bundle, in whatever form it comes. */
import { open, stat } from 'node:fs/promises'
import { headOf } from '../archive/archive-stream.js'
import { refuseOthers } from '../archive/compression.js'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import { abortError, fileError, StowageError } from '../errors.js'
import { archiveCompressionOf } from '../oci/compression.js'
import { type BundleFiles, openDirectoryFiles, type OpenFilesOptions, openTarFiles } from './files.js'

/**
 * Opens `path`: a directory, or a tar, which may be compressed with gzip, zstd or xz and may come from a pipe; `-` is
 * standard input. Throws FILE_NOT_FOUND, NOT_A_BUNDLE for a device, INVALID_TAR, UNSUPPORTED for another compression, and
 * what {@link openStreamedFiles} throws.
 */
export async function openBundleFiles(path: string, options: OpenFilesOptions = {}): Promise<BundleFiles> {
  const { signal } = options
  try {
    if (path === STANDARD_STREAM) return await openStream(path, undefined, options)
    const found = await stat(path)
    if (found.isDirectory()) return await openDirectoryFiles(path, signal)
    if (found.isFile()) return (await openTar(path, signal)) ?? (await openStream(path, found.size, options))
    if (found.isFIFO() || found.isSocket()) return await openStream(path, undefined, options)
  } catch (error) {
    throw abortError(fileError(error, path), signal)
  }
  throw new StowageError('NOT_A_BUNDLE', `${path} is neither a directory nor a file`)
}

/** Undefined if the tar is compressed. */
async function openTar(path: string, signal: AbortSignal | undefined): Promise<BundleFiles | undefined> {
  const file = await open(path, 'r')
  let opened: BundleFiles | undefined
  try {
    const head = await headOf(file)
    refuseOthers(head, path)
    if (!archiveCompressionOf(head)) opened = await openTarFiles(file, path, signal)
    return opened
  } finally {
    if (!opened) await file.close()
  }
}

async function openStream(path: string, size: number | undefined, options: OpenFilesOptions): Promise<BundleFiles> {
  const { openStreamedFiles } = await import('./streamed-files.js')
  return await openStreamedFiles(path, size, options)
}
