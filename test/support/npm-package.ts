/** Packages of npm in versions that the repository does not depend on: an old Node.js, an old TypeScript. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'

const CACHE = join(import.meta.dirname, '../../node_modules/.cache/stowage-packages')

/** The directory of a package such as `typescript@5.4`, without its dependencies; kept in the cache of the tests. */
export function npmPackage(specifier: string): string {
  const found = join(CACHE, specifier)
  if (existsSync(found)) return found
  mkdirSync(CACHE, { recursive: true })
  const building = mkdtempSync(join(CACHE, 'building-'))
  try {
    const packed = execFileSync('npm', ['pack', '--silent', specifier], { cwd: building, encoding: 'utf8' }).trim()
    execFileSync('tar', ['-xzf', packed], { cwd: building })
    mkdirSync(dirname(found), { recursive: true }) // of a scope
    if (!existsSync(found)) renameSync(join(building, 'package'), found)
  } finally {
    rmSync(building, { recursive: true, force: true })
  }
  return found
}
