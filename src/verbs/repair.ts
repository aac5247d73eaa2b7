/** Repair: verifies a bundle, and makes what is damaged again from its recovery data. */
import { basename } from 'node:path'
import { clearLeft } from '../blob/workspace.js'
import { type VerifyBundleOptions, verifyBundle } from '../bundle/verify.js'
import { NOTHING_PROVED, type VerifyReport } from '../bundle/verify-report.js'
import { StowageError } from '../errors.js'
import { unusable } from '../recovery/packets.js'
import { readRecoverySet, recoveryFiles } from '../recovery/read-set.js'
import { type DamagedFile, examineFiles, repairFiles } from '../recovery/repair-set.js'
import { recoveryPlace } from './protect.js'

/** What recovery data was found, and what was done with it. */
export interface RepairOutcome {
  /** The index file; it may be missing, if others are there. */
  readonly index: string
  /**
   * `repaired`; `short`: too many blocks are damaged, and nothing was changed; `unneeded`: all that the recovery data
   * covers is as it was; `missing`: there is none.
   */
  readonly outcome: 'repaired' | 'short' | 'unneeded' | 'missing'
  /** Blocks that had to be made, recovery blocks that are there, and how many more are needed. */
  readonly damagedBlocks: number
  readonly recoveryBlocks: number
  readonly shortBlocks: number
  /** The files that were repaired, or could not be. */
  readonly files: readonly DamagedFile[]
}

export interface RepairReport extends VerifyReport {
  /** Undefined if the bundle was found to be sound, so that nothing was repaired. */
  readonly repair?: RepairOutcome
}

/** Errors of verifying that damage can cause, so that a repair may help. */
const DAMAGE: readonly string[] = ['NOT_A_BUNDLE', 'INVALID_TAR', 'INVALID_MANIFEST', 'BUNDLE_INVALID', 'MEDIUM_FAILED']

/**
 * Verifies the bundle `path`; if there are findings and recovery data (see `protectBundle`), repairs it and verifies it
 * again. Blocks are made elsewhere, checked, and only then written over damaged ones, so an interrupted repair makes
 * nothing worse and can be repeated; it needs space for the damaged blocks alone. The report is that of the last
 * verification. Throws what `verifyBundle` throws, BUNDLE_INVALID for recovery data that cannot be used, UNSUPPORTED without
 * the addon, NO_SPACE, ABORTED.
 */
export async function repairBundle(
  path: string,
  options: Pick<VerifyBundleOptions, 'deep' | 'trust' | 'signal' | 'onProgress'> = {},
): Promise<RepairReport> {
  const place = await recoveryPlace(path)
  await clearLeft(path)
  const report = await verifyOrFind(path, options)
  if (!(report instanceof StowageError) && report.ok) return report
  const paths = await recoveryFiles(place.index)
  const set = await readRecoverySet(paths, options)
  const none = { index: place.index, damagedBlocks: 0, shortBlocks: 0, files: [] }
  if (!set) {
    if (report instanceof StowageError) throw report
    return { ...report, repair: { ...none, outcome: 'missing', recoveryBlocks: 0 } }
  }
  const foreign = set.files.find(({ name }) => !place.covers(name))
  if (foreign || set.files.length === 0) {
    throw unusable(`it is for ${foreign?.name ?? 'no file'}, not for ${basename(path)}`)
  }
  const condition = await examineFiles(set, place.base, options)
  const [needed, there] = [condition.missing.length, set.recovery.length]
  const outcome = { ...none, damagedBlocks: needed, recoveryBlocks: there, files: condition.files }
  if (needed > there) {
    const repair: RepairOutcome = { ...outcome, outcome: 'short', shortBlocks: needed - there }
    if (report instanceof StowageError) return { ...(await emptyReport(path, report)), repair }
    return { ...report, repair }
  }
  if (condition.files.length === 0) {
    if (report instanceof StowageError) throw report
    return { ...report, repair: { ...outcome, outcome: 'unneeded' } }
  }
  await repairFiles(set, place.base, condition, { ...options, beside: path })
  return { ...(await verifyBundle(path, options)), repair: { ...outcome, outcome: 'repaired' } }
}

/** Whether recovery data stands beside the bundle or in it. */
export async function hasRecovery(path: string): Promise<boolean> {
  const place = await recoveryPlace(path).catch(() => undefined) // a stream, or nothing
  return place !== undefined && (await recoveryFiles(place.index)).length > 0
}

async function verifyOrFind(path: string, options: VerifyBundleOptions): Promise<VerifyReport | StowageError> {
  try {
    return await verifyBundle(path, options)
  } catch (error) {
    if (error instanceof StowageError && DAMAGE.includes(error.code)) return error
    throw error
  }
}

/** The report of a bundle that is too damaged to be verified: `error` says why. */
async function emptyReport(path: string, { code, message }: StowageError): Promise<VerifyReport> {
  const finding = { code: code === 'MEDIUM_FAILED' ? code : 'INVALID_TAR', path, message } as const
  return { path, ok: false, files: 0, size: 0, ...NOTHING_PROVED, findings: [finding] }
}
