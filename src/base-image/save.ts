/** Saves base OS images as WIM files. Resumes interrupted downloads, and checks each file before it gets its name. */
import { rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isReadBack, openReadBack, type Verified } from '../archive/read-back.js'
import { type Room, roomAt } from '../archive/space.js'
import { makeDirectory, removeLeavings, syncPath, writeDurably } from '../blob/durable.js'
import { readIfThere } from '../blob/read-if-there.js'
import { withLock } from '../blob/lock.js'
import { rename } from '../blob/rename.js'
import { fileError, StowageError, systemCode } from '../errors.js'
import { digestFromHex } from '../oci/digest.js'
import type { WaitOptions } from '../progress.js'
import type { HttpOptions } from '../http/connection.js'
import type { CatalogEntry } from './catalog.js'
import { type CatalogWim, hashOf, wimFileSize, SUM_SIZE, withFetched } from './fetch-wim.js'
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
    const size = options.force ? undefined : await wimFileSize(path)
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
  if ((await wimFileSize(path)) !== undefined) await refuseReadOnly(path)
  return await withFetched(entry, path, options, async ({ path: partial, size, sha256, resumed }) => {
    const readBack = await openReadBack(path, options.verify, options)
    try {
      await readBack?.check([
        { path: partial, name: path, regions: [{ offset: 0, size, digest: digestFromHex(sha256) }] },
      ])
    } catch (error) {
      if (readBack?.lost) await removeLeavings(partial)
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

/** The checksum in `<path>.sha256`, as sha256sum writes it; undefined if there is none. */
async function sumBeside(path: string): Promise<string | undefined> {
  return /^([0-9a-f]{64}) [ *]/.exec((await readIfThere(`${path}.sha256`)) ?? '')?.[1]
}

async function writeSum(path: string, sha256: string): Promise<void> {
  await writeDurably(`${path}.sha256`, new TextEncoder().encode(`${sha256}  ${basename(path)}\n`))
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
