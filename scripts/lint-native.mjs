/** Checks the layout of `native/` with clang-format, or mends it: `node scripts/lint-native.mjs [format]`. */
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './build.mjs'
import { installPackages } from './setup.mjs'

/** One version, since each lays out a little differently. Debian 12 and 13 both have it. */
const CLANG_FORMAT = 'clang-format-19'

const [mode = 'check'] = process.argv.slice(2)
installPackages('lint')

const files = readdirSync(join(ROOT, 'native'), { recursive: true })
  .filter(path => /\.(cc|h)$/.test(path))
  .sort()
  .map(path => join('native', path))

process.exitCode = run(CLANG_FORMAT, [...(mode === 'format' ? ['-i'] : ['--dry-run', '--Werror']), ...files])

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] })
  if (error) console.error(`lint-native: ${error.message}`)
  return status ?? 1
}
