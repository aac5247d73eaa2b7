/** Renames files, with patience for Windows. */
import { rename as renameNow } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemCode } from '../errors.js'

/** On Windows, a file that another program has open cannot be replaced: scanners and indexers have each new one open for a moment. */
const PATIENCE_MS = 5_000
const PAUSE_MS = 50
const IN_USE = ['EPERM', 'EACCES', 'EBUSY']

/** Gives the file `from` the name `to`, also if there is such a file. Throws the system's error. */
export async function rename(from: string, to: string): Promise<void> {
  const begin = Date.now()
  for (;;) {
    try {
      await renameNow(from, to)
      return
    } catch (error) {
      const passing = process.platform === 'win32' && IN_USE.includes(systemCode(error) ?? '')
      if (!passing || Date.now() - begin > PATIENCE_MS) throw error
    }
    await sleep(PAUSE_MS)
  }
}
