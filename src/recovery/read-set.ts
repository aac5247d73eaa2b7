/** Reads a recovery set from its PAR2 files, which may be damaged or not all there. */
import { open, readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { abortError, fileError, systemCode } from '../errors.js'
import type { WaitOptions } from '../progress.js'
import { checkBlocks, type FileRange, SUMMED } from './jobs.js'
import {
  type FileDescription,
  MOST_BLOCKS,
  MOST_RECOVERY,
  parseBlockSums,
  parseDescription,
  parseMain,
  RECOVERY_HEAD,
  setIdOf,
  SUM,
  unusable,
} from './packets.js'
import { type FoundPacket, scanPackets } from './scan-packets.js'

/** A file that a set describes. */
export interface CoveredFile extends FileDescription {
  /** Number of its first block. */
  readonly first: number
  readonly blocks: number
  /** {@link SUM} bytes for each block. */
  readonly sums: Buffer
}

/** A block of a PAR2 file that was found to be whole. */
export interface RecoveryBlock {
  readonly exponent: number
  /** Where its content is. */
  readonly range: FileRange
}

export interface RecoverySet {
  /** In hex. */
  readonly id: string
  readonly blockSize: number
  /** In the order of their blocks. */
  readonly files: readonly CoveredFile[]
  /** Number of input blocks. */
  readonly blocks: number
  /** By exponent. */
  readonly recovery: readonly RecoveryBlock[]
  /** Recovery packets of this set that are damaged. */
  readonly damaged: number
  /** The PAR2 files, and their size in bytes. */
  readonly paths: readonly string[]
  readonly size: number
}

/** The most packets that are looked at: a copy of every one for each of a few files. */
const MOST_PACKETS = 8 * MOST_BLOCKS

/** The PAR2 files of the set whose index file is `index`, which may be missing; the index file first. */
export async function recoveryFiles(index: string): Promise<readonly string[]> {
  const [directory, name] = [dirname(index), basename(index)]
  const stem = name.slice(0, -'.par2'.length)
  try {
    const all = await readdir(directory)
    const volumes = all.filter(each => isVolumeName(each, stem)).sort()
    return [...all.filter(each => each === name), ...volumes].map(each => join(directory, each))
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return []
    throw fileError(error, directory)
  }
}

function isVolumeName(name: string, stem: string): boolean {
  return name.startsWith(`${stem}.vol`) && /^\d+\+\d+\.par2$/.test(name.slice(stem.length + '.vol'.length))
}

/**
 * Reads the set in the PAR2 files `paths`. Undefined if no set can be recognised in them. Hashes the recovery blocks,
 * but none of the files that the set is about. Throws BUNDLE_INVALID for a set that no repair should trust, UNSUPPORTED
 * without the addon, ABORTED, {@link fileError}s; a file with a defect is an error only if the others are not enough.
 */
export async function readRecoverySet(
  paths: readonly string[],
  { signal }: WaitOptions = {},
): Promise<RecoverySet | undefined> {
  const found = new Collected()
  try {
    for (const path of paths) await found.read(path, signal)
  } catch (error) {
    throw abortError(error, signal)
  }
  return await found.result(paths, signal)
}

/** What was found in the files, of any set. */
class Collected {
  readonly #critical = new Map<string, Map<string, FoundPacket>>()
  readonly #recovery: (FoundPacket & { readonly path: string })[] = []
  #packets = 0
  #size = 0
  /** Of the first file that could not be read to its end. */
  #failure: { readonly error: unknown } | undefined

  async read(path: string, signal: AbortSignal | undefined): Promise<void> {
    try {
      const file = await open(path, 'r')
      try {
        const { size } = await file.stat()
        this.#size += size
        for await (const packet of scanPackets(file, size, signal)) this.#add(packet, path)
      } finally {
        await file.close()
      }
    } catch (error) {
      const told = fileError(error, path)
      if (systemCode(error) !== 'EIO') throw told
      this.#failure ??= { error: told } // what else there is must do
    }
  }

  #add(packet: FoundPacket, path: string): void {
    this.#packets += 1
    if (this.#packets > MOST_PACKETS) throw unusable(`it has over ${MOST_PACKETS} packets`)
    const { type, setId, body } = packet
    if (type === 'recovery') {
      this.#recovery.push({ ...packet, path })
      return
    }
    const set = setId.toString('hex')
    const packets = this.#critical.get(set) ?? new Map<string, FoundPacket>()
    this.#critical.set(set, packets)
    const key = type === 'main' || type === 'creator' ? type : `${type} ${body.toString('hex', 0, 16)}`
    if (type !== 'creator' && !packets.has(key)) packets.set(key, packet)
  }

  async result(paths: readonly string[], signal: AbortSignal | undefined): Promise<RecoverySet | undefined> {
    const chosen = [...this.#critical].find(([id, packets]) => {
      const main = packets.get('main')?.body
      return main !== undefined && setIdOf(main).toString('hex') === id
    })
    if (!chosen) {
      this.#expectReadable()
      return undefined
    }
    const [id, packets] = chosen
    const { blockSize, files: ids } = parseMain(packets.get('main')?.body ?? Buffer.alloc(0))
    const files = coveredFiles(ids, packets, blockSize)
    if (!files) {
      this.#expectReadable()
      return undefined
    }
    const candidates = this.#recovery.filter(
      ({ setId, length }) => setId.toString('hex') === id && length === RECOVERY_HEAD + blockSize,
    )
    if (candidates.length * blockSize > 2 * this.#size) throw unusable('its packets lie within one another')
    const recovery = await wholeBlocks(candidates, signal)
    return {
      id,
      blockSize,
      files,
      blocks: files.reduce((sum, { blocks }) => sum + blocks, 0),
      recovery,
      damaged: candidates.length - recovery.length,
      paths,
      size: this.#size,
    }
  }

  /** Throws if a file could not be read, which may be why no set can be recognised. */
  #expectReadable(): void {
    if (this.#failure) throw this.#failure.error
  }
}

/** Undefined if the packet of a file is missing. Throws BUNDLE_INVALID for files that contradict their packets. */
function coveredFiles(
  ids: readonly Buffer[],
  packets: ReadonlyMap<string, FoundPacket>,
  blockSize: number,
): readonly CoveredFile[] | undefined {
  const files: CoveredFile[] = []
  const names = new Set<string>()
  let first = 0
  for (const each of ids) {
    const key = each.toString('hex')
    const description = parseDescription(packets.get(`description ${key}`)?.body ?? Buffer.alloc(0))
    if (!description) return undefined
    const { name, size } = description
    if (!isSafeName(name))
      throw unusable(`it names a file outside of the bundle: ${JSON.stringify(name.slice(0, 200))}`)
    if (names.has(name)) throw unusable(`it names ${name} twice`)
    names.add(name)
    const blocks = Math.ceil(size / blockSize)
    if (first + blocks > MOST_BLOCKS) throw unusable(`it claims over ${MOST_BLOCKS} blocks`)
    const checksums = parseBlockSums(packets.get(`checksums ${key}`)?.body ?? Buffer.alloc(0))
    if (!checksums && blocks > 0) return undefined
    const sums = checksums?.sums ?? Buffer.alloc(0)
    if (sums.length !== blocks * SUM) throw unusable(`${name} has ${blocks} blocks but ${sums.length / SUM} checksums`)
    files.push({ ...description, first, blocks, sums })
    first += blocks
  }
  return files
}

/** Relative, with `/`, and on no system the name of something above or elsewhere. */
function isSafeName(name: string): boolean {
  if (name === '' || /[\u0000-\u001f\\:]/.test(name)) return false
  return name.split('/').every(part => part !== '' && part !== '.' && part !== '..')
}

/** The candidates whose MD5 is right, each exponent once. */
async function wholeBlocks(
  candidates: readonly (FoundPacket & { readonly path: string })[],
  signal: AbortSignal | undefined,
): Promise<readonly RecoveryBlock[]> {
  const ranges = candidates.map(({ path, offset, length }) => ({ path, offset: offset + 32, size: length - 32 }))
  const sums = await checkBlocks(ranges, 0, { signal })
  const blocks = new Map<number, RecoveryBlock>()
  for (const [n, { path, offset, length, md5, body }] of candidates.entries()) {
    const sum = sums.subarray(n * SUMMED, (n + 1) * SUMMED)
    if (sum[SUM] !== 1 || !sum.subarray(0, md5.length).equals(md5)) continue
    const exponent = body.readUInt32LE(0)
    if (exponent > MOST_RECOVERY || blocks.has(exponent)) continue
    blocks.set(exponent, {
      exponent,
      range: { path, offset: offset + RECOVERY_HEAD, size: length - RECOVERY_HEAD },
    })
  }
  return [...blocks.values()].sort((a, b) => a.exponent - b.exponent)
}
