/** Split and join: a bundle cut into volumes, and put together again. */
import { dirname } from 'node:path'
import { counted, writeToStandardOutput } from '../archive/archive-stream.js'
import { openReadBack, type ReadBack, RegionSum, type Verified } from '../archive/read-back.js'
import { checkSpace } from '../archive/space.js'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import type { Bytes } from '../blob/blob-store.js'
import { PieceWriter } from '../blob/durable.js'
import { PartialFile } from '../blob/partial-file.js'
import { resumableVolumes } from '../blob/resumable.js'
import { openTarContent } from '../bundle/tar-segments.js'
import { expectVolumes } from '../bundle/files.js'
import { abortError, fileError, isInterruption, StowageError } from '../errors.js'
import type { WaitOptions } from '../progress.js'
import { findVolumes } from '../volumes/find.js'
import { copySignatures } from './sign.js'
import { type AskForVolume, readVolumes } from '../volumes/volume-stream.js'
import { incompleteSet } from '../volumes/volume-file.js'
import { type WriteVolumesOptions, writeVolumes, type WrittenVolumes } from '../volumes/write-volumes.js'

export interface SplitBundleOptions extends WriteVolumesOptions {
  /** In bytes, of all volumes but the last. */
  readonly volumeSize: number
}

/**
 * Cuts the bundle `path`, a directory, a plain tar or volumes, into the volumes of the tar `output`, and checks every file
 * of it meanwhile. The volumes of a tar are its bytes; of a directory, those of a tar of the same files. A call that was
 * interrupted is resumed by the same call. Throws what opening the bundle and {@link writeVolumes} throw.
 */
export async function splitBundle(path: string, output: string, options: SplitBundleOptions): Promise<WrittenVolumes> {
  const { volumeSize, signal } = options
  expectVolumes(output, volumeSize)
  try {
    await using content = await openTarContent(path, { signal })
    const written = await writeVolumes(output, volumeSize, content.bundle, content.segments, options)
    await copySignatures(path, output)
    return written
  } catch (error) {
    const told = abortError(error, signal)
    throw isInterruption(told) ? await resumableVolumes(told, output) : told
  }
}

export interface JoinVolumesOptions extends WaitOptions {
  /** Asks for a volume that is not there; without it, a set that is not complete is VOLUME_MISSING. */
  readonly askForVolume?: AskForVolume | undefined
  /** Reads the tar back before it gets its name, see {@link isReadBack}. */
  readonly verify?: boolean | undefined
}

export interface JoinedVolumes {
  readonly path: string
  /** The number of volumes, and the size of the tar in bytes. */
  readonly count: number
  readonly size: number
  /** What was read back, if it was. */
  readonly verified?: Verified
}

/**
 * Puts the volumes at `paths`, see {@link findVolumes}, together to the tar `output`, and compares each with the digest
 * written beside it; `-` is standard output. Leaves nothing if it throws: VOLUME_MISSING, MEDIUM_FAILED, VOLUME_WRONG, DIGEST_MISMATCH,
 * OUTPUT_EXISTS, NO_SPACE, ABORTED.
 */
export async function joinVolumes(
  paths: readonly string[],
  output: string,
  { askForVolume, verify, signal, onProgress }: JoinVolumesOptions = {},
): Promise<JoinedVolumes> {
  const readBack = await openReadBack(output, verify, { signal, onProgress })
  const set = await findVolumes(paths)
  if (!set) {
    throw new StowageError('INVALID_ARGUMENT', `${paths.join(', ')}: no volumes`, {
      hint: 'Name a volume, such as x.tar.001, or directories that hold the volumes.',
    })
  }
  if (set.faults.length > 0 && !(askForVolume && set.count !== undefined)) throw incompleteSet(set)
  const all = { ...set, count: set.count ?? set.volumes.size }
  const total = set.total ?? [...set.volumes.values()].reduce((sum, { size }) => sum + size, 0)
  const ask: AskForVolume = askForVolume ?? (async () => await Promise.reject(incompleteSet(set)))
  const bytes = counted(readVolumes(all, ask, signal, true), output, total, onProgress)
  onProgress?.({ type: 'stage', stage: 'copy', subject: output })
  try {
    if (output === STANDARD_STREAM) await writeToStandardOutput(bytes, signal)
    else await writeTo(output, total, bytes, readBack)
  } catch (error) {
    throw abortError(error, signal)
  }
  if (output !== STANDARD_STREAM) await copySignatures(paths[0] ?? '', output, paths.slice(1))
  onProgress?.({ type: 'done', subject: output })
  const verified = readBack?.verified
  return { path: output, count: all.count, size: total, ...(verified ? { verified } : {}) }
}

async function writeTo(output: string, total: number, bytes: Bytes, readBack: ReadBack | undefined): Promise<void> {
  await using file = await PartialFile.open(output, 'a bundle')
  await checkSpace(dirname(file.partial), { sizes: [total] }, { form: 'tar' })
  const sum = readBack && new RegionSum()
  const writer = new PieceWriter(file.file)
  const named = (error: unknown): never => {
    throw fileError(error, output)
  }
  try {
    for await (const piece of bytes) {
      await writer.add(piece).catch(named)
      sum?.add(piece)
    }
    await writer.end().catch(named)
  } finally {
    await writer.end().catch(() => undefined) // what failed is thrown
  }
  await file.publish(
    readBack &&
      (async () => await readBack.check([{ path: file.partial, name: output, regions: sum?.regions() ?? [] }])),
  )
}
