/** What is there of a blob that is still being written: which file that is, and whose. */
import { createHash } from 'node:crypto'
import { open, readdir, rename, rm, stat, truncate } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { fileError, systemCode } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import { hexOf } from '../oci/digest.js'
import { PARTIAL } from './durable.js'
import { isAlive } from './lock.js'
import { ALIGNMENT, SLOT } from './write-blob.js'

/** `<hex>.<machine>-<process>-<number>.partial`: the blob, and who writes it. */
const NAME = /^([0-9a-f]{64})\.([0-9a-f]{8})-(\d+)-\d+\.partial$/
/** Another machine's process cannot be asked whether it lives: what it has not touched for so long, it has left. */
const LEFT_AFTER = 3600_000

const MACHINE = createHash('sha256').update(hostname()).digest('hex').slice(0, 8)
let claims = 0
/** What this process writes just now. */
const writing = new Set<string>()

/** A file that one process writes a blob to. Disposing it lets go of it; the file stays as it is. */
export interface Partial extends Disposable {
  readonly path: string
  /** How much of the blob an earlier try left in it, in bytes. */
  readonly held: number
}

/** Whether a file of this name is what an interrupted run left of a blob, so that another can go on with it. */
export function isPartial(name: string): boolean {
  return NAME.test(name)
}

/**
 * A file in `directory` to write `blob` to: what a process that is gone left of it, the longest, cut to {@link ALIGNMENT}; else
 * a new one. Nobody else claims it before it is let go. Throws what {@link fileError} makes.
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
    await rm(path, { force: true })
    throw fileError(error, directory)
  }
}

/** Removes what other tries left of `blob`, which is whole now. */
export async function removeLeft(directory: string, blob: Descriptor): Promise<void> {
  if (blob.size < SLOT) return
  for (const { path } of await leftOf(directory, blob)) await rm(path, { force: true })
}

/** Gives what is left of `blob` the name `path`; undefined if nothing is. */
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

/** The longest first. */
async function leftOf(
  directory: string,
  blob: Descriptor,
): Promise<readonly { readonly path: string; readonly size: number }[]> {
  const found: { path: string; size: number }[] = []
  for (const name of await readdir(directory)) {
    const [, hex, machine, owner] = NAME.exec(name) ?? []
    if (hex !== hexOf(blob.digest)) continue
    const path = join(directory, name)
    const { size, mtimeMs } = await stat(path).catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') return { size: 0, mtimeMs: Infinity } // its writer is through with it
      throw error
    })
    const left =
      machine === MACHINE
        ? !writing.has(path) && (Number(owner) === process.pid || !isAlive(Number(owner)))
        : Date.now() - mtimeMs > LEFT_AFTER
    if (left) found.push({ path, size })
  }
  return found.sort((a, b) => b.size - a.size)
}
