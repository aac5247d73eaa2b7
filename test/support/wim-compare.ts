/** What wimlib-imagex makes, and what Stowage makes, side by side. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'

/**
 * The man page of a wimlib-imagex command as text; its options stand at the beginning of lines, indented by seven spaces.
 * Without man, or where it is left out of the installation, its source: with the options at the same place.
 */
export function manPage(command: string): string {
  const env = { ...process.env, MANWIDTH: '100', MAN_KEEP_FORMATTING: '' }
  const { status, stdout } = spawnSync('man', ['-P', 'cat', `wim${command}`], { encoding: 'utf8', env })
  if (status === 0 && stdout !== '') return stdout.replace(/.\u0008/g, '').replace(/‐\n\s*/g, '')
  const source = gunzipSync(readFileSync(`/usr/share/man/man1/wim${command}.1.gz`)).toString()
  return source.replace(/\\f./g, '').replace(/\\-/g, '-').replace(/^--/gm, '       --')
}
