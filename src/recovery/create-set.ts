/** Makes a recovery set: PAR2 files beside or among the files that they can repair. */
import { type FileHandle, open, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { FAT_FILE_LIMIT } from '../archive/medium.js'
import { syncPath, writeAll } from '../blob/durable.js'
import { rename } from '../blob/rename.js'
import { Workspace } from '../blob/workspace.js'
import { abortError, fileError, outputError, StowageError } from '../errors.js'
import { thisGenerator } from '../generator.js'
import type { WaitOptions } from '../progress.js'
import { codeBlocks, type CodeResult, type FileRange, requireRecovery, SUMMED } from './jobs.js'
import {
  compareIds,
  encodeBlockSums,
  encodeCreator,
  encodeDescription,
  encodeMain,
  encodePacket,
  fileId,
  HEAD_SIZE,
  hashedHead,
  md5Of,
  MOST_BLOCKS,
  MOST_RECOVERY,
  PACKET_HEAD,
  RECOVERY_HEAD,
  recoveryHead,
  setIdOf,
  SUM,
} from './packets.js'
import { recoveryFiles } from './read-set.js'

/** A file to cover. */
export interface FileToCover {
  /** Relative to the base directory, with `/`. */
  readonly name: string
  readonly size: number
}

/** How a set divides what it covers, and what it takes on the medium. */
export interface RecoveryPlan {
  /** In bytes. */
  readonly blockSize: number
  /** Number of input blocks, and of the recovery blocks that are made of them. */
  readonly blocks: number
  readonly recoveryBlocks: number
  /** Of all PAR2 files, and of the largest of them, in bytes. */
  readonly size: number
  readonly largest: number
}

export interface CreateOptions extends WaitOptions {
  /** Bytes of blocks to hold in memory, by default 128 MiB. With less, the files are read twice. */
  readonly memory?: number | undefined
  /** Size of a block in bytes, a multiple of 4; chosen by default. */
  readonly blockSize?: number | undefined
  /** Temporary files are kept beside this path, by default beside `index`. */
  readonly beside?: string | undefined
}

/** Blocks that a set has, besides one for the rest of each file. */
const BLOCKS = 2000
/** Blocks are no smaller, and a multiple of this. */
const BLOCK_UNIT = 4096

/**
 * How a set of `percent` recovery blocks for every hundred blocks of `files` looks. Throws INVALID_ARGUMENT for a
 * percentage that is not above 0 and at most 100, UNSUPPORTED for more files than PAR2 has blocks.
 */
export function planRecovery(files: readonly FileToCover[], percent: number, wanted?: number): RecoveryPlan {
  checkPercent(percent)
  const total = files.reduce((sum, { size }) => sum + size, 0)
  if (total === 0) throw new StowageError('INVALID_ARGUMENT', 'there is nothing to make recovery data of')
  const blockSize = wanted ?? Math.max(Math.ceil(total / BLOCKS / BLOCK_UNIT), 1) * BLOCK_UNIT
  const blocks = files.reduce((sum, { size }) => sum + Math.ceil(size / blockSize), 0)
  if (blocks > MOST_BLOCKS) {
    throw new StowageError(
      'UNSUPPORTED',
      `PAR2 has at most ${MOST_BLOCKS} blocks, and a file takes at least one: these ${files.length} files take ${blocks}`,
      { hint: 'Pack the bundle as one tar: -o FILE.tar.' },
    )
  }
  const recoveryBlocks = Math.min(Math.ceil((blocks * percent) / 100), MOST_RECOVERY)
  const sizes = sizesOf(files, { blockSize, blocks, recoveryBlocks })
  return {
    blockSize,
    blocks,
    recoveryBlocks,
    size: sizes.reduce((sum, size) => sum + size, 0),
    largest: Math.max(...sizes),
  }
}

/** The sizes of the PAR2 files that {@link planRecovery} plans, in bytes. Throws what it throws. */
export function recoverySizes(files: readonly FileToCover[], percent: number): readonly number[] {
  return sizesOf(files, planRecovery(files, percent))
}

function sizesOf(
  files: readonly FileToCover[],
  { blockSize, blocks, recoveryBlocks }: Pick<RecoveryPlan, 'blockSize' | 'blocks' | 'recoveryBlocks'>,
): readonly number[] {
  const critical = criticalSize(files, blocks)
  return [critical, ...volumesOf(recoveryBlocks, blockSize, critical).map(({ size }) => size)]
}

/** Throws INVALID_ARGUMENT unless it is above 0 and at most 100. */
export function checkPercent(percent: number): void {
  if (percent > 0 && percent <= 100) return
  throw new StowageError('INVALID_ARGUMENT', `${percent} % is no amount of recovery data`, {
    hint: 'Give a percentage above 0 and up to 100, such as 5%.',
  })
}

/** A file of recovery blocks: their first exponent, how many they are, and the size of the file in bytes. */
interface Volume {
  readonly first: number
  readonly count: number
  readonly size: number
}

function volumesOf(recoveryBlocks: number, blockSize: number, critical: number): readonly Volume[] {
  const packet = RECOVERY_HEAD + blockSize
  const most = Math.floor((FAT_FILE_LIMIT - 2 * critical) / packet) // a set is to fit on any medium
  if (most < 1) {
    throw new StowageError('UNSUPPORTED', `a block of ${blockSize} bytes is too large for a file on FAT32`)
  }
  const volumes: Volume[] = []
  for (let first = 0; first < recoveryBlocks; first += most) {
    const count = Math.min(most, recoveryBlocks - first)
    volumes.push({ first, count, size: 2 * critical + count * packet })
  }
  return volumes
}

/** Bytes of all packets but those of recovery blocks. */
function criticalSize(files: readonly FileToCover[], blocks: number): number {
  const each = files.reduce(
    (sum, { name }) => sum + 2 * PACKET_HEAD + 56 + Math.ceil(Buffer.byteLength(name) / 4) * 4 + 16,
    0,
  )
  return each + blocks * SUM + PACKET_HEAD + 12 + files.length * 16 + PACKET_HEAD + encodeCreator(creator()).length
}

function creator(): string {
  const { name, version } = thisGenerator()
  return `Created by ${name} ${version}`
}

/** A file with what identifies it in the set. */
interface Covered extends FileToCover {
  readonly id: Buffer
  readonly headMd5: Buffer
  readonly path: string
}

/**
 * Makes the set `index` (`….par2`, without recovery blocks) with `….vol000+NN.par2` beside it, for `files` in `base`.
 * Reads each file once, or twice if the recovery blocks take more than the memory allowed. Replaces a set that is
 * there, and leaves it alone if it throws. The index file appears last. Throws what {@link planRecovery} throws, UNSUPPORTED
 * without the addon, NO_SPACE, ABORTED, SIZE_MISMATCH if a file changes meanwhile.
 */
export async function createRecoverySet(
  base: string,
  files: readonly FileToCover[],
  percent: number,
  index: string,
  { signal, onProgress, memory, blockSize: wanted, beside = index }: CreateOptions = {},
): Promise<RecoveryPlan> {
  requireRecovery()
  const filled = files.filter(({ size }) => size > 0) // the format has no blocks for others
  const plan = planRecovery(filled, percent, wanted)
  onProgress?.({ type: 'stage', stage: 'protect', subject: index })
  const covered = await identify(base, filled)
  const main = encodeMain({ blockSize: plan.blockSize, files: covered.map(({ id }) => id) })
  const setId = setIdOf(main)
  const critical = criticalSize(filled, plan.blocks)
  await using workspace = new Workspace(beside)
  const volumes = volumesOf(plan.recoveryBlocks, plan.blockSize, critical)
  await using output = await Output.open(index, volumes, await workspace.path())
  const positions = output.positions(critical, plan.blockSize)
  try {
    const made = await codeBlocks(
      {
        blockSize: plan.blockSize,
        blocks: blocksOf(covered, plan.blockSize),
        exponents: positions.map(({ exponent }) => exponent),
        outputs: positions.map(({ range }) => range),
        head: hashedHead(setId, 'recovery'),
        memory,
      },
      { signal, onBytes: (done, total) => onProgress?.({ type: 'bytes', subject: index, done, total }) },
    )
    const packets = criticalPackets(setId, main, covered, made, plan.blockSize)
    for (const [n, { name, exponent, range }] of positions.entries()) {
      const head = recoveryHead(setId, exponent, plan.blockSize, made.packets.subarray(n * 16, (n + 1) * 16))
      await output.write(name, head, range.offset - head.length)
    }
    await output.finish(packets)
    await output.publish()
  } catch (error) {
    throw abortError(fileError(error, index), signal)
  }
  onProgress?.({ type: 'done', subject: index })
  return plan
}

/** The files in the order of their IDs. */
async function identify(base: string, files: readonly FileToCover[]): Promise<readonly Covered[]> {
  const covered: Covered[] = []
  for (const { name, size } of files) {
    const path = join(base, ...name.split('/'))
    const headMd5 = md5Of(await headOf(path, size))
    covered.push({ name, size, path, headMd5, id: fileId(headMd5, size, name) })
  }
  return covered.sort((a, b) => compareIds(a.id, b.id))
}

async function headOf(path: string, expected: number): Promise<Buffer> {
  try {
    const file = await open(path, 'r')
    try {
      const { size } = await file.stat()
      if (size !== expected)
        throw new StowageError('SIZE_MISMATCH', `${path} had ${expected} bytes and now has ${size}`)
      const buffer = Buffer.alloc(Math.min(HEAD_SIZE, size))
      await file.read(buffer, 0, buffer.length, 0)
      return buffer
    } finally {
      await file.close()
    }
  } catch (error) {
    throw fileError(error, path)
  }
}

function blocksOf(files: readonly Covered[], blockSize: number): readonly (FileRange & { readonly number: number })[] {
  const blocks: (FileRange & { number: number })[] = []
  for (const { path, size } of files) {
    for (let offset = 0; offset < size; offset += blockSize)
      blocks.push({ path, offset, size: Math.min(blockSize, size - offset), number: blocks.length })
  }
  return blocks
}

/** The packets that every file of the set has. */
function criticalPackets(
  setId: Buffer,
  main: Buffer,
  files: readonly Covered[],
  made: CodeResult,
  blockSize: number,
): Buffer {
  let block = 0
  const each = files.flatMap(({ id, name, size, headMd5 }, n) => {
    const md5 = made.files.subarray(n * 16, (n + 1) * 16)
    const count = Math.ceil(size / blockSize)
    const sums = Array.from({ length: count }, (_, at) => {
      const start = (block + at) * SUMMED
      return made.blocks.subarray(start, start + SUM)
    })
    block += count
    return [
      encodePacket(setId, 'description', encodeDescription({ id, name, size, md5, headMd5 })),
      encodePacket(setId, 'checksums', encodeBlockSums(id, Buffer.concat(sums))),
    ]
  })
  return Buffer.concat([
    encodePacket(setId, 'main', main),
    ...each,
    encodePacket(setId, 'creator', encodeCreator(creator())),
  ])
}

/** The PAR2 files while they are written: in a directory of temporary files until they are published. */
class Output implements AsyncDisposable {
  readonly #index: string
  readonly #volumes: readonly (Volume & { readonly name: string })[]
  readonly #directory: string
  readonly #open = new Map<string, FileHandle>()

  static async open(index: string, volumes: readonly Volume[], directory: string): Promise<Output> {
    const output = new Output(index, volumes, directory)
    try {
      for (const name of output.#names()) output.#open.set(name, await open(join(directory, name), 'wx'))
    } catch (error) {
      await output[Symbol.asyncDispose]()
      throw outputError(error, index)
    }
    return output
  }

  private constructor(index: string, volumes: readonly Volume[], directory: string) {
    const last = volumes.at(-1) ?? { first: 0, count: 0 }
    const digits = Math.max(3, String(last.first + last.count).length)
    const stem = basename(index).slice(0, -'.par2'.length)
    this.#index = index
    this.#directory = directory
    this.#volumes = volumes.map(volume => ({
      ...volume,
      name: `${stem}.vol${String(volume.first).padStart(digits, '0')}+${String(volume.count).padStart(2, '0')}.par2`,
    }))
  }

  /** Where the content of each recovery block goes, by exponent. */
  positions(
    critical: number,
    blockSize: number,
  ): readonly { readonly name: string; readonly exponent: number; readonly range: FileRange }[] {
    return this.#volumes.flatMap(({ name, first, count }) =>
      Array.from({ length: count }, (_, n) => ({
        name,
        exponent: first + n,
        range: {
          path: join(this.#directory, name),
          offset: critical + n * (RECOVERY_HEAD + blockSize) + RECOVERY_HEAD,
          size: blockSize,
        },
      })),
    )
  }

  async write(name: string, bytes: Buffer, position: number): Promise<void> {
    const file = this.#open.get(name)
    if (file) await writeAll(file, bytes, position)
  }

  /** Writes the packets that all files have: to the index, and at both ends of the others. */
  async finish(packets: Buffer): Promise<void> {
    await this.write(basename(this.#index), packets, 0)
    for (const { name, size } of this.#volumes) {
      await this.write(name, packets, 0)
      await this.write(name, packets, size - packets.length)
    }
    for (const file of this.#open.values()) await file.sync()
    await this[Symbol.asyncDispose]()
  }

  /** Replaces the set that is there. */
  async publish(): Promise<void> {
    const directory = dirname(this.#index)
    for (const path of await recoveryFiles(this.#index)) await rm(path, { force: true })
    for (const name of this.#names()) {
      await rename(join(this.#directory, name), join(directory, name))
      await syncPath(directory, 'directory')
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const files = [...this.#open.values()]
    this.#open.clear()
    for (const file of files) await file.close()
  }

  /** The index last: without it, no set seems to be there. */
  #names(): readonly string[] {
    return [...this.#volumes.map(({ name }) => name), basename(this.#index)]
  }
}

/** The sizes of `names` in `base`. Throws {@link fileError}s. */
export async function measure(base: string, names: readonly string[]): Promise<readonly FileToCover[]> {
  const files: FileToCover[] = []
  for (const name of names) {
    const path = join(base, ...name.split('/'))
    const found = await stat(path).catch((error: unknown) => {
      throw fileError(error, path)
    })
    files.push({ name, size: found.size })
  }
  return files
}
