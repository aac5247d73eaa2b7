/** The option of the commands that can read back what they have written, and what they say about it. */
import type { Verified } from '../archive/read-back.js'
import { formatSize } from '../size-text.js'
import { toggle } from './command.js'
import { count, printable } from './render.js'

export const VERIFY_OPTION = toggle(
  'Read back what was written, from the medium and not from the cache, and compare it (default: on a removable medium)',
)

/** What was read back, as JSON has it: with what to do, because the medium itself may have answered from a cache. */
export function verifiedDocument(verified: Verified | undefined, next: string): Readonly<Record<string, unknown>> {
  return verified ? { verified: { ...verified, hint: hint(verified, next) } } : {}
}

/** The same as text; nothing if nothing was read back. */
export function verifiedText(verified: Verified | undefined, next: string): string {
  if (!verified) return ''
  const { files, size } = verified
  return printable(`Read back ${count(files, 'file')} (${formatSize(size)}), all as written. ${hint(verified, next)}\n`)
}

/** `next`: what checks it again. */
function hint({ fromMedium }: Verified, next: string): string {
  const unsure = fromMedium ? '' : "It may have come from the system's cache. "
  return `${unsure}The medium has a cache of its own: pull it out, plug it in again, and ${next}`
}

/** What checks the bundle `path` again. */
export function verifyAgain(path: string): string {
  return `run: stowage verify ${path}`
}
