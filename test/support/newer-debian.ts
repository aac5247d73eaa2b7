/** A newer Debian in a root of its own, that debootstrap makes from this machine's own mirror. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findProgram, type Output, run } from './engine.js'

/** Makes `root` of the release `suite` with `packages`: a minute, and some hundred MB. */
export async function makeDebian(root: string, suite: string, packages: readonly string[]): Promise<void> {
  if (!findProgram('debootstrap')) throw new Error('debootstrap is needed for this test: apt-get install debootstrap')
  const scripts = '/usr/share/debootstrap/scripts'
  const from = await mirror()
  // A release that this debootstrap is too old for is made as the newest that it knows
  const known = existsSync(join(scripts, suite))
  if (!known && from.length === 0)
    throw new Error(`this debootstrap does not know ${suite}, nor we where packages come from`)
  const words = [
    '--variant=minbase',
    `--include=${packages.join(',')}`,
    suite,
    root,
    ...from,
    ...(known ? [] : [join(scripts, 'sid')]),
  ]
  const { code, stdout, stderr } = await run('unshare', [
    '--mount',
    '--propagation',
    'private',
    'debootstrap',
    ...words,
  ])
  if (code !== 0) throw new Error(`debootstrap ${suite} failed:\n${`${stdout}\n${stderr}`.slice(-2000)}`)
}

/** Programs of a newer Debian that judge what ours wrote: crane, oras and cosign, which this one does not have. */
export interface Judges {
  /** Runs one of them; `/work` is {@link Judges.work}. */
  judge(program: string, words: readonly string[]): Promise<Output>
  /** A directory that both sides see. */
  readonly work: string
  stop(): Promise<void>
}

/** In which of Debian's releases all of them are. */
const SUITE = 'forky'

/** Makes their root, or takes the one that `STOWAGE_JUDGES` names, for one who runs the tests again and again. */
export async function startJudges(): Promise<Judges> {
  const given = process.env['STOWAGE_JUDGES']
  const directory = await mkdtemp(join(tmpdir(), 'stowage-judges-'))
  const root = given ?? join(directory, 'root')
  const work = join(directory, 'work')
  await mkdir(work)
  if (given === undefined) await makeDebian(root, SUITE, ['crane', 'oras', 'cosign', 'ca-certificates'])
  const script = 'set -e; mkdir -p "$1/work"; mount --bind "$2" "$1/work"; shift 2; exec "$@"'
  return {
    work,
    judge: async (program, words) =>
      await new Promise(resolve => {
        const inside = ['env', 'PATH=/usr/bin:/bin', 'HOME=/work', 'COSIGN_PASSWORD=', program, ...words]
        const child = [
          '--mount',
          '--propagation',
          'private',
          'sh',
          '-c',
          script,
          'sh',
          root,
          work,
          'chroot',
          root,
          ...inside,
        ]
        execFile('unshare', child, { maxBuffer: 1 << 26, timeout: 120_000 }, (error, stdout, stderr) => {
          resolve({
            stdout,
            stderr: stderr || (error?.message ?? ''),
            code: error ? (typeof error.code === 'number' ? error.code : -1) : 0,
          })
        })
      }),
    stop: async () => await rm(directory, { recursive: true, force: true }),
  }
}

/** Where this machine's own packages come from; debootstrap's default where that cannot be told. */
async function mirror(): Promise<readonly string[]> {
  const sources = await readFile('/etc/apt/sources.list.d/debian.sources', 'utf8').catch(() => '') // the older form has none
  const list = await readFile('/etc/apt/sources.list', 'utf8').catch(() => '') // and the newer may have only that
  const found = /^URIs:\s*(\S+)/m.exec(sources) ?? /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)/m.exec(list)
  return found?.[1] ? [found[1]] : []
}
