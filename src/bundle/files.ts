/** The files of a bundle that is a directory or a plain tar: lists and reads them. */
import { constants, type Stats } from 'node:fs'
import { lstat, open, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import pMap from 'p-map'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import type { Bytes, DiskRange, FetchOptions } from '../blob/blob-store.js'
import type { Plain } from '../blob/layer-watch.js'
import { abortError, fileError, StowageError, systemCode } from '../errors.js'
import { compressionOfName } from '../oci/compression.js'
import type { Digest } from '../oci/digest.js'
import type { WaitOptions } from '../progress.js'
import { fileInput, listArchive, MEMBER_LIMIT } from '../tar/archive.js'
import { pieces, type ReadableFile } from '../tar/pieces.js'
import { LEAST_VOLUME } from '../volumes/description.js'
import type { VolumeSet } from '../volumes/find.js'
import type { AskForVolume } from '../volumes/volume-stream.js'
import { isMediumEntry } from './directory-medium.js'

export interface BundleFile {
  /** Relative, with `/`. */
  readonly path: string
  readonly size: number
  /** `other` is a link, a device or the like; it is never read. */
  readonly type: 'file' | 'other'
}

/** The files of an open bundle, in no particular order; directories are not listed. */
export interface BundleFiles extends AsyncDisposable {
  readonly files: ReadonlyMap<string, BundleFile>
  /**
   * The content in pieces of up to 1 MiB. Each piece is a separate buffer, and the next one is read ahead.
   * Throws BLOB_MISSING if the file is not listed, IO_ERROR if the medium fails.
   */
  read(path: string, options?: FetchOptions): Bytes
  /**
   * The same content as ranges of files on disk, in order, for a reader on another thread: one, except in volumes;
   * undefined if it is not on disk. Throws BLOB_MISSING like `read`.
   */
  ranges(path: string): readonly DiskRange[] | undefined
  /** The digests of all files, if they were hashed when the bundle was opened. */
  readonly digests?: ReadonlyMap<string, Digest>
  /** The same of the tars in its blobs, if that was asked for. */
  readonly plain?: ReadonlyMap<string, Plain>
}

export interface OpenFilesOptions extends WaitOptions {
  /**
   * Whether layers will be read (the default). Without them, a compressed bundle or a stream is read without storing it.
   */
  readonly layers?: boolean | undefined
  /** Whether the blobs of a compressed bundle or a stream are decompressed, too, and what is in them is hashed. */
  readonly deep?: boolean | undefined
  /**
   * Whether a compressed bundle or a stream is to be read while it is used, as `PassingFiles`, instead of being stored
   * first.
   */
  readonly passing?: boolean | undefined
  /** Where to store a compressed bundle or a stream: beside this path, by default in `TMPDIR` or `/var/tmp`. */
  readonly beside?: string | undefined
  /** Where volumes may be, besides the path: directories, or volumes. */
  readonly more?: readonly string[] | undefined
  /** What {@link findVolumes} has found there, if it was asked already. */
  readonly volumes?: VolumeSet | undefined
  /** Asks for a volume that is not there; without it, a set that is not complete is refused. */
  readonly askForVolume?: AskForVolume | undefined
  /** Called with a sentence for the user if it is stored. */
  readonly onNotice?: ((text: string) => void) | undefined
}

/** A bundle that is read from its start to its end. */
export interface StreamSource {
  /** In bytes, if it is known. */
  readonly size: number | undefined
  /** Its bytes; if omitted, those of the file or pipe with its path. */
  readonly bytes?: Bytes | undefined
}

const DEPTH_LIMIT = 16
/** Files that are looked up at a time, and names that are read at once. */
const LOOKUPS = 8
const NAMES_AT_ONCE = 256

/** Whether a bundle with this path is a tar, compressed or not, or a stream: all but a directory. */
export function isTarPath(path: string): boolean {
  return path === STANDARD_STREAM || path.toLowerCase().endsWith('.tar') || compressionOfName(path) !== undefined
}

/** Throws INVALID_ARGUMENT unless `path` can be cut into volumes of `size` bytes. */
export function expectVolumes(path: string, size: number): void {
  if (!Number.isSafeInteger(size) || size < LEAST_VOLUME)
    throw new StowageError('INVALID_ARGUMENT', `a volume has at least ${LEAST_VOLUME} bytes, not ${size}`)
  if (path !== STANDARD_STREAM && isTarPath(path) && compressionOfName(path) === undefined) return
  throw new StowageError('INVALID_ARGUMENT', `${path} cannot be cut into volumes: they are parts of a plain tar`, {
    hint: 'Name a file that ends in .tar: x.tar becomes x.tar.001, x.tar.002 ….',
  })
}

class DirectoryFiles implements BundleFiles {
  readonly files: ReadonlyMap<string, BundleFile>
  readonly #root: string

  constructor(root: string, files: ReadonlyMap<string, BundleFile>) {
    this.#root = root
    this.files = files
  }

  async *read(path: string, { signal }: FetchOptions = {}): Bytes {
    const place = this.#place(path)
    try {
      const file = await open(place.file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0))
      try {
        yield* pieces(file, 0, place.size, signal)
      } finally {
        await file.close()
      }
    } catch (error) {
      throw abortError(fileError(error, place.file), signal)
    }
  }

  ranges(path: string): readonly DiskRange[] {
    return [this.#place(path)]
  }

  #place(path: string): DiskRange {
    const { size } = listed(this.files, path, this.#root)
    return { file: join(this.#root, ...path.split('/')), offset: 0, size }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** Where a range of a tar is on disk. */
type RangesOfTar = (offset: number, size: number) => readonly DiskRange[]

class TarFiles implements BundleFiles {
  readonly files: ReadonlyMap<string, BundleFile>
  readonly #path: string
  readonly #rangesOf: RangesOfTar
  readonly #file: ReadableFile
  readonly #offsets: ReadonlyMap<string, number>

  constructor(
    path: string,
    rangesOf: RangesOfTar,
    file: ReadableFile,
    files: ReadonlyMap<string, BundleFile>,
    offsets: ReadonlyMap<string, number>,
  ) {
    this.#path = path
    this.#rangesOf = rangesOf
    this.#file = file
    this.files = files
    this.#offsets = offsets
  }

  async *read(path: string, { signal }: FetchOptions = {}): Bytes {
    const { size } = listed(this.files, path, this.#path)
    try {
      yield* pieces(this.#file, this.#offsets.get(path) ?? 0, size, signal)
    } catch (error) {
      throw abortError(fileError(error, this.#path), signal)
    }
  }

  ranges(path: string): readonly DiskRange[] {
    const { size } = listed(this.files, path, this.#path)
    return this.#rangesOf(this.#offsets.get(path) ?? 0, size)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
  }
}

/** The files in the directory `path`. */
export async function openDirectoryFiles(path: string, signal?: AbortSignal): Promise<BundleFiles> {
  return new DirectoryFiles(path, await listDirectory(path, signal))
}

/** The files in the tar `file`; disposing of them closes it. `path` is for messages. */
export async function openTarFiles(
  file: ReadableFile,
  path: string,
  rangesOf: RangesOfTar,
  signal?: AbortSignal,
): Promise<BundleFiles> {
  const members = (await listArchive(await fileInput(file), path, { signal })).filter(
    member => member.type !== 'directory',
  )
  const files = members.map(({ name, size, type }): [string, BundleFile] => [
    name,
    { path: name, size, type: type === 'file' ? 'file' : 'other' },
  ])
  const offsets = new Map(members.map(member => [member.name, member.offset]))
  return new TarFiles(path, rangesOf, file, new Map(files), offsets)
}

/**
 * Everything below a directory except directories, by path. Throws NOT_A_BUNDLE if there is more than any bundle has:
 * the names are counted before anything is looked up.
 */
export async function listDirectory(root: string, signal?: AbortSignal): Promise<ReadonlyMap<string, BundleFile>> {
  let count = 0
  const paths: string[] = []
  await walk('', 0)
  const files = await pMap(
    paths,
    async (path): Promise<[string, BundleFile]> => {
      const found = await lstatIfThere(join(root, path))
      return [path, { path, size: found?.size ?? 0, type: found?.isFile() ? 'file' : 'other' }]
    },
    { concurrency: LOOKUPS },
  )
  return new Map(files)

  async function walk(directory: string, depth: number): Promise<void> {
    signal?.throwIfAborted()
    for await (const entry of await opendir(join(root, directory), { bufferSize: NAMES_AT_ONCE })) {
      const path = directory === '' ? entry.name : `${directory}/${entry.name}`
      if (depth === 0 && entry.isDirectory() && isMediumEntry(entry.name)) continue
      count += 1
      if (count > MEMBER_LIMIT) throw tooMany(root)
      // A name that is not UTF-8 is listed, but cannot be opened
      const enter = entry.isDirectory() && depth < DEPTH_LIMIT && (await lstatIfThere(join(root, path)))
      if (enter) await walk(path, depth + 1)
      else paths.push(path)
    }
  }
}

function tooMany(root: string): StowageError {
  return new StowageError(
    'NOT_A_BUNDLE',
    `${root} has over ${MEMBER_LIMIT} files and directories, the limit of a bundle`,
    {
      hint: 'Name the directory that "stowage pack" wrote.',
    },
  )
}

/**
 * Undefined for an entry removed since it was listed, and for a name that is not UTF-8: Node.js lists it, but cannot
 * look it up.
 */
async function lstatIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

function listed(files: ReadonlyMap<string, BundleFile>, path: string, where: string): BundleFile {
  const file = files.get(path)
  if (file?.type === 'file') return file
  throw new StowageError(
    'BLOB_MISSING',
    file ? `${path} in ${where} is not a regular file` : `${path} is not in ${where}`,
  )
}

/**
 * Reads a whole small file. Throws INVALID_MANIFEST if it is larger than `limit` bytes, BLOB_MISSING if it is missing.
 */
export async function readSmall(
  files: Pick<BundleFiles, 'files' | 'read'>,
  path: string,
  limit: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const size = files.files.get(path)?.size ?? 0
  if (size > limit) throw new StowageError('INVALID_MANIFEST', `${path} has ${size} bytes; the limit is ${limit}`)
  const parts: Uint8Array[] = []
  let left = limit
  for await (const piece of files.read(path, { signal })) {
    left -= piece.length
    if (left < 0) throw new StowageError('INVALID_MANIFEST', `${path} has over ${limit} bytes, which is the limit`)
    parts.push(piece)
  }
  return Buffer.concat(parts)
}
