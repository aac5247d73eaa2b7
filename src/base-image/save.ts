/** Saves base OS images as WIM files: what was begun is gone on with, what comes is checked before it has its name. */
import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { checkSpace } from '../archive/space.js'
import type { Bytes } from '../blob/blob-store.js'
import { makeDirectory, PARTIAL, syncPath, writeAll, writeDurably } from '../blob/durable.js'
import { withLock } from '../blob/lock.js'
import { abortError, fileError, StowageError, systemCode } from '../errors.js'
import type { WaitOptions } from '../progress.js'
import { type Download, download, TRIES } from '../http/download.js'
import { Web } from '../http/web.js'
import type { HttpOptions } from '../http/connection.js'
import { openWim } from '../wim/wim-file.js'
import type { CatalogContent, CatalogEntry } from './catalog.js'
import { isImageName } from './read-catalog.js'
import { formatVersion } from './version.js'

export interface SaveOptions extends WaitOptions, HttpOptions {
  /** Replaces a file that is there, and makes the folder if there is none. */
  readonly force?: boolean | undefined
  /** Only says what would be done. */
  readonly whatIf?: boolean | undefined
}

export interface SavedImage {
  readonly name: string
  readonly version: string
  readonly path: string
  /** In bytes; undefined if nothing was saved and nobody says how many there are. */
  readonly size: number | undefined
  readonly sha256: string | undefined
  /** `saved`, or why it was not: it `exists`, or was only asked about (`what-if`). */
  readonly result: 'saved' | 'exists' | 'what-if'
  /** Bytes that an earlier try had left. */
  readonly resumed: number
}

/** A WIM, on the web or in a folder. */
type WimEntry = CatalogEntry & { readonly content: Exclude<CatalogContent, { readonly type: 'image' }> }

const PIECE = 1024 * 1024

/** `<Name>-<a-b-c-d>.wim`, as the provider of 2016 named it; `.wim` at the end of the name is left out of it. */
export function wimName({ name, version }: Pick<CatalogEntry, 'name' | 'version'>): string {
  const stem = name.replace(/\.wim$/i, '')
  if (!isImageName(stem)) {
    throw new StowageError(
      'INVALID_ARGUMENT',
      `${JSON.stringify(name)} is not a name of a base OS image: it would be part of a path`,
      { hint: 'Check the source: stowage find --json.' },
    )
  }
  return `${stem}-${version.join('-')}.wim`
}

/**
 * Saves the WIM of `entry` in the folder `directory`, with `<file>.sha256` beside it for `sha256sum -c`. Throws FILE_NOT_FOUND for a folder that
 * is not there unless `force`, NO_SPACE before the first byte, DIGEST_MISMATCH and SIZE_MISMATCH if it is not what the source
 * says, NOT_A_WIM where it is none, BUSY if another process goes on saving it, and what the network does; then nothing has the name, and what came is kept where it can be checked.
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
      `${entry.name} ${formatVersion(entry.version)} of ${entry.source} is a container image, not a WIM`,
      {
        hint: `Pack it: stowage pack ${content.location} -o BUNDLE, or convert it to a WIM: stowage copy ${content.location} wim:FILE.`,
      },
    )
  }
  const path = join(directory, wimName(entry))
  const about = { name: entry.name, version: formatVersion(entry.version), path }
  if (options.whatIf) return { ...about, size: content.size, sha256: content.sha256, result: 'what-if', resumed: 0 }
  await prepareFolder(directory, options.force ?? false)
  const exists = async (): Promise<SavedImage | undefined> => {
    const there = options.force ? undefined : await sizeOf(path)
    if (there === undefined) return undefined
    const sha256 = content.sha256 === undefined ? undefined : (await hashOf(path, there)).digest('hex')
    if (sha256 === content.sha256) return { ...about, size: there, sha256, result: 'exists', resumed: 0 }
    throw new StowageError(
      'DIGEST_MISMATCH',
      `${path} exists, but it is a different file: its source says sha256 ${content.sha256}, and it is ${sha256}`,
      {
        hint: 'Do not use it: replace it with --force, or save into another folder.',
      },
    )
  }
  // Of two that save the same file, the second finds what the first saved
  return (
    (await exists()) ??
    (await withLock(
      `${path}.lock`,
      async () => (await exists()) ?? { ...about, ...(await fetchWim({ ...entry, content }, path, options)) },
      options.signal,
    ))
  )
}

/** Under the lock: one process alone writes the partial file. */
async function fetchWim(
  entry: WimEntry,
  path: string,
  options: SaveOptions,
): Promise<Pick<SavedImage, 'size' | 'sha256' | 'result' | 'resumed'>> {
  const [{ content }, directory] = [entry, dirname(path)]
  if ((await sizeOf(path)) !== undefined) await refuseReadOnly(path)
  await using web = new Web(options)
  const size = content.size ?? (content.type === 'web' ? (await web.find(content.url, options)).size : undefined)
  // What a server could have changed meanwhile is only gone on with where its sum is known
  const partial = `${path}${PARTIAL}`
  const held = content.sha256 === undefined ? 0 : ((await sizeOf(partial)) ?? 0)
  if (size !== undefined) await checkSpace(directory, Math.max(size - held, 0), size)
  options.onProgress?.({ type: 'stage', stage: 'copy', subject: path })
  try {
    const saved = await fill(partial, held, { entry, size, web, ...options, path })
    await checkWim(partial, path)
    await rm(`${path}.sha256`, { force: true }) // killed between the two, a file has no sum rather than another's
    await rename(partial, path)
    await writeDurably(`${path}.sha256`, new TextEncoder().encode(`${saved.sha256}  ${wimName(entry)}\n`))
    await syncPath(directory, 'directory')
    options.onProgress?.({ type: 'done', subject: path })
    return { ...saved, result: 'saved', resumed: held }
  } catch (error) {
    const failure = abortError(fileError(error, path), options.signal)
    const resumable =
      failure instanceof StowageError &&
      ['ABORTED', 'REGISTRY_UNREACHABLE'].includes(failure.code) &&
      content.sha256 !== undefined
    if (!resumable) await rm(partial, { force: true })
    if (!(failure instanceof StowageError) || failure.hint !== undefined || failure.code === 'ABORTED') throw failure
    throw failure.withHint(`Ask the operator of the source ${entry.source}, or choose another with --source.`)
  }
}

interface Filling extends SaveOptions {
  readonly entry: WimEntry
  readonly size: number | undefined
  readonly web: Web
  readonly path: string
}

/** All of the file in `partial`, of which `held` bytes are there. */
async function fill(
  partial: string,
  held: number,
  { entry, size, web, path, backoff, signal, onProgress }: Filling,
): Promise<{ readonly size: number; readonly sha256: string }> {
  const file = await open(partial, held > 0 ? 'r+' : 'w+')
  try {
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
      isFinal: failure => failure instanceof StowageError && failure.code !== 'REGISTRY_UNREACHABLE',
      broken: (offset, failure) => unreachable(entry, offset, failure),
    }
    for await (const piece of download(source, { signal, backoff })) {
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
  { content }: WimEntry,
  web: Web,
  at: number,
  signal: AbortSignal | undefined,
): Promise<{ readonly offset: number; readonly bytes: Bytes }> {
  if (content.type === 'web') return await web.open(content.url, at, { signal })
  return {
    offset: at,
    bytes: createReadStream(content.path, { start: at, highWaterMark: PIECE, ...(signal ? { signal } : {}) }),
  }
}

async function hashOf(path: string, size: number): Promise<Hash> {
  const hash = createHash('sha256')
  if (size > 0)
    for await (const piece of createReadStream(path, { end: size - 1, highWaterMark: PIECE }) as Bytes)
      hash.update(piece)
  return hash
}

/** What a captive portal or a mirror gives instead is not a WIM. */
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
        hint: 'Create it first, or use --force.',
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

function unreachable({ name, version }: CatalogEntry, at: number, cause: unknown): StowageError {
  const why = cause instanceof Error ? `: ${cause.message}` : ''
  return new StowageError(
    'REGISTRY_UNREACHABLE',
    `${name} ${formatVersion(version)} ended after ${at} bytes, and ${TRIES} retries brought no more${why}`,
    {
      hint: 'Run the command again: it resumes the download if the source gives the sha256.',
      cause,
    },
  )
}
