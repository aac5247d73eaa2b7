/** What a pack leaves at its output: the size of the bundle, or what the same command resumes from. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import { CHECKSUMS_FILE } from '../bundle/checksums.js'
import { INCOMPLETE_FILE } from '../bundle/contents.js'
import { isTarPath } from '../bundle/files.js'
import { BUNDLE_FILE, type BundleManifest } from '../bundle/manifest.js'
import { type ErrorCode, fileError, type StowageError } from '../errors.js'

/** The size of the tar `output`, or of all files of the directory, in bytes. */
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

/** What must happen before the same command can go on. */
const RESUME_ONCE: Partial<Record<ErrorCode, string>> = {
  REGISTRY_UNREACHABLE: 'Once the registry can be reached, the same command resumes.',
  REGISTRY_REFUSED: 'Once the registry allows it, the same command resumes.',
  UNAUTHORIZED: 'Once the registry allows it, the same command resumes.',
}

/** Adds what stays of `output`, which the writer has left. */
export async function withResumeHint(error: StowageError, output: string): Promise<StowageError> {
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
  const once = RESUME_ONCE[error.code] ?? 'Run the same command again to resume.'
  const kept = `The blobs copied so far stay in ${output}, marked ${INCOMPLETE_FILE}. ${once}`
  return error.withHint(error.hint === undefined ? kept : `${error.hint} ${kept}`)
}
