/** Kits made by the built command, and what runs from them: on a host without a network, with the PATH of a bare system. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NODE_PACKAGES, NODE_RELEASE, type KitPlatform } from '../../src/kit/node-binary.js'

const ROOT = join(import.meta.dirname, '../..')
/** What `npm run build` makes: a kit has its `dist/command`. */
const COMMAND = join(ROOT, 'dist/cli/main.js')
const KEPT = join(ROOT, 'node_modules/.cache/stowage-fixtures/node')

export const HERE: KitPlatform = process.arch === 'arm64' ? 'linux/arm64' : 'linux/amd64'

interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** `stowage kit`. */
export function makeKit(words: readonly string[], cwd?: string, command: string = COMMAND): Ended {
  return spawnSync(process.execPath, [command, 'kit', ...words], { cwd, encoding: 'utf8' })
}

/** The tarball that `npm pack` makes of Node.js for `platform`, once for all tests. */
export function nodePackage(platform: KitPlatform): string {
  const { name } = NODE_PACKAGES[platform]
  const file = join(KEPT, `${name}-${NODE_RELEASE}.tgz`)
  if (existsSync(file)) return file
  mkdirSync(KEPT, { recursive: true })
  const partial = mkdtempSync(join(tmpdir(), 'stowage-node-'))
  execFileSync('npm', ['pack', `${name}@${NODE_RELEASE}`, '--pack-destination', partial, '--silent'], { stdio: 'pipe' })
  execFileSync('mv', [join(partial, `${name}-${NODE_RELEASE}.tgz`), file])
  rmSync(partial, { recursive: true })
  return file
}

/** The Stowage of the kit, on a host that has no network and nothing of npm. */
export function carried(kit: string, words: readonly string[], cwd: string, env: Record<string, string> = {}): Ended {
  return spawnSync('unshare', ['--net', 'sh', join(kit, 'stowage'), ...words], {
    cwd,
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: cwd, STOWAGE_STORE: join(cwd, 'store'), ...env },
    encoding: 'utf8',
  })
}
