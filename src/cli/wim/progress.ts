/** Converts libwim's progress into the progress events and notes of the command line. */
import type { OnProgress, Stage } from '../../progress.js'
import type { JobOptions } from '../../wim/options.js'
import type { WimProgress } from '../../wim/progress.js'
import type { Session } from '../session.js'

export interface WatchOptions {
  /** Name each file that is scanned or replaced. */
  readonly verbose?: boolean | undefined
}

/** The abort signal, and a listener that reports the progress of a job on `subject` to the session. */
export function watch(
  { signal, onProgress, note }: Session,
  subject: string,
  { verbose }: WatchOptions = {},
): Required<JobOptions> {
  const meter = new Meter(onProgress, subject)
  return {
    signal,
    onProgress(event) {
      forward(event, meter)
      const line = noteOf(event, verbose === true)
      if (line !== undefined) note(line)
    },
  }
}

/** Derives stages from events that do not name one: the first event of a different kind begins a stage. */
class Meter {
  readonly #onProgress: OnProgress
  readonly #subject: string
  #stage: Stage | undefined

  constructor(onProgress: OnProgress, subject: string) {
    this.#onProgress = onProgress
    this.#subject = subject
  }

  bytes(stage: Stage, done: number, total: number | undefined): void {
    this.begin(stage)
    this.#onProgress({ type: 'bytes', subject: this.#subject, done, total })
  }

  begin(stage: Stage): void {
    if (stage === this.#stage) return
    this.#stage = stage
    this.#onProgress({ type: 'stage', stage, subject: this.#subject })
  }

  end(): void {
    this.#stage = undefined
    this.#onProgress({ type: 'done', subject: this.#subject })
  }
}

function forward(event: WimProgress, meter: Meter): void {
  switch (event.type) {
    case 'scan-begin':
    case 'scan-dentry': {
      meter.bytes('scan', event.size, undefined)
      return
    }
    case 'extract-file-structure':
    case 'extract-metadata': {
      meter.begin('extract')
      return
    }
    case 'extract-streams': {
      meter.bytes('extract', event.completedBytes, event.totalBytes)
      return
    }
    case 'write-streams': {
      meter.bytes('write', event.completedBytes, event.totalBytes)
      return
    }
    case 'verify-integrity': {
      meter.bytes('verify', event.completedBytes, event.totalBytes)
      return
    }
    case 'calculate-integrity': {
      meter.bytes('hash', event.completedBytes, event.totalBytes)
      return
    }
    case 'verify-streams': {
      meter.bytes('verify', event.completedBytes, event.totalBytes)
      return
    }
    case 'split-begin-part':
    case 'split-end-part': {
      meter.bytes('split', event.completedBytes, event.totalBytes)
      return
    }
    case 'scan-end':
    case 'extract-image-end':
    case 'extract-tree-end':
    case 'write-metadata-end': {
      meter.end()
      return
    }
    default:
      return undefined
  }
}

/** The note for an event that the user should know about; undefined if there is none. */
function noteOf(event: WimProgress, verbose: boolean): string | undefined {
  switch (event.type) {
    case 'scan-dentry':
      return scanNote(event, verbose)
    case 'update-end-command':
      return verbose ? `Done: ${event.command} ${event.paths.join(' ')}` : undefined
    case 'replace-file':
      return verbose ? `Replacing ${event.path}` : undefined
    case 'wimboot-exclude':
      return `Extracting ${event.path} as a regular file, not as a pointer into the WIM`
    default:
      return undefined
  }
}

function scanNote(
  { path, status, linkTarget = '' }: Extract<WimProgress, { type: 'scan-dentry' }>,
  verbose: boolean,
): string | undefined {
  switch (status) {
    case 'ok':
      return verbose ? `Scanning ${path}` : undefined
    case 'excluded':
      return `Excluding ${path}, as the configuration says`
    case 'unsupported':
      return `Excluding ${path}: a WIM cannot hold a file of this type${verbose ? '' : ' (see --unix-data)'}`
    case 'fixed-symlink':
      return verbose ? `Adjusting the absolute link ${path} to ${linkTarget}` : undefined
    case 'not-fixed-symlink':
      return `Not adjusting the absolute link ${path}: its target ${linkTarget} is outside the tree`
  }
}
