/** What a pack leaves: the size of a bundle, and what stays of one that was not finished. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import type { WantedBlob } from '../blob/fill.js'
import type { QueueOptions } from '../blob/queue.js'
import { resumable, resumableFile, resumableVolumes } from '../blob/resumable.js'
import { CHECKSUMS_FILE } from '../bundle/checksums.js'
import { INCOMPLETE_FILE } from '../bundle/contents.js'
import { isTarPath } from '../bundle/files.js'
import { BUNDLE_FILE, type BundleManifest } from '../bundle/manifest.js'
import type { BundleWriter } from '../bundle/writer.js'
import { fileError, isInterruption, type StowageError } from '../errors.js'
import type { WaitOptions } from '../progress.js'

/** The size of a bundle that is complete, in bytes. */
export async function sizeOfBundle(output: string, manifest: BundleManifest): Promise<number> {
  const listed = manifest.files.reduce((sum, file) => sum + file.size, 0)
  if (output === STANDARD_STREAM) return listed
  try {
    const found = await stat(output)
    if (found.isFile()) return found.size
    const lists = await Promise.all([BUNDLE_FILE, CHECKSUMS_FILE].map(async name => await stat(join(output, name))))
    return lists.reduce((sum, { size }) => sum + size, listed)
  } catch (error) {
    throw fileError(error, output)
  }
}

/** Copies `wanted`, of which each blob counts once, and reports it as the progress of `output`, which is then done. */
export async function fillBundle(
  writer: BundleWriter,
  wanted: readonly WantedBlob[],
  output: string,
  {
    onProgress,
    write,
    ...options
  }: QueueOptions & Pick<WaitOptions, 'onProgress'> & { readonly write: () => Promise<void> },
): Promise<void> {
  const sizes = new Map(wanted.map(({ blob }) => [blob.digest, blob.size]))
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0)
  const report = writer.deferred ? undefined : onProgress // else sealing reports it
  let done = 0
  report?.({ type: 'stage', stage: 'copy', subject: output })
  await writer.fill(wanted, {
    ...options,
    onBytes(_kind, size) {
      done = Math.min(done + size, total)
      report?.({ type: 'bytes', subject: output, done, total })
    },
  })
  await write()
  report?.({ type: 'done', subject: output })
}

/** Ends a run that failed: what another run can go on with stays, if it can, and the error to throw says so. */
export async function giveUp(writer: BundleWriter, output: string, error: unknown): Promise<unknown> {
  if (writer.standing || !isInterruption(error)) return error
  writer.keep()
  try {
    await writer[Symbol.asyncDispose]()
  } catch {
    // Why this run failed is what is reported
  }
  return await withResumeHint(error, output, writer.deferred)
}

/** Adds what stays of `output`, which the writer has left; `volumes`: it is a tar in volumes. */
async function withResumeHint(error: StowageError, output: string, volumes: boolean): Promise<StowageError> {
  if (volumes) return await resumableVolumes(error, output)
  if (isTarPath(output)) return await withTarHint(error, output)
  if (!(await stat(join(output, INCOMPLETE_FILE)).catch(() => undefined))) return error
  const stays = `The blobs copied so far stay in ${output}, marked ${INCOMPLETE_FILE}.`
  return resumable(error, stays, `To have the space instead, delete ${output}.`)
}

async function withTarHint(error: StowageError, output: string): Promise<StowageError> {
  if (output !== STANDARD_STREAM) {
    const { partialTar } = await import('../bundle/packed-output.js')
    const told = await resumableFile(error, partialTar(output))
    if (told !== error || error.code !== 'ABORTED') return told
    return error.withHint(`Nothing is left of ${output}.`)
  }
  return error.code === 'ABORTED' ? error.withHint('What was written to standard output is not complete.') : error
}
