/** A bundle written as a directory: blobs go to their final paths, heads come last; marked INCOMPLETE until sealed. */
import { randomUUID } from 'node:crypto'
import type { Dirent } from 'node:fs'
import { mkdir, open, readdir, readFile, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { ReadBack } from '../archive/read-back.js'
import type { Bytes, FetchOptions, HasOptions, PutOptions, ReadBlob, StagedBlob } from '../blob/blob-store.js'
import { BlobDirectory, type Missing } from '../blob/directory.js'
import { makeDirectory, PARTIAL, syncPath, writeDurably } from '../blob/durable.js'
import { isPartial } from '../blob/partial.js'
import { rename } from '../blob/rename.js'
import { writeBlob } from '../blob/write-blob.js'
import { fileError, outputError, StowageError, systemCode } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import { type Digest, hexOf } from '../oci/digest.js'
import { BLOBS, DOCUMENTS, FILES, INCOMPLETE_FILE, INCOMPLETE_TEXT, isBeside, isSignature } from './contents.js'
import { type BundleMedium, type Documents, writtenFiles } from './medium.js'

/** The marker, and the temporary files that are renamed to it: each command writes its own. */
const MARKER = new RegExp(`^${INCOMPLETE_FILE}(?:\\.[0-9a-f-]{36})?$`)

/** Directories that a file system or a desktop creates on a medium; they are not part of a bundle. */
const MEDIUM_ENTRIES =
  /^(?:lost\+found|System Volume Information|\$RECYCLE\.BIN|\.Trashes|\.Trash-\d+|\.fseventsd|\.Spotlight-V100)$/i

/** Whether the top-level directory `name` belongs to the medium, not to the bundle. */
export function isMediumEntry(name: string): boolean {
  return MEDIUM_ENTRIES.test(name)
}

/**
 * Opens `path`, which does not exist yet, is an empty directory, or was left with its marker by an interrupted run.
 * With `readBack`, all files are read back before it is sealed. Throws OUTPUT_EXISTS with the files in the way, FILE_NOT_FOUND if the parent does not exist.
 */
export async function openDirectoryMedium(path: string, readBack?: ReadBack): Promise<BundleMedium> {
  const made = await makeOutput(path)
  const entries = await readdir(path, { withFileTypes: true }).catch((error: unknown) => {
    throw fileError(error, path)
  })
  const resumed = refuseOccupied(path, entries)
  const medium = new DirectoryMedium(path, made, resumed, readBack)
  await medium.begin()
  return medium
}

/**
 * Throws OUTPUT_EXISTS unless the directory `path` is empty or was left by an interrupted run; returns whether it was.
 */
export function refuseOccupied(path: string, entries: readonly Dirent[]): boolean {
  const names = entries.filter(entry => !(entry.isDirectory() && isMediumEntry(entry.name))).map(entry => entry.name)
  if (names.length > 0 && !names.some(isMarker)) throw occupied(path, names)
  const foreign = names.filter(name => !isOwn(name))
  if (foreign.length > 0) throw occupied(path, foreign)
  return names.length > 0
}

class DirectoryMedium implements BundleMedium {
  readonly where: string
  readonly #blobs: BlobDirectory
  readonly #made: boolean
  readonly #resumed: boolean
  readonly #readBack: ReadBack | undefined
  /** The last line of the marker of this run, unique to it. */
  readonly #run = `Run ${randomUUID()}\n`

  /**
   * `made`: this run created the directory. `resumed`: it holds blobs that an earlier run finished, which stay even if
   * this run fails.
   */
  constructor(path: string, made: boolean, resumed: boolean, readBack: ReadBack | undefined) {
    this.where = path
    this.#blobs = new BlobDirectory(path, async () => await this.#refuseIfTakenOver())
    this.#made = made
    this.#resumed = resumed
    this.#readBack = readBack
  }

  /** Device and inode of the directory, to notice that its medium was removed. */
  #identity: string | undefined

  /** Writes the marker first, then removes the unfinished files of an interrupted run; its finished blobs stay. */
  async begin(): Promise<void> {
    try {
      this.#identity = await identityOf(this.where)
      const marker = this.#path(`${INCOMPLETE_FILE}.${randomUUID()}`)
      await this.#unlessTakenOver(async () => {
        await writeDurably(marker, new TextEncoder().encode(INCOMPLETE_TEXT + this.#run))
        await rename(marker, this.#path(INCOMPLETE_FILE))
        await this.#removeUnfinished()
        await makeDirectory(this.#path(BLOBS, 'sha256'))
      })
    } catch (error) {
      if (this.#made) await this.#removeBegun().catch(() => undefined) // why it failed is what is reported
      throw error
    }
  }

  /** What is another command's is not removed: it has written to the directory. */
  async #removeBegun(): Promise<void> {
    await ((await this.#isOurs()) ? rm(this.where, { recursive: true, force: true }) : rmdir(this.where))
  }

  /** The bundle's own blob directory: blobs that are needed are then already in place. */
  async spool(): Promise<BlobDirectory> {
    return this.#blobs
  }

  async missing(blobs: readonly Descriptor[]): Promise<Missing> {
    return await this.#blobs.missing(blobs)
  }

  async reserve(): Promise<void> {}

  async assign(): Promise<void> {}

  fit(_file: string, json: Uint8Array): Uint8Array {
    return json
  }

  async has(blob: Descriptor, options?: HasOptions): Promise<boolean> {
    return await this.#blobs.has(blob, options)
  }

  async put(blob: Descriptor, read: ReadBlob, options?: PutOptions): Promise<void> {
    await this.#unlessTakenOver(async () => await this.#blobs.put(blob, read, options))
  }

  async putFile(path: string, file: Descriptor, read: () => Bytes, options?: FetchOptions): Promise<void> {
    const place = this.#path(...path.split('/'))
    const partial = `${place}${PARTIAL}`
    await this.#unlessTakenOver(async () => {
      try {
        await makeDirectory(dirname(place))
        await (await open(partial, 'w')).close()
        await writeBlob({ path: partial, offset: 0, held: 0, direct: true }, file, read, options)
        await this.#refuseIfTakenOver()
        await rename(partial, place)
        await syncPath(dirname(place), 'directory')
      } catch (error) {
        throw fileError(error, place)
      }
    })
  }

  async create<T extends StagedBlob>(produce: (target: { path: string; offset: number }) => Promise<T>): Promise<T> {
    return await this.#unlessTakenOver(async () => await this.#blobs.create(produce))
  }

  async seal(documents: Documents, blobs: ReadonlySet<Digest>): Promise<boolean> {
    await this.#refuseIfTakenOver()
    try {
      await this.#removeStrays(blobs)
      for (const directory of [this.#path(BLOBS, 'sha256'), this.#path(BLOBS)]) await syncPath(directory, 'directory')
      for (const file of DOCUMENTS) {
        const bytes = documents.get(file)
        if (bytes) await writeDurably(this.#path(file), bytes)
      }
      await syncPath(this.where, 'directory')
      await this.#refuseIfTakenOver()
      await this.#refuseIfMissing(blobs)
      await this.#readBack?.check(writtenFiles(documents, path => this.#path(...path.split('/'))))
      await rm(this.#path(INCOMPLETE_FILE))
      for (const directory of [this.where, dirname(resolve(this.where))]) await syncPath(directory, 'directory')
      return true
    } catch (error) {
      throw fileError(error, this.where)
    }
  }

  async discard(keep: boolean): Promise<void> {
    if (!(await this.#isOurs())) return
    if ((keep || this.#resumed) && !this.#readBack?.lost && (await this.#blobs.holdsAny())) {
      await this.#removeUnfinished()
      return
    }
    for (const name of [...DOCUMENTS, BLOBS, FILES, INCOMPLETE_FILE]) {
      await rm(this.#path(name), { recursive: true, force: true })
    }
    if (this.#made) await rmdir(this.where)
  }

  /** Whether the marker is still ours: another command with the same output takes the directory over. */
  async #isOurs(): Promise<boolean> {
    try {
      return (await readFile(this.#path(INCOMPLETE_FILE), 'utf8')).endsWith(this.#run)
    } catch (error) {
      if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return false
      throw fileError(error, this.where)
    }
  }

  /**
   * Throws OUTPUT_EXISTS if another command took over: its bundle, perhaps finished by now, must not change; MEDIUM_FAILED
   * if the directory is not there any more.
   */
  async #refuseIfTakenOver(cause?: StowageError): Promise<void> {
    if (await this.#isOurs()) return
    if ((await identityOf(this.where)) !== this.#identity) {
      throw new StowageError('MEDIUM_FAILED', `${this.where} is gone: its medium was removed, or it was deleted`, {
        hint: 'Plug the medium in again, and run the same command: it goes on from what is there.',
        cause,
      })
    }
    throw new StowageError(
      'OUTPUT_EXISTS',
      `${this.where} was taken over by another command while it was being written`,
      {
        hint: 'Another command is writing this bundle: wait for it to finish, or name another output.',
        cause,
      },
    )
  }

  /** Throws BLOB_MISSING if a blob is gone: another command that started at the same time may have removed it. */
  async #refuseIfMissing(blobs: ReadonlySet<Digest>): Promise<void> {
    const there = new Set(await listBlobs(this.#path(BLOBS, 'sha256')))
    const missing = [...blobs].find(digest => !there.has(hexOf(digest)))
    if (missing)
      throw new StowageError('BLOB_MISSING', `${this.#blobs.path(missing)} vanished while the bundle was written`, {
        hint: 'Run the command again, alone.',
      })
  }

  /** Runs `job`; reports FILE_NOT_FOUND as OUTPUT_EXISTS if another command took over the directory. */
  async #unlessTakenOver<T>(job: () => Promise<T>): Promise<T> {
    try {
      return await job()
    } catch (error) {
      const failure = fileError(error, this.where)
      if (failure instanceof StowageError && failure.code === 'FILE_NOT_FOUND') await this.#refuseIfTakenOver(failure)
      throw failure
    }
  }

  async #removeUnfinished(): Promise<void> {
    for (const name of await readdir(this.where)) {
      if (
        DOCUMENTS.includes(name) ||
        name === FILES ||
        name.endsWith(PARTIAL) ||
        isSignature(name) || // of the bundle that an interrupted update was to replace
        (isMarker(name) && name !== INCOMPLETE_FILE)
      ) {
        await rm(this.#path(name), { recursive: true, force: true })
      }
    }
    for (const name of await listBlobs(this.#path(BLOBS, 'sha256'))) {
      if (name.endsWith(PARTIAL) && !isPartial(name)) await rm(this.#path(BLOBS, 'sha256', name), { force: true })
    }
  }

  async #removeStrays(blobs: ReadonlySet<Digest>): Promise<void> {
    const wanted = new Set([...blobs].map(hexOf))
    for (const name of await readdir(this.#path(BLOBS))) {
      if (name !== 'sha256') await rm(this.#path(BLOBS, name), { recursive: true })
    }
    for (const name of await listBlobs(this.#path(BLOBS, 'sha256'))) {
      if (!wanted.has(name)) await rm(this.#path(BLOBS, 'sha256', name), { recursive: true })
    }
  }

  #path(...names: string[]): string {
    return join(this.where, ...names)
  }
}

async function identityOf(directory: string): Promise<string | undefined> {
  const found = await stat(directory, { bigint: true }).catch(() => undefined) // a medium that is gone
  return found && `${found.dev} ${found.ino}`
}

async function listBlobs(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  }
}

function isOwn(name: string): boolean {
  return isMarker(name) || isBeside(name) || [...DOCUMENTS, BLOBS, FILES].includes(withoutPartial(name))
}

function isMarker(name: string): boolean {
  return MARKER.test(withoutPartial(name))
}

function withoutPartial(name: string): string {
  return name.endsWith(PARTIAL) ? name.slice(0, -PARTIAL.length) : name
}

/** Creates the directory. Returns whether it is new; an existing directory is accepted. */
async function makeOutput(path: string): Promise<boolean> {
  try {
    await mkdir(path)
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST') {
      if ((await stat(path)).isDirectory()) return false
      throw new StowageError('OUTPUT_EXISTS', `${path} exists already, and is not a directory`, {
        hint: 'Name another output.',
        cause: error,
      })
    }
    throw outputError(error, path)
  }
}

function occupied(path: string, names: readonly string[]): StowageError {
  const shown = names.slice(0, 3).join(', ') + (names.length > 3 ? ` and ${names.length - 3} more` : '')
  return new StowageError('OUTPUT_EXISTS', `${path} is not empty: it holds ${shown}`, {
    hint: 'Name a directory that is empty or does not exist yet.',
  })
}
