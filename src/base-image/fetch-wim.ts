/** Fetches the WIM of a catalog into a temporary file, checks it, and goes on with what an interrupted run has left. */
import { createHash, type Hash } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { type FileHandle, open, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { checkSpace } from '../archive/space.js'
import type { Bytes } from '../blob/blob-store.js'
import { PARTIAL, removeLeavings, writeAll } from '../blob/durable.js'
import { readFileBytes } from '../blob/hash-file.js'
import { resumableFile } from '../blob/resumable.js'
import { abortError, fileError, isInterruption, StowageError, systemCode } from '../errors.js'
import type { HttpOptions } from '../http/connection.js'
import { type Download, download, type DownloadOptions, TRIES } from '../http/download.js'
import { failureReason, isAbsent, isFinal } from '../http/failure.js'
import { Web } from '../http/web.js'
import type { WaitOptions } from '../progress.js'
import { openWim } from '../wim/wim-file.js'
import type { CatalogContent, CatalogEntry } from './catalog.js'
import { formatVersion } from './version.js'

/** A WIM, on the web or in a folder. */
export type CatalogWim = CatalogEntry & { readonly content: Exclude<CatalogContent, { readonly type: 'image' }> }

const PIECE = 1024 * 1024

/** The most bytes of a checksum beside a WIM. */
export const SUM_SIZE = 1024

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
      isInterruption(failure) && entry.content.sha256 !== undefined ? await wimFileSize(partial).catch(() => 0) : 0
    if (failure instanceof StowageError && left) throw await resumableFile(failure, partial)
    await removeLeavings(partial)
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
    const held = content.sha256 === undefined ? 0 : ((await wimFileSize(partial)) ?? 0)
    if (size !== undefined) await checkSpace(dirname(path), { sizes: [size, SUM_SIZE], held })
    options.onProgress?.({ type: 'stage', stage: 'copy', subject: path })
    const fetched = await fill(partial, held, { entry, size, web, ...options, path })
    await checkWim(partial)
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

export interface FetchWimOptions extends WaitOptions, HttpOptions {
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

export async function hashOf(path: string, size: number): Promise<Hash> {
  const hash = createHash('sha256')
  if (size > 0)
    for await (const piece of createReadStream(path, { end: size - 1, highWaterMark: PIECE }) as Bytes)
      hash.update(piece)
  return hash
}

/** Throws NOT_A_WIM if the file is something else, such as the page of a captive portal. */
async function checkWim(partial: string): Promise<void> {
  try {
    await using _wim = await openWim(partial)
  } catch (error) {
    if (!(error instanceof StowageError)) throw error
    const code = error.code === 'UNSUPPORTED' ? 'NOT_A_WIM' : error.code // it should have been one
    throw new StowageError(code, error.message.replaceAll(partial, 'what was sent'), {
      hint: 'The source did not send a WIM: open its address in a browser.',
      cause: error,
    })
  }
}

export async function wimFileSize(path: string): Promise<number | undefined> {
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
