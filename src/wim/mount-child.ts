/**
 * The program that `mount.ts` runs in child processes. When mounting, libwim ends the process with status 0 and without
 * an answer. No Node.js streams are used, because the process may fork while one has buffered data.
 */
import { readFileSync, writeSync } from 'node:fs'
import type { NativeArguments } from './addon.js'
import { binding } from './binding.js'

export type MountRequest =
  | { readonly type: 'mount'; readonly request: NativeArguments }
  | { readonly type: 'unmount'; readonly directory: string; readonly flags: number }

/** The answers on stdout, one JSON document per line. `done` means that the operation has finished. */
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

function send(answer: MountAnswer): void {
  try {
    writeSync(1, `${JSON.stringify(answer)}\n`)
  } catch {
    // The parent has ended: finish the operation anyway
  }
}

const request = JSON.parse(readFileSync(0, 'utf8')) as MountRequest // mount.ts wrote it
try {
  if (request.type === 'mount') binding().mountImage(request.request)
  else await binding().unmountImage(request.directory, request.flags, event => send({ type: 'event', event }))
  send({ type: 'done' })
} catch (error) {
  const facts = error instanceof Error ? { ...(error as object), message: error.message } : { message: String(error) }
  send({ ...facts, type: 'error' })
}
