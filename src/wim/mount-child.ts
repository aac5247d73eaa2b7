/**
 * The program of the child processes of `mount.ts`. One that mounts is ended by libwim in the middle, with status 0 and
 * nothing told. No stream of Node.js is used: none may be half way when the process forks.
 */
import { readFileSync, writeSync } from 'node:fs'
import type { NativeArguments } from './addon.js'
import { binding } from './binding.js'

export type MountRequest =
  | { readonly type: 'mount'; readonly request: NativeArguments }
  | { readonly type: 'unmount'; readonly directory: string; readonly flags: number }

/** What is told on stdout, one JSON document a line. `done`: it is unmounted. */
export type MountAnswer =
  | { readonly type: 'event'; readonly event: unknown }
  | { readonly type: 'done' }
  | {
      readonly type: 'error'
      readonly message: string
      readonly code?: string
      readonly details?: string
      readonly systemCode?: string
    }

function tell(answer: MountAnswer): void {
  try {
    writeSync(1, `${JSON.stringify(answer)}\n`)
  } catch {
    // nobody listens any more; what has begun is finished all the same
  }
}

const asked = JSON.parse(readFileSync(0, 'utf8')) as MountRequest // mount.ts wrote it
try {
  if (asked.type === 'mount') binding().mountImage(asked.request)
  else await binding().unmountImage(asked.directory, asked.flags, event => tell({ type: 'event', event }))
  tell({ type: 'done' })
} catch (error) {
  const facts = error instanceof Error ? { ...(error as object), message: error.message } : { message: String(error) }
  tell({ ...facts, type: 'error' })
}
