/** Protect: adds recovery data to a bundle, PAR2 files that can repair it. */
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { checkSpace } from '../archive/space.js'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import { clearLeft } from '../blob/workspace.js'
import { CHECKSUMS_FILE, parseChecksums } from '../bundle/checksums.js'
import { verifyBundle } from '../bundle/verify.js'
import type { VerifyReport } from '../bundle/verify-report.js'
import { abortError, callError, fileError, StowageError } from '../errors.js'
import type { WaitOptions } from '../progress.js'
import {
  checkPercent,
  createRecoverySet,
  type FileToCover,
  measure,
  planRecovery,
  type RecoveryPlan,
  recoverySizes,
} from '../recovery/create-set.js'
import { requireRecovery } from '../recovery/jobs.js'
import { readRecoverySet, recoveryFiles, type RecoverySet } from '../recovery/read-set.js'
import { examineFiles } from '../recovery/repair-set.js'
import { parseDescriptionName, parseVolumeName, sumsName } from '../volumes/description.js'
import { findVolumes, type VolumeSet } from '../volumes/find.js'

/** What to do about a bundle of which {@link isUnread} is true. */
export const UNREAD_HINT =
  'If the medium is gone, plug it in again, or mount the share again, and run the same command; if it has a defect, copy what can still be read from it, and use another.'

/** Whether all that was found is that the medium could not be read. */
export function isUnread({ findings }: Pick<VerifyReport, 'findings'>): boolean {
  return findings.length > 0 && findings.every(({ code }) => code === 'MEDIUM_FAILED')
}

export interface ProtectOptions extends WaitOptions {
  /** Recovery blocks for every hundred blocks of the bundle: above 0 and at most 100, by default 5. */
  readonly percent?: number | undefined
}

export interface ProtectResult extends RecoveryPlan {
  readonly path: string
  /** The index file of the recovery data; the others are beside it. */
  readonly index: string
  readonly percent: number
  /** The same recovery data was there already, so nothing was written. */
  readonly unchanged: boolean
  /** Other recovery data was there: of an earlier bundle, of another size, or damaged. */
  readonly replaced: boolean
}

/** Where the recovery data of a bundle is, and what it covers: names relative to `base`. */
export interface RecoveryPlace {
  readonly base: string
  readonly index: string
  /** Undefined for a directory, where the lists of the bundle say what belongs to it; several for volumes. */
  readonly names: readonly string[] | undefined
  /** Whether a file of this name belongs to the bundle, as far as its name tells. */
  covers(name: string): boolean
}

/** The name of the index file in a directory bundle. */
const INDEX_FILE_NAME = 'recovery.par2'
const USUAL_PERCENT = 5

/**
 * Adds recovery data to the bundle `path`, a directory, a file or volumes: `recovery.par2` in the directory, or `PATH.par2`
 * beside the file or the volumes, and `….vol000+NN.par2` with the recovery blocks. The bundle is verified first: a damaged one is not
 * protected. Recovery data that no longer fits is replaced; the old stays until the new is complete. Throws
 * BUNDLE_INVALID, MEDIUM_FAILED, INVALID_ARGUMENT, NO_SPACE before anything is written, UNSUPPORTED without the addon, ABORTED. Format:
 * PAR 2.0, for par2cmdline and others.
 */
export async function protectBundle(path: string, options: ProtectOptions = {}): Promise<ProtectResult> {
  const { percent = USUAL_PERCENT, signal, onProgress } = options
  requireRecovery()
  const place = await recoveryPlace(path)
  const report = await verifyBundle(path, { signal, onProgress })
  const [first] = report.findings
  if (first && isUnread(report)) {
    const message = `${path} could not be read, so it was not protected: ${first.path}: ${first.message}`
    throw new StowageError('MEDIUM_FAILED', message, { hint: UNREAD_HINT })
  }
  if (first && report.findings.every(({ code }) => code === 'UNREADABLE')) {
    throw new StowageError('IO_ERROR', `${path} could not be read, so it was not protected: ${first.message}`, {
      hint: 'Run the command as a user who can read all its files.',
    })
  }
  if (first) {
    const message = `${path} is damaged, so it was not protected: ${first.path}: ${first.message}`
    throw new StowageError('BUNDLE_INVALID', message, {
      hint: (await recoveryFiles(place.index)).length > 0 ? repairHint(path) : 'Pack it again, or copy it again.',
    })
  }
  return await protectSound(path, place, percent, options)
}

/** {@link protectBundle} for a bundle that was just written or verified. */
async function protectSound(
  path: string,
  place: RecoveryPlace,
  percent: number,
  { signal, onProgress }: WaitOptions,
): Promise<ProtectResult> {
  const { base, index } = place
  await clearLeft(path)
  const files = await coveredFiles(place)
  const filled = files.filter(({ size }) => size > 0)
  const plan = planRecovery(filled, percent)
  const result = { path, index, percent, ...plan }
  const there = await recoveryFiles(index)
  if (there.includes(index)) {
    const set = await readIfUsable(there, { signal })
    if (set && fits(set, files, plan)) {
      const { files: damaged } = await examineFiles(set, base, { signal, onProgress })
      if (damaged.length === 0) return { ...result, size: set.size, unchanged: true, replaced: false }
    }
  }
  await checkSpace(dirname(index), { sizes: recoverySizes(filled, percent) })
  await createRecoverySet(base, files, percent, index, { signal, onProgress, beside: path })
  return { ...result, unchanged: false, replaced: there.length > 0 }
}

/** Throws INVALID_ARGUMENT for standard input, FILE_NOT_FOUND. */
export async function recoveryPlace(path: string): Promise<RecoveryPlace> {
  if (path === STANDARD_STREAM) throw noPlace('Store the bundle first.')
  const set = await findVolumes([path])
  if (set) return await placeOfVolumes(set)
  const found = await stat(path).catch((error: unknown) => {
    throw fileError(error, path)
  })
  if (found.isDirectory())
    return { base: path, index: join(path, INDEX_FILE_NAME), names: undefined, covers: () => true }
  const name = basename(path)
  return { base: dirname(path), index: `${path}.par2`, names: [name], covers: other => other === name }
}

/** Volumes, with what lies beside them: recovery data can make one that is lost. */
async function placeOfVolumes({ tar, directories }: VolumeSet): Promise<RecoveryPlace> {
  const [base = '', ...others] = directories
  if (others.length > 0) throw noPlace('Put the volumes into one directory first.')
  const covers = (name: string): boolean =>
    parseVolumeName(name)?.tar === tar || parseDescriptionName(name, tar) !== undefined || name === sumsName(tar)
  const names = (await readdir(base)).filter(covers).sort()
  return { base, index: join(base, `${tar}.par2`), names, covers }
}

/**
 * Runs `pack`, which packs the bundle `output`, and makes recovery data for it. What cannot succeed is refused before
 * there is a bundle.
 */
export async function packProtected<Result extends { readonly unchanged: boolean }>(
  output: string,
  percent: number,
  { signal, onProgress }: WaitOptions,
  pack: () => Promise<Result>,
): Promise<Result & { readonly recovery: ProtectResult }> {
  checkPercent(percent)
  requireRecovery()
  if (output === STANDARD_STREAM)
    throw noPlace('Pack to a file or a directory, or protect the bundle where it is stored.')
  const later = `stowage protect ${output} --recovery ${percent}%`
  const result = await pack().catch(async (error: unknown) => {
    if (!(error instanceof StowageError) || !(await lacksRecovery(output, error))) throw error
    throw error.withHint(`If an earlier run was to protect it, go on with: ${later}; or name another output.`)
  })
  try {
    const made = result.unchanged
      ? await protectBundle(output, { percent, signal, onProgress })
      : await protectSound(output, await recoveryPlace(output), percent, { signal, onProgress })
    return { ...result, recovery: made }
  } catch (error) {
    const told = abortError(callError(error), signal)
    if (!(told instanceof StowageError) || told.code === 'INVALID_ARGUMENT') throw told
    throw told.withHint(`${output} itself is complete. Once that is solved, make its recovery data: ${later}`)
  }
}

/** Whether `error` is that the file `output` exists, and it has no recovery data: a run may have ended in between. */
async function lacksRecovery(output: string, { code }: StowageError): Promise<boolean> {
  if (code !== 'OUTPUT_EXISTS') return false
  const found = await stat(output).catch(() => undefined)
  return found?.isFile() === true && !(await recoveryFiles(`${output}.par2`)).includes(`${output}.par2`)
}

/** Removes the recovery data of the bundle that `output` was before, which describes files that are gone. */
export async function dropRecovery(output: string, onNotice: ((text: string) => void) | undefined): Promise<void> {
  const { index } = await recoveryPlace(output)
  const there = await recoveryFiles(index)
  for (const path of there) await rm(path, { force: true })
  if (there.length > 0)
    onNotice?.(`The recovery data of the bundle before was removed: "stowage protect ${output}" makes it anew.`)
}

/** What to do about a damaged bundle that has recovery data. */
export function repairHint(path: string): string {
  return `Its recovery data may repair it: stowage verify --repair ${path}`
}

function noPlace(hint: string): StowageError {
  return new StowageError('INVALID_ARGUMENT', 'recovery data is kept beside a bundle, and a stream has no place', {
    hint,
  })
}

async function coveredFiles({ base, names }: RecoveryPlace): Promise<readonly FileToCover[]> {
  if (names !== undefined) return await measure(base, names)
  const sums = join(base, CHECKSUMS_FILE)
  const bytes = await readFile(sums).catch((error: unknown) => {
    throw fileError(error, sums)
  })
  return await measure(base, [...parseChecksums(bytes).keys(), CHECKSUMS_FILE])
}

/** Undefined for recovery data that is of no use, whatever the reason. */
async function readIfUsable(paths: readonly string[], options: WaitOptions): Promise<RecoverySet | undefined> {
  try {
    return await readRecoverySet(paths, options)
  } catch (error) {
    if (error instanceof StowageError && error.code === 'BUNDLE_INVALID') return undefined
    throw error
  }
}

function fits(set: RecoverySet, files: readonly FileToCover[], plan: RecoveryPlan): boolean {
  const covered = new Map(set.files.map(({ name, size }) => [name, size]))
  const wanted = files.filter(({ size }) => size > 0)
  return (
    set.blockSize === plan.blockSize &&
    set.recovery.length === plan.recoveryBlocks &&
    set.damaged === 0 &&
    covered.size === wanted.length &&
    wanted.every(({ name, size }) => covered.get(name) === size)
  )
}
