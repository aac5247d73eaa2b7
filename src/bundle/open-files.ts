/** Opens the files of a bundle, in whatever form it comes. */
import { open, stat } from 'node:fs/promises'
import { archiveHead } from '../archive/archive-stream.js'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import { abortError, fileError, StowageError } from '../errors.js'
import { archiveCompressionOf } from '../oci/compression.js'
import { type BundleFiles, openDirectoryFiles, type OpenFilesOptions, openTarFiles } from './files.js'

/** A bundle on disk that can be read at any place, or one that must be read from its start to its end. */
type Form =
  | { readonly type: 'directory' }
  | { readonly type: 'tar' }
  | { readonly type: 'stream'; readonly size: number | undefined }

/**
 * Opens `path`: a directory, or a tar, which may be compressed with gzip, zstd or xz and may come from a pipe; `-` is
 * standard input. Throws FILE_NOT_FOUND, NOT_A_BUNDLE for a device, INVALID_TAR, UNSUPPORTED for another compression, and
 * what {@link openStreamedFiles} throws.
 */
export async function openBundleFiles(path: string, options: OpenFilesOptions = {}): Promise<BundleFiles> {
  const { signal } = options
  try {
    const form = await formOf(path)
    if (form.type === 'directory') return await openDirectoryFiles(path, signal)
    if (form.type === 'tar') return await openTar(path, signal)
    return options.passing
      ? await (await import('./passing-files.js')).openPassingFiles(path, form.size, options)
      : await (await import('./streamed-files.js')).openStreamedFiles(path, form.size, options)
  } catch (error) {
    throw abortError(fileError(error, path), signal)
  }
}

async function formOf(path: string): Promise<Form> {
  if (path === STANDARD_STREAM) return { type: 'stream', size: undefined }
  const found = await stat(path)
  if (found.isDirectory()) return { type: 'directory' }
  if (found.isFile()) return (await isCompressed(path)) ? { type: 'stream', size: found.size } : { type: 'tar' }
  if (found.isFIFO() || found.isSocket()) return { type: 'stream', size: undefined }
  throw new StowageError('NOT_A_BUNDLE', `${path} is neither a directory nor a file`)
}

/** Throws UNSUPPORTED for a file compressed in a way that is not read, and for one that is no tar. */
async function isCompressed(path: string): Promise<boolean> {
  await using file = await open(path, 'r')
  return archiveCompressionOf(await archiveHead(file, path)) !== undefined
}

async function openTar(path: string, signal: AbortSignal | undefined): Promise<BundleFiles> {
  const file = await open(path, 'r')
  try {
    return await openTarFiles(file, path, signal)
  } catch (error) {
    await file.close()
    throw error
  }
}
