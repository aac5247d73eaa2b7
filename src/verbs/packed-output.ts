/** What a pack leaves: the size of a bundle, and what stays of one that was not finished. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import type { WantedBlob } from '../blob/fill.js'
import type { QueueOptions } from '../blob/queue.js'
import { CHECKSUMS_FILE } from '../bundle/checksums.js'
import { INCOMPLETE_FILE } from '../bundle/contents.js'
import { isTarPath } from '../bundle/files.js'
import { BUNDLE_FILE, type BundleManifest } from '../bundle/manifest.js'
import type { BundleWriter } from '../bundle/writer.js'
import { type ErrorCode, fileError, type StowageError } from '../errors.js'
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

/** What must happen before the same command can go on. */
const RESUME_ONCE: Partial<Record<ErrorCode, string>> = {
  REGISTRY_UNREACHABLE: 'Once the registry can be reached, the same command resumes.',
  REGISTRY_REFUSED: 'Once the registry allows it, the same command resumes.',
  UNAUTHORIZED: 'Once the registry allows it, the same command resumes.',
}

/** Adds what stays of `output`, which the writer has left; `volumes`: it is a tar in volumes. */
export async function withResumeHint(error: StowageError, output: string, volumes: boolean): Promise<StowageError> {
  const once = RESUME_ONCE[error.code] ?? 'Run the same command again to resume.'
  if (volumes) return withMore(error, `What is written of ${output}.001 and the volumes after it stays. ${once}`)
  if (isTarPath(output)) {
    return error.code === 'ABORTED'
      ? error.withHint(
          output === STANDARD_STREAM
            ? 'What was written to standard output is not complete.'
            : `Nothing is left of ${output}.`,
        )
      : error
  }
  if (!(await stat(join(output, INCOMPLETE_FILE)).catch(() => undefined))) return error
  return withMore(error, `The blobs copied so far stay in ${output}, marked ${INCOMPLETE_FILE}. ${once}`)
}

function withMore(error: StowageError, kept: string): StowageError {
  return error.withHint(error.hint === undefined ? kept : `${error.hint} ${kept}`)
}
