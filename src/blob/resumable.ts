/** What an interrupted run leaves, in the hint of its error: where it is, when the same command goes on, how to remove it. */
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { PARTIAL } from './durable.js'
import type { ErrorCode, StowageError } from '../errors.js'
import { formatSize } from '../size-text.js'

/** What must happen before the same command can go on. */
const ONCE: Partial<Record<ErrorCode, string>> = {
  REGISTRY_UNREACHABLE: 'Once the registry can be reached, the same command resumes.',
  REGISTRY_REFUSED: 'Once the registry allows it, the same command resumes.',
  UNAUTHORIZED: 'Once the registry allows it, the same command resumes.',
  ENGINE_UNREACHABLE: 'Once the engine can be reached, the same command resumes.',
  NO_SPACE: 'Once there is room, the same command resumes.',
  MEDIUM_FAILED: 'Once the medium works, the same command resumes.',
}

/** Adds to the hint what `stays`, in a sentence, and if the disk is full what to do `instead` of resuming, to have the space. */
export function resumable(error: StowageError, stays: string, instead?: string): StowageError {
  const once = ONCE[error.code] ?? 'Run the same command again to resume.'
  const sentences = [error.hint, stays, once, error.code === 'NO_SPACE' ? instead : undefined]
  return error.withHint(sentences.filter(sentence => sentence !== undefined).join(' '))
}

/** The same for what stays of the volumes of the tar `output`; `error` itself if there is none yet. */
export async function resumableVolumes(error: StowageError, output: string): Promise<StowageError> {
  const there = await Promise.all(
    ['.001', `.001${PARTIAL}`].map(async end => await stat(`${output}${end}`).catch(() => undefined)),
  )
  if (!there.some(found => found !== undefined)) return error
  return resumable(error, `What is written of ${output}.001 and the volumes after it stays.`)
}

/** The same for what stays in the file `partial`; `error` itself if it is not there. */
export async function resumableFile(error: StowageError, partial: string): Promise<StowageError> {
  const left = await stat(partial).catch(() => undefined) // its medium may be gone
  if (!left) return error
  const size = formatSize(Math.min(left.blocks * 512, left.size)) // it may have holes
  const prune = `stowage prune ${dirname(partial)}`
  const stays = `What was copied so far stays in ${partial} (${size}), which ${prune} removes.`
  return resumable(error, stays)
}
