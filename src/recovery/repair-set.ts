/** Finds what is damaged in the files of a recovery set, and makes it again. */
import { type FileHandle, lstat, open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { makeDirectory, PARTIAL, removeLeavings, syncPath, writeAll } from '../blob/durable.js'
import { rename } from '../blob/rename.js'
import { Workspace } from '../blob/workspace.js'
import { roomAt } from '../archive/space.js'
import { abortError, fileError, StowageError, systemCode } from '../errors.js'
import type { WaitOptions } from '../progress.js'
import { pieces } from '../tar/pieces.js'
import { checkBlocks, codeBlocks, type FileRange, SUMMED } from './jobs.js'
import { SUM } from './packets.js'
import type { CoveredFile, RecoverySet } from './read-set.js'

/** A file of a set that is not as the set describes it. */
export interface DamagedFile {
  readonly name: string
  /** Blocks that are not what they should be, out of all of the file. */
  readonly damaged: number
  readonly blocks: number
  /** Its size, if there is a file, and the size that it should have, in bytes. */
  readonly found: number | undefined
  readonly size: number
}

/** How the files of a set are. */
export interface Condition {
  readonly files: readonly DamagedFile[]
  /** Numbers of blocks that are not anywhere: as many recovery blocks are needed. */
  readonly missing: readonly number[]
  /** Where each other block is; a block that is damaged in its own place may be found in another. */
  readonly found: ReadonlyMap<number, FileRange>
}

export interface Repair {
  readonly files: readonly DamagedFile[]
  /** Blocks that were written. */
  readonly blocks: number
}

export interface RepairOptions extends WaitOptions {
  /** Bytes of blocks to hold in memory, by default 128 MiB. With less, the files are read more than once. */
  readonly memory?: number | undefined
  /** Temporary files are kept beside this path if there is room for them, by default beside the first file. */
  readonly beside?: string | undefined
}

/** Compares each block of `files` of `set` below `base` with its checksums. Throws ABORTED, {@link fileError}s. */
export async function examineFiles(
  set: RecoverySet,
  base: string,
  { signal, onProgress }: WaitOptions = {},
): Promise<Condition> {
  onProgress?.({ type: 'stage', stage: 'verify', subject: base })
  const own = set.files.flatMap(file => rangesOf(file, base, set.blockSize))
  const sums = await checkBlocks(own, set.blockSize, {
    signal,
    onBytes: (done, total) => onProgress?.({ type: 'bytes', subject: base, done, total }),
  })
  onProgress?.({ type: 'done', subject: base })

  const found = new Map<number, FileRange>()
  const bySum = new Map<string, FileRange>()
  const expected = Buffer.concat(set.files.map(file => file.sums))
  for (const [n, range] of own.entries()) {
    const sum = sums.subarray(n * SUMMED, n * SUMMED + SUM)
    if (sums[n * SUMMED + SUM] !== 1 || !sum.equals(expected.subarray(n * SUM, (n + 1) * SUM))) continue
    found.set(n, range)
    bySum.set(sum.toString('hex'), range)
  }
  const files: DamagedFile[] = []
  for (const { name, size, first, blocks } of set.files) {
    const damaged = Array.from({ length: blocks }, (_, n) => first + n).filter(n => !found.has(n)).length
    const there = await sizeOf(join(base, ...name.split('/')))
    if (damaged > 0 || there !== size) files.push({ name, damaged, blocks, found: there, size })
  }
  const missing: number[] = []
  for (const n of own.keys()) {
    if (found.has(n)) continue
    // The same content may be in another place: zeros, or a file that is there twice
    const twin = bySum.get(expected.toString('hex', n * SUM, (n + 1) * SUM))
    if (twin && twin.size >= (own[n]?.size ?? 0)) found.set(n, twin)
    else missing.push(n)
  }
  return { files, missing, found }
}

/**
 * Makes the damaged files of `condition` again. The blocks are made in a directory of temporary files, checked, and only
 * then written in place, so that what is whole is never touched and an interrupted repair can be repeated: it needs
 * space for the damaged blocks alone. Throws BUNDLE_INVALID if there are too few recovery blocks, UNSUPPORTED for more
 * damage than one repair can take, NO_SPACE, ABORTED, {@link fileError}s.
 */
export async function repairFiles(
  set: RecoverySet,
  base: string,
  condition: Condition,
  { signal, onProgress, memory, beside = join(base, set.files[0]?.name ?? '') }: RepairOptions = {},
): Promise<Repair> {
  const { files, missing, found } = condition
  if (missing.length > set.recovery.length) throw tooFew(missing.length, set.recovery.length)
  if (missing.length > MOST_MISSING) {
    throw new StowageError('UNSUPPORTED', `${missing.length} blocks are damaged; one repair makes ${MOST_MISSING}`, {
      hint: 'Use the par2 command, which takes longer and more memory.',
    })
  }
  for (const { name } of files) await refuseLinks(base, name)
  const bytes = missing.length * set.blockSize
  const room = await roomAt(base, { sizes: [bytes] })
  // On a full medium the blocks can wait elsewhere
  await using workspace = new Workspace(room?.error ? undefined : beside)
  onProgress?.({ type: 'stage', stage: 'repair', subject: base })
  const made = missing.length > 0 ? await makeBlocks(set, condition, await workspace.path(), memory) : new Map()
  for (const file of files) await restore(file, new Map([...found, ...made]))
  onProgress?.({ type: 'done', subject: base })
  return { files, blocks: files.reduce((sum, { damaged }) => sum + damaged, 0) }

  async function makeBlocks(
    { blockSize, recovery, files: all }: RecoverySet,
    { missing: wanted, found: inputs }: Condition,
    directory: string,
    limit: number | undefined,
  ): Promise<Map<number, FileRange>> {
    const path = join(directory, 'blocks')
    await (await open(path, 'w')).close()
    const outputs = wanted.map((_, n) => ({ path, offset: n * blockSize, size: blockSize }))
    await codeBlocks(
      {
        blockSize,
        blocks: [...inputs].map(([number, range]) => ({ ...range, number })),
        exponents: recovery.map(({ exponent }) => exponent),
        recovery: recovery.map(({ range }) => range),
        missing: wanted,
        outputs,
        memory: limit,
      },
      { signal, onBytes: (done, total) => onProgress?.({ type: 'bytes', subject: base, done, total }) },
    )
    const sums = await checkBlocks(outputs, blockSize, { signal })
    const expected = Buffer.concat(all.map(({ sums: each }) => each))
    for (const [n, block] of wanted.entries()) {
      const sum = sums.subarray(n * SUMMED, n * SUMMED + SUM)
      if (!sum.equals(expected.subarray(block * SUM, (block + 1) * SUM))) {
        throw new StowageError('DIGEST_MISMATCH', 'the blocks that were made are not those that were protected', {
          hint: 'The files changed while they were read, or the medium gives other bytes each time: copy them elsewhere, and try again there.',
        })
      }
    }
    return new Map(wanted.map((block, n) => [block, outputs[n] ?? { path, offset: 0, size: 0 }]))
  }

  async function restore({ name, size, found: there }: DamagedFile, blocks: ReadonlyMap<number, FileRange>) {
    const path = join(base, ...name.split('/'))
    const covered = set.files.find(each => each.name === name)
    if (!covered) return
    const parts = rangesOf(covered, base, set.blockSize)
    try {
      if (there === undefined) await makeDirectory(dirname(path))
      const target = there === undefined ? `${path}${PARTIAL}` : path
      if (there === undefined) await rm(target, { force: true })
      const file = await open(target, there === undefined ? 'wx' : 'r+')
      try {
        for (const [n, part] of parts.entries()) {
          signal?.throwIfAborted()
          const from = blocks.get(covered.first + n)
          if (from && (from.path !== path || from.offset !== part.offset)) await copyRange(from, file, part)
        }
        if (there !== size) await file.truncate(size)
        await file.sync()
      } finally {
        await file.close()
      }
      if (there === undefined) await rename(target, path)
      await syncPath(dirname(path), 'directory')
    } catch (error) {
      if (there === undefined) await removeLeavings(`${path}${PARTIAL}`)
      throw abortError(fileError(error, path), signal)
    }
  }
}

/** As many missing blocks as the addon makes at once: its matrix takes two bytes for each pair of them. */
const MOST_MISSING = 8192

/** The error for more damage than the recovery blocks can repair. */
function tooFew(missing: number, there: number): StowageError {
  const more = missing - there
  const [are, blocks] = missing === 1 ? ['is', 'block'] : ['are', 'blocks']
  return new StowageError(
    'BUNDLE_INVALID',
    `${missing} ${blocks} ${are} damaged, ${there} recovery ${there === 1 ? 'block is' : 'blocks are'} there: ${more} more ${more === 1 ? 'is' : 'are'} needed`,
    { hint: 'Copy the bundle again from where it was made, or its other .par2 files, if there are any.' },
  )
}

/** The blocks of a file, without the zeros after the last. */
function rangesOf({ name, size }: CoveredFile, base: string, blockSize: number): readonly FileRange[] {
  const path = join(base, ...name.split('/'))
  return Array.from({ length: Math.ceil(size / blockSize) }, (_, n) => ({
    path,
    offset: n * blockSize,
    size: Math.min(blockSize, size - n * blockSize),
  }))
}

/** Undefined if there is no file; it may still be something else. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const found = await lstat(path)
    return found.isFile() ? found.size : undefined
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined
    throw fileError(error, path)
  }
}

/** Throws UNSUPPORTED if anything on the way to the file is a link, or the file is none: nothing outside is written. */
async function refuseLinks(base: string, name: string): Promise<void> {
  let path = base
  const parts = name.split('/')
  for (const [n, part] of parts.entries()) {
    path = join(path, part)
    try {
      const found = await lstat(path)
      if (n < parts.length - 1 ? found.isDirectory() : found.isFile()) continue
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return
      throw fileError(error, path)
    }
    throw new StowageError('UNSUPPORTED', `${path} cannot be repaired: it is a link or not a file`, {
      hint: 'Move it away and run the command again: it is then made anew.',
    })
  }
}

async function copyRange(from: FileRange, to: FileHandle, { offset, size }: FileRange): Promise<void> {
  const file = await open(from.path, 'r')
  try {
    let at = offset
    for await (const piece of pieces(file, from.offset, size, undefined)) {
      await writeAll(to, piece, at)
      at += piece.length
    }
  } finally {
    await file.close()
  }
}
