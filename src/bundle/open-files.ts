/** Opens the files of a bundle, in whatever form it comes. */
import { open, realpath, stat } from 'node:fs/promises'
import { archiveHead } from '../archive/archive-stream.js'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import type { Bytes } from '../blob/blob-store.js'
import { abortError, fileError, StowageError } from '../errors.js'
import { archiveCompressionOf } from '../oci/compression.js'
import { findVolumes } from '../volumes/find.js'
import { incompleteSet, VolumeFile } from '../volumes/volume-file.js'
import { readVolumes } from '../volumes/volume-stream.js'
import { type BundleFiles, openDirectoryFiles, type OpenFilesOptions, openTarFiles } from './files.js'

/** A bundle on disk that can be read at any place, or one that must be read from its start to its end. */
type Form =
  | { readonly type: 'directory' }
  | { readonly type: 'tar' }
  | { readonly type: 'volumes'; readonly file: VolumeFile }
  | { readonly type: 'stream'; readonly size: number | undefined; readonly bytes?: Bytes }

/**
 * Opens `path`: a directory, a tar, which may be compressed with gzip, zstd or xz and may come from a pipe (`-` is
 * standard input), or the volumes of a tar, see {@link findVolumes}. Throws FILE_NOT_FOUND, NOT_A_BUNDLE for a device,
 * INVALID_TAR, VOLUME_MISSING, VOLUME_WRONG, UNSUPPORTED for another compression, and what {@link openStreamedFiles}
 * throws.
 */
export async function openBundleFiles(path: string, options: OpenFilesOptions = {}): Promise<BundleFiles> {
  const { signal } = options
  try {
    const form = (await volumesOf(path, options)) ?? (await formOf(path))
    if (form.type === 'directory') return await openDirectoryFiles(path, signal)
    if (form.type === 'tar') return await openTar(path, signal)
    if (form.type === 'volumes')
      return await openTarFiles(form.file, path, (offset, size) => form.file.ranges(offset, size), signal)
    return options.passing
      ? await (await import('./passing-files.js')).openPassingFiles(path, form, options)
      : await (await import('./streamed-files.js')).openStreamedFiles(path, form, options)
  } catch (error) {
    throw abortError(fileError(error, path), signal)
  }
}

/** The volumes at `path`: all of them, or a stream of them if the missing ones can be asked for. */
async function volumesOf(
  path: string,
  { volumes, more = [], askForVolume, onNotice, signal }: OpenFilesOptions,
): Promise<Form | undefined> {
  if (path === STANDARD_STREAM) return undefined
  const set = volumes ?? (await findVolumes([path, ...more]))
  if (!set) return undefined
  if (set.faults.length === 0) return { type: 'volumes', file: new VolumeFile(set) }
  if (!askForVolume || set.count === undefined) throw incompleteSet(set)
  for (const { code, path: file, message } of set.faults)
    if (code !== 'VOLUME_MISSING') onNotice?.(`${file}: ${message}`)
  return { type: 'stream', size: set.total, bytes: readVolumes(set, askForVolume, signal) }
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
    const place = await realpath(path)
    return await openTarFiles(file, path, (offset, size) => [{ file: place, offset, size }], signal)
  } catch (error) {
    await file.close()
    throw error
  }
}
