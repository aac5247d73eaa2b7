/**
 * Merges the delta hive of a container layer into the hive below it: the result is what a container sees. Sources: Maxim
 * Suhanov's Windows registry file format specification, "Layered keys"; hcsshim, which merges them for CimFS layers.
 */
import { setImmediate } from 'node:timers/promises'
import { abortError, StowageError } from '../../errors.js'
import {
  type HiveKey,
  HiveReader,
  type HiveValue,
  LAYER_SUPERSEDE_LOCAL,
  LAYER_SUPERSEDE_TREE,
  LAYER_TOMBSTONE,
} from './hive-reader.js'
import { HiveWriter, type WrittenKey } from './hive-writer.js'

/** A hive, and its name for errors. */
export interface NamedHive {
  readonly name: string
  readonly bytes: Buffer
}

/** What a delta changed. */
export interface HiveChanges {
  readonly keysAdded: number
  readonly keysDeleted: number
  /** Keys that are in both hives, with another security descriptor, class or flags. */
  readonly keysChanged: number
  readonly valuesSet: number
  readonly valuesDeleted: number
}

export interface MergedHive {
  /** The bytes of `base` itself if nothing was changed. */
  readonly bytes: Buffer
  readonly changes: HiveChanges
}

type Counts = { -readonly [Name in keyof HiveChanges]: HiveChanges[Name] }

const NOTHING = Buffer.alloc(0)
const KEY_ROOT = 0x4
/** Flags that say where a key is and how its name is stored: root, not deletable, name in bytes. */
const KEY_OWN = 0x2c
/** Depth that Windows allows. */
const DEPTH = 512
/** Keys between two yields to the event loop. */
const SLICE = 500

/**
 * Merges `delta` into `base`, and yields to the event loop regularly. The same hives give the same bytes. Throws
 * LAYER_CORRUPT, LAYER_UNSUPPORTED for a hive whose changes are in its log, ABORTED.
 */
export async function mergeHives(base: NamedHive, delta: NamedHive, signal?: AbortSignal): Promise<MergedHive> {
  const below = new HiveReader(base.bytes, base.name)
  const above = new HiveReader(delta.bytes, delta.name)
  const [root, deltaRoot] = [below.root, above.root]
  if (deltaRoot.layer === LAYER_TOMBSTONE)
    throw new StowageError('LAYER_CORRUPT', `${delta.name} deletes the root of the registry hive`)
  const merge = new Merge(below, above, signal)
  const written = await merge.key([root, deltaRoot], { name: root.name, parent: 0, depth: 0 })
  const { changes } = merge
  if (Object.values(changes).every(count => count === 0)) return { bytes: base.bytes, changes }
  const [time, deltaTime] = [base.bytes.readBigUInt64LE(12), delta.bytes.readBigUInt64LE(12)]
  return { bytes: merge.writer.seal(base.bytes, written.offset, time > deltaTime ? time : deltaTime), changes }
}

/** A key as it is in both hives, or in one of them. */
type Pair = readonly [base: HiveKey, delta: HiveKey | undefined] | readonly [base: undefined, delta: HiveKey]

interface Place {
  readonly name: HiveKey['name']
  readonly parent: number
  readonly depth: number
}

class Merge {
  readonly changes: Counts = { keysAdded: 0, keysDeleted: 0, keysChanged: 0, valuesSet: 0, valuesDeleted: 0 }
  readonly writer: HiveWriter
  readonly #below: HiveReader
  readonly #above: HiveReader
  readonly #signal: AbortSignal | undefined
  #keys = 0

  constructor(below: HiveReader, above: HiveReader, signal: AbortSignal | undefined) {
    this.#below = below
    this.#above = above
    this.#signal = signal
    this.writer = new HiveWriter(2 * (below.bytes.length + above.bytes.length) + 1024 * 1024)
  }

  /** Writes the key that results from `pair`, and everything below it. */
  async key(pair: Pair, { name, parent, depth }: Place): Promise<WrittenKey> {
    if (depth > DEPTH) throw new StowageError('LAYER_CORRUPT', `a registry hive has keys over ${DEPTH} levels deep`)
    if ((this.#keys += 1) % SLICE === 0) await this.#rest()
    const own = this.#merged(pair)
    const offset = this.writer.begin({ ...own, name }, parent)
    const [base, delta] = pair
    const values = this.#values(base, delta)
    const subkeys: WrittenKey[] = []
    for (const inside of this.#pairs(base, delta)) {
      const { name: called } = inside[0] ?? inside[1]
      subkeys.push(await this.key(inside, { name: called, parent: offset, depth: depth + 1 }))
    }
    this.writer.end(offset, values, subkeys)
    return { offset, name, classSize: own.className.length }
  }

  /**
   * The key itself. A delta has copies of the keys that it changes, with their security descriptors; only its root was
   * made with the hive, so the root keeps its own.
   */
  #merged([base, delta]: Pair): HiveKey {
    if (!base) {
      this.changes.keysAdded += 1
      return { ...delta, className: delta.inheritsClass ? NOTHING : delta.className }
    }
    if (!delta) return base
    const isRoot = (base.flags & KEY_ROOT) !== 0
    const security = isRoot ? base.security : (delta.security ?? base.security)
    const replaced = isSuperseding(delta)
    const flags = (base.flags & KEY_OWN) | ((replaced ? delta.flags : base.flags | delta.flags) & ~KEY_OWN)
    const className = delta.inheritsClass ? (replaced ? NOTHING : base.className) : delta.className
    const time = delta.time > base.time ? delta.time : base.time
    const same = flags === base.flags && equal(security, base.security) && className.equals(base.className)
    if (!same) this.changes.keysChanged += 1
    return { ...base, flags, security, className, time }
  }

  #values(base: HiveKey | undefined, delta: HiveKey | undefined): HiveValue[] {
    const values = new Map<string, HiveValue>()
    const old = base ? this.#below.values(base) : []
    if (delta && isSuperseding(delta)) this.changes.valuesDeleted += old.length
    else for (const value of old) values.set(value.name.key, value)
    for (const value of delta ? this.#above.values(delta) : []) {
      const { key } = value.name
      const before = values.get(key)
      if (value.tombstone) {
        if (values.delete(key)) this.changes.valuesDeleted += 1
      } else if (before?.type !== value.type || !before.data.equals(value.data)) {
        this.changes.valuesSet += 1
        values.set(key, value)
      }
    }
    return [...values.values()]
  }

  /** The subkeys of the result, each as it is in both hives. */
  #pairs(base: HiveKey | undefined, delta: HiveKey | undefined): Pair[] {
    const old = base ? this.#below.subkeys(base) : []
    const pairs = new Map<string, Pair>()
    if (delta?.layer === LAYER_SUPERSEDE_TREE) this.changes.keysDeleted += old.length
    else for (const key of old) pairs.set(key.name.key, [key, undefined])
    for (const key of delta ? this.#above.subkeys(delta) : []) {
      const before = pairs.get(key.name.key)?.[0]
      if (key.layer !== LAYER_TOMBSTONE) pairs.set(key.name.key, before ? [before, key] : [undefined, key])
      else if (pairs.delete(key.name.key)) this.changes.keysDeleted += 1
    }
    return [...pairs.values()]
  }

  async #rest(): Promise<void> {
    await setImmediate()
    if (this.#signal?.aborted) throw abortError(this.#signal.reason, this.#signal)
  }
}

function isSuperseding({ layer }: HiveKey): boolean {
  return layer === LAYER_SUPERSEDE_LOCAL || layer === LAYER_SUPERSEDE_TREE
}

function equal(a: Buffer | undefined, b: Buffer | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.equals(b))
}
