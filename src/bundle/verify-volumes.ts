/** Checks volumes of a bundle by themselves: whether all are there, or each against what is written beside it. */
import pMap from 'p-map'
import { HashPool } from '../blob/hash-pool.js'
import { fileError, StowageError } from '../errors.js'
import type { WaitOptions } from '../progress.js'
import type { Volume, VolumeFault, VolumeSet } from '../volumes/find.js'
import { missingOf } from '../volumes/volume-file.js'
import type { Finding } from './graph.js'

/** Which volumes of a set a check has seen. */
export interface CheckedVolumes {
  /** The file name of the tar. */
  readonly tar: string
  /** Undefined if no volume is described. */
  readonly count: number | undefined
  /** The numbers of those that were read and are whole. */
  readonly whole: readonly number[]
  readonly missing: readonly number[]
}

interface VolumesReport {
  readonly files: number
  readonly size: number
  readonly findings: readonly Finding[]
  readonly volumes: CheckedVolumes
}

/** What a look at a set that is not complete tells: nothing is read but samples. */
export function lookAtVolumes(set: VolumeSet): VolumesReport {
  const { tar, count, faults } = set
  const volumes = { tar, count, whole: [], missing: missingOf(set) }
  return { files: 0, size: 0, findings: faults.map(findingOf), volumes }
}

/** Hashes every volume of `set`, and compares it with its description. The others need not be there. */
export async function verifyVolumes(
  path: string,
  set: VolumeSet,
  { signal, onProgress }: WaitOptions,
): Promise<VolumesReport> {
  const volumes = [...set.volumes.values()].sort((a, b) => a.number - b.number)
  const total = volumes.reduce((sum, { size }) => sum + size, 0)
  const findings: Finding[] = set.faults.filter(({ code }) => code !== 'VOLUME_MISSING').map(findingOf)
  const whole: number[] = []
  const underWay = new Map<Volume, number>()
  await using pool = new HashPool()
  await pMap(
    volumes,
    async volume => {
      const { description, size, number } = volume
      const finding = await check(volume, async () => {
        const { digest } = await pool.hash([{ file: volume.path, offset: 0, size }], {
          onRead: read => {
            underWay.set(volume, read)
            const done = [...underWay.values()].reduce((sum, each) => sum + each, 0)
            onProgress?.({ type: 'bytes', subject: path, done, total })
          },
          signal,
        })
        underWay.set(volume, size)
        return digest
      })
      if (finding) findings.push(finding)
      else if (description) whole.push(number)
    },
    { concurrency: pool.threads },
  )
  const { tar, count } = set
  const checked = { tar, count, whole: whole.sort((a, b) => a - b), missing: missingOf(set) }
  return { files: volumes.length, size: total, findings, volumes: checked }
}

function findingOf({ code, path, message }: VolumeFault): Finding {
  return { code, path, message }
}

async function check({ path, description }: Volume, hash: () => Promise<string>): Promise<Finding | undefined> {
  if (!description) {
    return {
      code: 'UNREADABLE',
      path,
      message: 'nothing is written beside it, so it can be checked only with all the others',
    }
  }
  try {
    const digest = await hash()
    if (digest === description.digest) return undefined
    return { code: 'DIGEST_MISMATCH', path, message: `expected ${description.digest} but the content is ${digest}` }
  } catch (error) {
    const failure = fileError(error, path)
    if (!(failure instanceof StowageError) || failure.code === 'ABORTED') throw failure
    return { code: failure.code === 'MEDIUM_FAILED' ? 'MEDIUM_FAILED' : 'UNREADABLE', path, message: failure.message }
  }
}
