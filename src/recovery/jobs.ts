/** Runs the addon's jobs for recovery data: checksums of blocks, and Reed-Solomon coding. */
import * as os from 'node:os'
import { fileError, StowageError } from '../errors.js'
import { nativeAddon, runThreadJob } from '../native.js'
import type { NativeThreadEvent, NativeThreadJob } from '../wim/addon.js'
import { SUM } from './packets.js'

/** `size` bytes of a file from `offset` on. */
export interface FileRange {
  readonly path: string
  readonly offset: number
  readonly size: number
}

export interface RecoveryJobOptions {
  readonly signal?: AbortSignal | undefined
  /** Called with the bytes done and the bytes to do. */
  readonly onBytes?: ((done: number, total: number) => void) | undefined
  /** Threads for the work; by default, one for each processor. */
  readonly threads?: number | undefined
}

/** Bytes of blocks that the coding holds in memory. */
export const MEMORY = 128 * 1024 * 1024

/** The addon's classes: native/recovery_job.h. */
interface RecoveryAddon {
  readonly RecoveryCheck?: new (
    settings: {
      readonly paths: readonly string[]
      readonly ranges: Float64Array
      readonly blockSize: number
      readonly threads: number
    },
    callback: (event: NativeThreadEvent<Buffer> & { readonly done: number }) => void,
  ) => NativeThreadJob
  readonly RecoveryCode?: new (
    settings: NativeCodePlan,
    callback: (event: NativeThreadEvent<CodeResult> & { readonly done: number; readonly total: number }) => void,
  ) => NativeThreadJob
}

interface NativeCodePlan {
  readonly paths: readonly string[]
  readonly targets: readonly string[]
  readonly blockSize: number
  readonly blocks: Float64Array
  readonly numbers: Uint32Array
  readonly exponents: Uint32Array
  readonly recovery: Float64Array
  readonly missing: Uint32Array
  readonly outputs: Float64Array
  readonly head: Uint8Array
  readonly memory: number
  readonly threads: number
}

/** What to make, and from what. */
export interface CodePlan {
  readonly blockSize: number
  /** Input blocks with their numbers in the set. Those of a file follow one another. */
  readonly blocks: readonly (FileRange & { readonly number: number })[]
  /** Exponents of the recovery blocks to make, or to use. */
  readonly exponents: readonly number[]
  /** For a repair: the recovery blocks, in the order of `exponents`, and the numbers of the missing input blocks. */
  readonly recovery?: readonly FileRange[]
  readonly missing?: readonly number[]
  /** Where in existing files each recovery block, or each missing block, is written. */
  readonly outputs: readonly FileRange[]
  /** What the MD5 of a recovery packet begins with, see `hashedHead()`. */
  readonly head?: Buffer
  /** Bytes of blocks to hold in memory, instead of {@link MEMORY}. */
  readonly memory?: number | undefined
}

/** When recovery blocks were made: {@link SUMMED} bytes for each input block, and the MD5s of files and packets. */
export interface CodeResult {
  readonly blocks: Buffer
  readonly files: Buffer
  readonly packets: Buffer
}

/** Bytes of a checksum from the addon: MD5, CRC32, and 1 if the range could be read. */
export const SUMMED = SUM + 1

/** Throws UNSUPPORTED if the addon is missing. */
export function requireRecovery(): void {
  addon()
}

/**
 * The MD5 and CRC32 of each range, padded with zeros to `blockSize` unless that is 0: {@link SUMMED} bytes each. Missing
 * files, ranges past the end and unreadable parts of a medium are no error, see there. Throws UNSUPPORTED without the
 * addon, ABORTED, {@link fileError}s.
 */
export async function checkBlocks(
  ranges: readonly FileRange[],
  blockSize: number,
  { signal, onBytes, threads = os.availableParallelism() }: RecoveryJobOptions = {},
): Promise<Buffer> {
  const { RecoveryCheck } = addon()
  const { paths, list } = numbered(ranges)
  const total = ranges.reduce((sum, { size }) => sum + size, 0)
  return await run<Buffer>(
    report =>
      new RecoveryCheck({ paths, ranges: list, blockSize, threads }, event => {
        onBytes?.(event.done, total)
        report(event)
      }),
    signal,
    paths[0] ?? '',
  )
}

/** Runs `plan`, and does not sync what it writes. Throws UNSUPPORTED, ABORTED, {@link fileError}s such as NO_SPACE. */
export async function codeBlocks(
  plan: CodePlan,
  { signal, onBytes, threads = os.availableParallelism() }: RecoveryJobOptions = {},
): Promise<CodeResult> {
  const { RecoveryCode } = addon()
  const { blockSize, blocks, exponents, recovery = [], missing = [], outputs, head = Buffer.alloc(32) } = plan
  const inputs = numbered([...blocks, ...recovery])
  const targets = numbered(outputs)
  const settings: NativeCodePlan = {
    paths: inputs.paths,
    targets: targets.paths,
    blockSize,
    blocks: inputs.list.subarray(0, blocks.length * 3),
    numbers: Uint32Array.from(blocks, ({ number }) => number),
    exponents: Uint32Array.from(exponents),
    recovery: inputs.list.subarray(blocks.length * 3),
    missing: Uint32Array.from(missing),
    outputs: targets.list,
    head,
    memory: plan.memory ?? MEMORY,
    threads,
  }
  return await run<CodeResult>(
    report =>
      new RecoveryCode(settings, event => {
        onBytes?.(event.done, event.total)
        report(event)
      }),
    signal,
    inputs.paths[0] ?? '',
  )
}

/** The ranges with numbers in place of paths. */
function numbered(ranges: readonly FileRange[]): { readonly paths: readonly string[]; readonly list: Float64Array } {
  const numbers = new Map<string, number>()
  const list = new Float64Array(ranges.length * 3)
  ranges.forEach(({ path, offset, size }, n) => {
    const number = numbers.get(path) ?? numbers.size
    numbers.set(path, number)
    list.set([number, offset, size], n * 3)
  })
  return { paths: [...numbers.keys()], list }
}

async function run<Result>(
  start: (report: (event: NativeThreadEvent<Result>) => void) => NativeThreadJob,
  signal: AbortSignal | undefined,
  subject: string,
): Promise<Result> {
  return await runThreadJob(start, signal, error => nativeFailure(error, subject))
}

function nativeFailure(error: unknown, subject: string): unknown {
  if (!(error instanceof Error) || !('code' in error)) return error
  switch (error.code) {
    case 'UNSUPPORTED':
      return new StowageError('UNSUPPORTED', error.message, { cause: error })
    case 'WIM_CORRUPT': // the addon's word for a file that ends early
      return new StowageError('SIZE_MISMATCH', error.message, {
        hint: 'The file changed while it was read: run the command again.',
        cause: error,
      })
    default: {
      const path = 'written' in error && typeof error.written === 'string' ? error.written : subject
      return fileError(Object.assign(error, { syscall: 'recovery' }), path)
    }
  }
}

function addon(): Required<RecoveryAddon> {
  let cause: unknown
  try {
    const { RecoveryCheck, RecoveryCode } = nativeAddon() as RecoveryAddon // native/addon.cc exports an object
    if (RecoveryCheck && RecoveryCode) return { RecoveryCheck, RecoveryCode }
  } catch (error) {
    if (!(error instanceof StowageError) || error.code !== 'ADDON_MISSING') throw error
    cause = error
  }
  throw new StowageError('UNSUPPORTED', 'recovery data needs the native addon, which is missing here', {
    hint: 'Use the par2 command, which reads and writes the same files; or a system that the addon is built for.',
    cause,
  })
}
