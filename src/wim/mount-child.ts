/**
 * The program of the child process in which `mount.ts` mounts. Where that succeeds, libwim ends it in the middle with status 0,
 * and nothing is told; a failure is told on stdout. No stream of Node.js is used: none may be half way when the process forks.
 */
import { readFileSync, writeSync } from 'node:fs'
import { binding, type NativeArguments } from './binding.js'

/** What is told, as JSON. `unmounted`: with `debug`, which forks no process. */
export type MountAnswer =
  | { readonly type: 'unmounted' }
  | { readonly type: 'error'; readonly message: string; readonly code?: string; readonly details?: string; readonly systemCode?: string }

function answerTo(request: NativeArguments): MountAnswer {
  try {
    binding().mountImage(request)
    return { type: 'unmounted' }
  } catch (error) {
    if (!(error instanceof Error)) return { type: 'error', message: String(error) }
    return { ...error, type: 'error', message: error.message }
  }
}

const request = JSON.parse(readFileSync(0, 'utf8')) as NativeArguments // mount.ts wrote it
writeSync(1, JSON.stringify(answerTo(request)))
