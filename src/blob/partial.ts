/** Partial files of blobs that are being written: their names and owners. */
import { createHash, randomUUID } from 'node:crypto'
import { open, readdir, rm, stat, truncate } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { fileError, systemCode } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import { type Digest, digestFromHex, hexOf } from '../oci/digest.js'
import { PARTIAL, removeLeavings } from './durable.js'
import { isAlive } from './lock.js'
import { rename } from './rename.js'
import { ALIGNMENT, SLOT } from './write-blob.js'

/** `<hex>.<machine>-<process>-<number>.partial`: the blob and its writer. */
const NAME = /^([0-9a-f]{64})\.([0-9a-f]{8})-(\d+)-\d+\.partial$/
/** `<uuid>.<machine>-<process>-<number>.partial`: content that is created, whose digest is not known yet. */
const CREATED = /^[0-9a-f-]{36}\.([0-9a-f]{8})-(\d+)-\d+\.partial$/
/**
 * Processes on other machines cannot be checked: a file they have not changed for this many milliseconds is abandoned.
 */
const LEFT_AFTER = 3600_000

const MACHINE = createHash('sha256').update(hostname()).digest('hex').slice(0, 8)
let claims = 0
/** Paths that this process is writing. */
const writing = new Set<string>()

/** A file that one process writes a blob to. Disposing of it releases the claim; the file stays as it is. */
export interface Partial extends Disposable {
  readonly path: string
  /** Bytes of the blob that an earlier attempt left in it. */
  readonly held: number
}

/** Whether this is the name of a partial blob, which another run can resume. */
export function isPartial(name: string): boolean {
  return NAME.test(name)
}

/** Whether it is a partial blob with something in it that another run keeps. */
export async function isUseful(directory: string, name: string): Promise<boolean> {
  if (!isPartial(name)) return false
  const found = await stat(join(directory, name)).catch(() => undefined) // another process has finished it
  return found !== undefined && found.size >= ALIGNMENT
}

/**
 * Claims a file in `directory` to write `blob` to: the longest one left by a process that is gone, truncated to a
 * multiple of {@link ALIGNMENT}, or else a new one. Only one process claims a file at a time. Throws {@link
 * fileError}s.
 */
export async function claimPartial(directory: string, blob: Descriptor): Promise<Partial> {
  claims += 1
  const path = join(directory, `${hexOf(blob.digest)}.${MACHINE}-${process.pid}-${claims}${PARTIAL}`)
  writing.add(path)
  try {
    const held = await takeOver(directory, blob, path)
    if (held === undefined) await (await open(path, 'wx')).close()
    return { path, held: held ?? 0, [Symbol.dispose]: () => void writing.delete(path) }
  } catch (error) {
    writing.delete(path)
    await removeLeavings(path)
    throw fileError(error, directory)
  }
}

/** A path in `directory` for content that is created. */
export function pathToCreate(directory: string): string {
  claims += 1
  return join(directory, `${randomUUID()}.${MACHINE}-${process.pid}-${claims}${PARTIAL}`)
}

/** A partial file whose writer is gone, or has not changed it for an hour on another machine. `size`: in bytes. */
export interface LeftPartial {
  readonly path: string
  /** Of the blob, unless it is content that is created. */
  readonly digest?: Digest
  readonly size: number
}

/** What interrupted runs left in `directory`: parts of blobs, which a run that needs them goes on with, and of created content. */
export async function leftPartials(directory: string): Promise<readonly LeftPartial[]> {
  const found: LeftPartial[] = []
  for (const name of await readdir(directory)) {
    const [, machine, owner] = CREATED.exec(name) ?? NAME.exec(name)?.slice(1) ?? []
    if (machine === undefined || owner === undefined) continue
    const left = await examine(join(directory, name), machine, Number(owner))
    const hex = NAME.exec(name)?.[1]
    if (left) found.push({ ...left, ...(hex === undefined ? {} : { digest: digestFromHex(hex) }) })
  }
  return found
}

/** Removes {@link leftPartials}, after a run that needed none of them. Those that cannot be removed stay. */
export async function clearPartials(directory: string): Promise<void> {
  const left = await leftPartials(directory).catch(() => []) // of a directory that is not there
  for (const { path } of left) await rm(path, { force: true }).catch(() => undefined)
}

/** Removes what other attempts left of `blob`, which is now complete. */
export async function removeLeft(directory: string, blob: Descriptor): Promise<void> {
  if (blob.size < SLOT) return
  for (const { path } of await leftOf(directory, blob)) await rm(path, { force: true })
}

/** Renames an abandoned file of `blob` to `path` and returns its size; undefined if there is none. */
async function takeOver(directory: string, blob: Descriptor, path: string): Promise<number | undefined> {
  if (blob.size < SLOT) return undefined
  for (const left of await leftOf(directory, blob)) {
    try {
      await rename(left.path, path)
    } catch (error) {
      if (systemCode(error) === 'ENOENT') continue // another process was first
      throw error
    }
    const held = Math.floor(Math.min(left.size, blob.size) / ALIGNMENT) * ALIGNMENT
    await truncate(path, held)
    return held
  }
  return undefined
}

/** Abandoned files of `blob`, longest first. */
async function leftOf(directory: string, blob: Descriptor): Promise<readonly LeftPartial[]> {
  const found: LeftPartial[] = []
  for (const name of await readdir(directory)) {
    const [, hex, machine, owner] = NAME.exec(name) ?? []
    if (hex !== hexOf(blob.digest)) continue
    const left = await examine(join(directory, name), machine ?? '', Number(owner))
    if (left) found.push(left)
  }
  return found.sort((a, b) => b.size - a.size)
}

/** The file, if it is abandoned. */
async function examine(path: string, machine: string, owner: number): Promise<LeftPartial | undefined> {
  const { size, mtimeMs } = await stat(path).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return { size: 0, mtimeMs: Infinity } // its writer has finished
    throw error
  })
  const left =
    machine === MACHINE
      ? !writing.has(path) && (owner === process.pid || !isAlive(owner))
      : Date.now() - mtimeMs > LEFT_AFTER
  return left ? { path, size } : undefined
}
