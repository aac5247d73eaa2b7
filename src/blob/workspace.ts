/**
 * The directory for all temporary files of a run: beside its output, removed at the end, and removed by the next run if
 * this one was killed.
 */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { access, constants, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileError, outputError, systemCode } from '../errors.js'
import { BlobDirectory } from './directory.js'
import { formatOwner, type Owner, parseOwner, stateOf, thisOwner } from './owner.js'

const PREFIX = '.stowage-'
const OWNER_FILE = 'owner.json'
/** After this time, a workspace that another host left on a shared or removable disk counts as abandoned. */
const ABANDONED_MS = 24 * 60 * 60 * 1000

/** A directory that is created when it is first needed. The caller disposes of it and its contents. */
export class Workspace implements AsyncDisposable {
  readonly #beside: string | undefined
  #path: Promise<string> | undefined
  #blobs: Promise<BlobDirectory> | undefined

  /** The workspace is created beside `beside`, the output path; by default, in {@link temporaryDirectory}. */
  constructor(beside?: string) {
    this.#beside = beside
  }

  /** Throws FILE_NOT_FOUND, NOT_WRITABLE, NO_SPACE etc. if the directory cannot be created. */
  async path(): Promise<string> {
    return await (this.#path ??= this.#make())
  }

  /** The workspace as a directory of blobs. */
  async blobs(): Promise<BlobDirectory> {
    return await (this.#blobs ??= this.path().then(path => new BlobDirectory(path)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const path = await this.#path?.catch(() => undefined) // the caller has already received the error
    // What cannot be removed is left to the next run, and to `stowage prune`, which says why
    if (path !== undefined) await removeWorkspace(path).catch(() => undefined)
  }

  async #make(): Promise<string> {
    const parent = await directoryFor(this.#beside)
    try {
      await clearDead(parent)
      const owner = formatOwner(await thisOwner())
      // At once: if the process is killed in between, nobody knows whose the directory is
      const path = mkdtempSync(join(parent, PREFIX))
      try {
        writeFileSync(join(path, OWNER_FILE), owner)
      } catch (error) {
        await removeWorkspace(path).catch(() => undefined)
        throw error
      }
      return path
    } catch (error) {
      throw outputError(error, this.#beside ?? parent)
    }
  }
}

/** A workspace that is in use or was left by an earlier run. */
export interface FoundWorkspace {
  readonly path: string
  /** Undefined if the workspace does not name one. */
  readonly owner: Owner | undefined
  /** `abandoned`: owned by another host or without an owner, and over a day old. */
  readonly state: 'alive' | 'dead' | 'unknown' | 'abandoned'
  /** Total size of its files, in bytes. */
  readonly size: number
}

/** The workspaces in `directory`. Throws if the directory cannot be read. */
export async function findWorkspaces(directory: string): Promise<readonly FoundWorkspace[]> {
  const found: FoundWorkspace[] = []
  for (const path of await workspacesIn(directory)) {
    const { owner, state } = await examine(path)
    found.push({ path, owner, state, size: await sizeOf(path) })
  }
  return found
}

/** Removes the workspace at `path` and its contents. */
export async function removeWorkspace(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch((error: unknown) => {
    throw fileError(error, path)
  })
}

/**
 * The directory for temporary files if no output path is given: `TMPDIR`, or else `/var/tmp`, because `/tmp` is often
 * in memory and too small for layers.
 */
export async function temporaryDirectory(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  if (env['TMPDIR'] || process.platform === 'win32' || process.platform === 'darwin') return tmpdir()
  const usable = await access('/var/tmp', constants.W_OK).then(
    () => true,
    () => false,
  )
  return usable ? '/var/tmp' : tmpdir()
}

/** Whether a file of this name is a workspace. */
export function isWorkspace(name: string): boolean {
  return name.startsWith(PREFIX)
}

/** The directory for what is temporary beside the output path `beside`; by default {@link temporaryDirectory}. */
export async function directoryFor(beside: string | undefined): Promise<string> {
  return beside === undefined ? await temporaryDirectory() : await directoryBeside(beside)
}

/** The directory that `path` is in; `path` itself if a file system is mounted there. */
async function directoryBeside(path: string): Promise<string> {
  const directory = await existingAbove(dirname(resolve(path)))
  const [own, around] = await Promise.all([stat(path).catch(() => undefined), stat(directory).catch(() => undefined)])
  return own?.isDirectory() && around && own.dev !== around.dev ? path : directory
}

/** `directory` or its nearest existing ancestor: an output may create directories. */
export async function existingAbove(directory: string): Promise<string> {
  const found = await stat(directory).catch(() => undefined) // reported when something is created in it
  const above = dirname(directory)
  return found || above === directory ? directory : await existingAbove(above)
}

/** Removes what killed runs left beside the output `path`: for a run that may need no workspace itself. */
export async function clearLeft(path: string): Promise<void> {
  await clearDead(await directoryBeside(path))
}

/** Removes workspaces of killed runs. Any that cannot be examined or removed are left: `stowage prune` reports why. */
async function clearDead(directory: string): Promise<void> {
  for (const path of await workspacesIn(directory).catch(() => [])) {
    const { state } = await examine(path).catch(() => ({ state: 'unknown' }))
    if (state === 'dead' || state === 'abandoned') await removeWorkspace(path).catch(() => undefined)
  }
}

async function workspacesIn(directory: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true })
    return entries
      .filter(entry => entry.isDirectory() && entry.name.startsWith(PREFIX))
      .map(({ name }) => join(directory, name))
      .sort()
  } catch (error) {
    throw fileError(error, directory)
  }
}

async function examine(path: string): Promise<Pick<FoundWorkspace, 'owner' | 'state'>> {
  const owner = parseOwner(await readFile(join(path, OWNER_FILE), 'utf8').catch(() => ''))
  const state = owner ? await stateOf(owner) : 'unknown'
  if (state !== 'unknown') return { owner, state }
  const made = owner ? Date.parse(owner.time) : NaN
  const since = Date.now() - Math.max(Number.isNaN(made) ? 0 : made, (await stat(path)).mtimeMs)
  return { owner, state: since > ABANDONED_MS ? 'abandoned' : 'unknown' }
}

async function sizeOf(path: string): Promise<number> {
  let size = 0
  for (const entry of await readdir(path, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue
    try {
      size += (await stat(join(entry.parentPath, entry.name))).size
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error // its owner is still working
    }
  }
  return size
}
