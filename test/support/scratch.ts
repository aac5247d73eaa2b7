/** A directory of a test's own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What a test gives to have a directory of its own until it ends: tap's `t`. */
export interface Scratch {
  teardown(clean: () => void): unknown
}

/** A new directory that goes when the test ends; tap's own `testdir()` is emptied by every call. */
export function scratch(t: Scratch): string {
  const directory = mkdtempSync(join(tmpdir(), 'stowage-test-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** The same with a path as long as `name`, so that a table which shows it is as wide as one that shows `name`. */
export function scratchLike(t: Scratch, name: string): string {
  const directory = mkdtempSync('/tmp/'.padEnd(name.length - 'XXXXXX'.length, 's'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}
