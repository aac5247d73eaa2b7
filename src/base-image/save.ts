/** Saves base OS images as WIM files. Resumes interrupted downloads, and checks each file before it gets its name. */
import { createHash, type Hash } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isReadBack, openReadBack, type Verified } from '../archive/read-back.js'
import { checkSpace, type Room, roomAt } from '../archive/space.js'
import type { Bytes } from '../blob/blob-store.js'
import { makeDirectory, PARTIAL, syncPath, writeAll, writeDurably } from '../blob/durable.js'
import { readIfThere } from '../blob/read-if-there.js'
import { withLock } from '../blob/lock.js'
import { resumableFile } from '../blob/resumable.js'
import { abortError, fileError, isInterruption, StowageError, systemCode } from '../errors.js'
import { readFileBytes } from '../blob/hash-file.js'
import { digestFromHex } from '../oci/digest.js'
import type { WaitOptions } from '../progress.js'
import { type Download, download, type DownloadOptions, TRIES } from '../http/download.js'
import { failureReason, isAbsent, isFinal } from '../http/failure.js'
import { Web } from '../http/web.js'
import type { HttpOptions } from '../http/connection.js'
import { openWim } from '../wim/wim-file.js'
import type { CatalogContent, CatalogEntry } from './catalog.js'
import { isImageName } from './read-catalog.js'
import { formatVersion } from './version.js'

export interface SaveOptions extends WaitOptions, HttpOptions {
  /** Replace an existing file, and create the folder if it does not exist. */
  readonly force?: boolean | undefined
  /** Only report what would be done. */
  readonly whatIf?: boolean | undefined
  /**
   * Reads the WIM back before it gets its name, from the medium and not from the page cache, and compares it with
   * what was written. By default if the medium is removable.
   */
  readonly verify?: boolean | undefined
}

export interface SavedImage {
  readonly name: string
  readonly version: string
  readonly path: string
  /** In bytes; undefined if nothing was saved and the size is unknown. */
  readonly size: number | undefined
  readonly sha256: string | undefined
  /** Of a split WIM: its parts, in order. `path` is the first, `size` that of all, and `sha256` undefined. */
  readonly parts?: readonly { readonly path: string; readonly size: number; readonly sha256: string }[]
  /** `saved`, or why not: the file `exists`, or the option `whatIf` was set. */
  readonly result: 'saved' | 'exists' | 'what-if'
  /** Bytes that an earlier attempt had left. */
  readonly resumed: number
  /** With `whatIf`: the room that it needs; left out if its size is not known. */
  readonly room?: Room
  /** With `whatIf`: whether it would be read back. */
  readonly verify?: boolean
  /** What was read back, if it was. */
  readonly verified?: Verified
}

/** A WIM, on the web or in a folder. */
export type CatalogWim = CatalogEntry & { readonly content: Exclude<CatalogContent, { readonly type: 'image' }> }

const PIECE = 1024 * 1024
/** The most bytes of a checksum beside a WIM. */
const SUM_SIZE = 1024

/**
 * `<Name>-<a-b-c-d>.wim`, as in the provider of 2016, without a `.wim` at the end of the name. Throws INVALID_ARGUMENT.
 */
export function wimName({ name, version }: Pick<CatalogEntry, 'name' | 'version'>): string {
  const stem = name.replace(/\.wim$/i, '')
  if (!isImageName(stem)) {
    throw new StowageError(
      'INVALID_ARGUMENT',
      `${JSON.stringify(name)} is not a valid name of a base OS image: it cannot be part of a file name`,
      { hint: 'Check the source: stowage find --json.' },
    )
  }
  return `${stem}-${version.join('-')}.wim`
}

/**
 * Saves the WIM of `entry` in the folder `directory`, with `<file>.sha256` beside it for `sha256sum -c`. Throws
 * FILE_NOT_FOUND if the folder does not exist (unless `force`), NO_SPACE before the first byte, DIGEST_MISMATCH or
 * SIZE_MISMATCH if the file is not what the source states, MEDIUM_FAILED, NOT_A_WIM, BUSY if another process is saving it, and network
 * errors. After an error, no file has the final name; a partial download is kept only if the source states the sha256,
 * so that the rest can be checked.
 */
export async function saveImage(
  entry: CatalogEntry,
  directory: string,
  options: SaveOptions = {},
): Promise<SavedImage> {
  const { content } = entry
  if (content.type === 'image') {
    throw new StowageError(
      'UNSUPPORTED',
      `${entry.name} ${formatVersion(entry.version)} from ${entry.source} is a container image, not a WIM`,
      {
        hint: `Pack it: stowage pack ${content.location} -o BUNDLE, or convert it to a WIM: stowage copy ${content.location} wim:FILE.`,
      },
    )
  }
  const path = join(directory, wimName(entry))
  const about = { name: entry.name, version: formatVersion(entry.version), path }
  if (options.whatIf) {
    const { size, sha256 } = content
    const room = size === undefined ? undefined : await roomAt(path, { sizes: [size, SUM_SIZE] })
    const verify = await isReadBack(path, options.verify)
    return { ...about, size, sha256, result: 'what-if', resumed: 0, ...(room ? { room } : {}), verify }
  }
  await prepareFolder(directory, options.force ?? false)
  const exists = async (): Promise<SavedImage | undefined> => {
    const size = options.force ? undefined : await sizeOf(path)
    if (size === undefined) return undefined
    const beside = await sumBeside(path)
    const wanted = content.sha256 ?? beside
    if (wanted === undefined) {
      const file = `${basename(path)}.sha256`
      throw new StowageError(
        'OUTPUT_EXISTS',
        `${path} exists, but it cannot be checked: its source states no sha256, and there is no ${file}`,
        {
          hint: `Replace it with --force; or, if you know that it is whole, write its checksum: sha256sum ${basename(path)} > ${file}`,
        },
      )
    }
    const sha256 = (await hashOf(path, size)).digest('hex')
    if (sha256 === wanted) {
      if (beside !== sha256) await writeSum(path, sha256)
      return { ...about, size, sha256, result: 'exists', resumed: 0 }
    }
    const who = content.sha256 === undefined ? `${path}.sha256` : 'its source'
    throw new StowageError(
      'DIGEST_MISMATCH',
      `${path} exists, but it is a different file: ${who} says sha256 ${wanted}, and it is ${sha256}`,
      {
        hint: 'Do not use it: replace it with --force, or save into another folder.',
      },
    )
  }
  // If two processes save the same file, the second one finds the result of the first
  return (
    (await exists()) ??
    (await withLock(
      `${path}.lock`,
      async () => (await exists()) ?? { ...about, ...(await fetchWim({ ...entry, content }, path, options)) },
      options,
    ))
  )
}

/** Fetches the WIM. The caller holds the lock, so that only one process writes the partial file. */
async function fetchWim(
  entry: CatalogWim,
  path: string,
  options: SaveOptions,
): Promise<Pick<SavedImage, 'size' | 'sha256' | 'result' | 'resumed' | 'verified'>> {
  if ((await sizeOf(path)) !== undefined) await refuseReadOnly(path)
  return await withFetched(entry, path, options, async ({ path: partial, size, sha256, resumed }) => {
    const readBack = await openReadBack(path, options.verify, options)
    try {
      await readBack?.check([
        { path: partial, name: path, regions: [{ offset: 0, size, digest: digestFromHex(sha256) }] },
      ])
    } catch (error) {
      if (readBack?.lost) await rm(partial, { force: true })
      throw error
    }
    // Killed at any moment, this leaves neither a WIM without its checksum nor one with a wrong one
    await rm(path, { force: true })
    await writeSum(path, sha256)
    await rename(partial, path)
    await syncPath(dirname(path), 'directory')
    options.onProgress?.({ type: 'done', subject: path })
    const verified = readBack?.verified
    return { size, sha256, result: 'saved', resumed, ...(verified ? { verified } : {}) }
  })
}

/** A WIM that is whole and checked, under a temporary name. */
export interface FetchedWim {
  readonly path: string
  /** In bytes. */
  readonly size: number
  readonly sha256: string
  /** Bytes that an earlier attempt had left. */
  readonly resumed: number
}

/**
 * Completes `<path>.partial`, checks it, calls `use` with it, and then removes it if it is still there. If interrupted,
 * also in `use`, leaves what is there of it, provided that the source states the sha256. The caller holds the lock of `path`.
 */
export async function withFetched<T>(
  entry: CatalogWim,
  path: string,
  options: FetchWimOptions,
  use: (wim: FetchedWim) => Promise<T>,
): Promise<T> {
  const partial = `${path}${PARTIAL}`
  try {
    const result = await use(await fetchPartial(entry, path, options))
    await rm(partial, { force: true })
    return result
  } catch (error) {
    const failure = abortError(fileError(error, path), options.signal)
    // Without a checksum, the rest could not be checked
    const left =
      isInterruption(failure) && entry.content.sha256 !== undefined ? await sizeOf(partial).catch(() => 0) : 0
    if (failure instanceof StowageError && left) throw await resumableFile(failure, partial)
    await rm(partial, { force: true })
    throw failure
  }
}

async function fetchPartial(entry: CatalogWim, path: string, options: FetchWimOptions): Promise<FetchedWim> {
  const { content, source } = entry
  const partial = `${path}${PARTIAL}`
  try {
    await using web = new Web(options)
    const size = content.size ?? (content.type === 'web' ? (await web.find(content.url, options)).size : undefined)
    // Resume only if the checksum is known: the file on the server may have changed in the meantime
    const held = content.sha256 === undefined ? 0 : ((await sizeOf(partial)) ?? 0)
    if (size !== undefined) await checkSpace(dirname(path), { sizes: [size, SUM_SIZE], held })
    options.onProgress?.({ type: 'stage', stage: 'copy', subject: path })
    const fetched = await fill(partial, held, { entry, size, web, ...options, path })
    await checkWim(partial, path)
    return { ...fetched, path: partial, resumed: held }
  } catch (error) {
    const failure = abortError(fileError(error, path), options.signal)
    if (!(failure instanceof StowageError) || failure.hint !== undefined || failure.code === 'ABORTED') throw failure
    throw failure.withHint(`Ask the operator of the source ${source}, or select another with --source.`)
  }
}

/** In a directory for temporary files, anyone could give us a file of theirs, and change it when it is checked. */
async function refuseForeign(file: FileHandle, path: string): Promise<void> {
  const { uid, nlink } = await file.stat()
  const own = process.getuid?.()
  if (own === undefined || (uid === own && nlink === 1)) return
  throw new StowageError('PERMISSION_DENIED', `${path} is another user's file, or has other names`, {
    hint: 'Delete it, and run the command again.',
  })
}

interface FetchWimOptions extends SaveOptions {
  /** Whether others can write to the directory, as to one for temporary files. */
  readonly shared?: boolean
}

interface FillOptions extends FetchWimOptions {
  readonly entry: CatalogWim
  readonly size: number | undefined
  readonly web: Web
  readonly path: string
}

/** Completes the file `partial`, which already has `held` bytes, and checks it. */
async function fill(
  partial: string,
  held: number,
  { entry, size, web, path, shared, backoff, signal, onProgress }: FillOptions,
): Promise<{ readonly size: number; readonly sha256: string }> {
  const flags = held > 0 ? constants.O_RDWR : constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC
  const file = await open(partial, flags | (constants.O_NOFOLLOW ?? 0), 0o666)
  try {
    if (shared) await refuseForeign(file, partial)
    let [hash, done] = [await hashOf(partial, held), held]
    const source: Download = {
      offset: held,
      size: undefined,
      async open(wanted) {
        const { offset, bytes } = await bytesOf(entry, web, wanted, signal)
        if (offset < wanted) {
          await file.truncate(0)
          ;[hash, done] = [createHash('sha256'), 0]
        }
        return { offset, pieces: bytes }
      },
      isFinal: failure =>
        (failure instanceof StowageError && failure.code !== 'REGISTRY_UNREACHABLE') ||
        entry.content.type !== 'web' ||
        isFinal(failure) ||
        (done === held && isAbsent(failure)),
      broken: (offset, failure) => unreachable(entry, offset, failure),
    }
    const onRetry = (retry: Parameters<NonNullable<DownloadOptions['onRetry']>>[0]): void => {
      onProgress?.({ type: 'retry', subject: path, ...retry })
    }
    const rest = held > 0 && held === size ? [] : download(source, { signal, backoff, onRetry })
    for await (const piece of rest) {
      signal?.throwIfAborted()
      await writeAll(file, piece, done)
      hash.update(piece)
      done += piece.length
      onProgress?.({ type: 'bytes', subject: path, done, total: size })
    }
    const { sha256: expected } = entry.content
    const sha256 = hash.digest('hex')
    if (size !== undefined && done !== size) {
      throw new StowageError(
        'SIZE_MISMATCH',
        `${path}: expected ${size} bytes, as its source states, but received ${done}`,
        {
          hint: 'Save it again.',
        },
      )
    }
    if (expected !== undefined && expected !== sha256) {
      throw new StowageError(
        'DIGEST_MISMATCH',
        `${path}: its source says sha256 ${expected}, but the download is ${sha256}`,
        { hint: 'Do not use the file: save it again, or ask the operator of the source.' },
      )
    }
    await file.sync()
    return { size: done, sha256 }
  } finally {
    await file.close()
  }
}

async function bytesOf(
  { content }: CatalogWim,
  web: Web,
  at: number,
  signal: AbortSignal | undefined,
): Promise<{ readonly offset: number; readonly bytes: Bytes }> {
  if (content.type === 'web') return await web.open(content.url, at, { signal })
  return { offset: at, bytes: readFileBytes(content.path, { signal, start: at }) }
}

/** The checksum in `<path>.sha256`, as sha256sum writes it; undefined if there is none. */
async function sumBeside(path: string): Promise<string | undefined> {
  return /^([0-9a-f]{64}) [ *]/.exec((await readIfThere(`${path}.sha256`)) ?? '')?.[1]
}

async function writeSum(path: string, sha256: string): Promise<void> {
  await writeDurably(`${path}.sha256`, new TextEncoder().encode(`${sha256}  ${basename(path)}\n`))
}

async function hashOf(path: string, size: number): Promise<Hash> {
  const hash = createHash('sha256')
  if (size > 0)
    for await (const piece of createReadStream(path, { end: size - 1, highWaterMark: PIECE }) as Bytes)
      hash.update(piece)
  return hash
}

/** Throws NOT_A_WIM if the file is something else, such as the page of a captive portal. */
async function checkWim(partial: string, path: string): Promise<void> {
  try {
    await using _wim = await openWim(partial)
  } catch (error) {
    if (!(error instanceof StowageError)) throw error
    throw error.withHint(
      'The source did not send a WIM: open its address in a browser.',
      error.message.replaceAll(partial, path),
    )
  }
}

async function prepareFolder(directory: string, force: boolean): Promise<void> {
  try {
    if ((await stat(directory)).isDirectory()) return
    throw new StowageError('INVALID_ARGUMENT', `${directory} is not a folder`)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw fileError(error, directory)
    if (!force) {
      throw new StowageError('FILE_NOT_FOUND', `Cannot find the path '${directory}' because it does not exist`, {
        hint: 'Create it first, or use --force, which also replaces files that are there.',
        cause: error,
      })
    }
    await makeDirectory(directory).catch((failure: unknown) => {
      throw fileError(failure, directory)
    })
  }
}

async function refuseReadOnly(path: string): Promise<void> {
  const { mode } = await stat(path)
  if ((mode & 0o222) !== 0) return
  throw new StowageError('PERMISSION_DENIED', `Cannot remove read-only file ${path}`, {
    hint: 'Remove read-only and use --force again.',
  })
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw fileError(error, path)
  }
}

function unreachable({ name, version, content }: CatalogWim, at: number, cause: unknown): StowageError {
  const why = cause instanceof Error ? `: ${failureReason(cause)}` : ''
  const image = `${name} ${formatVersion(version)}`
  if (at === 0) return new StowageError('REGISTRY_UNREACHABLE', `${image} cannot be downloaded${why}`, { cause })
  return new StowageError(
    'REGISTRY_UNREACHABLE',
    `the download of ${image} ended after ${at} bytes, and ${TRIES} attempts brought no more${why}`,
    {
      hint:
        content.sha256 === undefined
          ? 'Run the command again. It starts from the beginning, as the source states no sha256.'
          : 'Run the command again: it resumes the download.',
      cause,
    },
  )
}
