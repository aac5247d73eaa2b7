/**
 * Temporary tags of images that are being loaded: they name their owner, so that a later run can tell that it is gone and
 * remove them.
 */
import { createHash, randomBytes } from 'node:crypto'
import { isAlive } from '../blob/lock.js'
import { beginOf, type Owner, thisOwner } from '../blob/owner.js'
import type { EngineClient } from './client.js'
import { listEngineImages } from './inventory.js'

/** `stowage-<host>-<boot>-<process>-<began>-<time>-<number>`: hashes of the first two, and seconds since 1970. */
const TAG = /:stowage-([0-9a-f]{8})-([0-9a-f]{8}|0)-(\d+)-(\d+)-(\d+)-[0-9a-f]{8}$/
/** Of another host, whose processes cannot be seen from here. In milliseconds. */
const ABANDONED_MS = 24 * 60 * 60 * 1000

/** A tag that no other run uses. */
export async function temporaryTag(): Promise<string> {
  const owner = await thisOwner()
  const { host, boot } = hashed(owner)
  const time = Math.floor(Date.parse(owner.time) / 1000)
  return ['stowage', host, boot, owner.process, owner.began || 0, time, randomBytes(4).toString('hex')].join('-')
}

/** Names at the engine whose tags are those of runs that were killed: on this host, or on another one over a day ago. */
export async function leftTags(client: EngineClient): Promise<readonly string[]> {
  const [own, images] = [await thisOwner(), await listEngineImages(client)]
  const left: string[] = []
  for (const name of images.flatMap(({ names }) => names)) if (await isLeft(name, own)) left.push(name)
  return left
}

async function isLeft(name: string, own: Owner): Promise<boolean> {
  const [, host, boot, process, began, time] = TAG.exec(name) ?? []
  if (host === undefined) return false
  const here = hashed(own)
  if (host !== here.host) return Date.now() - Number(time) * 1000 > ABANDONED_MS
  if (boot !== '0' && here.boot !== '0' && boot !== here.boot) return true
  if (!isAlive(Number(process))) return true
  const now = await beginOf(Number(process))
  return began !== '0' && now !== '' && began !== now
}

function hashed({ host, boot }: Owner): { readonly host: string; readonly boot: string } {
  const short = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 8)
  return { host: short(host), boot: boot === '' ? '0' : short(boot) }
}
