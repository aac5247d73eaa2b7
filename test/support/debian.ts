/** Other releases of Debian, each in a root that debootstrap makes: for programs that are newer or older than this machine's. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findProgram, type Output, run } from './engine.js'

/** What each root has: of a release the engine, or the tools. */
const PACKAGES = {
  bullseye: ['libwim15'],
  bookworm: ['podman', 'golang-github-containers-common', 'crun', 'umoci', 'ca-certificates'],
  trixie: ['containerd', 'podman', 'crun', 'skopeo', 'umoci', 'oras', 'ca-certificates'],
  forky: ['containerd', 'podman', 'crun', 'skopeo', 'umoci', 'crane', 'oras', 'cosign', 'ca-certificates'],
  'trixie-engine': ['docker.io'],
  'forky-engine': ['docker.io'],
} as const

export type DebianRoot = keyof typeof PACKAGES

/** How long a program may run, in milliseconds. */
const LIMIT = 300_000

/**
 * Becomes a program of the root: `sh -c` with where to mount the root, the root, and a directory that both sides see under
 * one path, then the program. Docker and podman remount "/", so it has to be a mount of its own.
 */
const ENTER = `
set -e
place=$1 root=$2 shared=$3
shift 3
mount --rbind "$root" "$place"
mount -t proc proc "$place/proc"
mount -t sysfs sysfs "$place/sys"
mount --rbind /dev "$place/dev"
mount -t cgroup2 none "$place/sys/fs/cgroup" 2>/dev/null || mount --rbind /sys/fs/cgroup "$place/sys/fs/cgroup"
mount -t tmpfs tmpfs "$place/tmp"
mount -t tmpfs tmpfs "$place/run"
mkdir -p "$place$shared"
mount --bind "$shared" "$place$shared"
exec chroot "$place" env PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME="$shared" "$@"
`

/** Makes the root $1 with the packages $2, unless another process did so meanwhile. No service starts in it. */
const MAKE = `
set -e
root=$1 packages=$2
shift 2
test ! -e "$root/.whole" || exit 0
rm -rf "$root"
debootstrap "$@"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
printf '#!/bin/sh\\nexit 101\\n' > "$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"
mount -t proc proc "$root/proc"
export DEBIAN_FRONTEND=noninteractive
unset TMPDIR # which is not in the root
# An old list of a release still in the making is no reason to do without it
chroot "$root" apt-get -o Acquire::Check-Valid-Until=false update -qq
chroot "$root" apt-get install -y -qq --no-install-recommends $packages
chroot "$root" apt-get clean
touch "$root/.whole"
`

/**
 * The root `name`. The tests of one run share it where `STOWAGE_ROOTS` names a directory for them, as scripts/test.mjs
 * does; else it is made in `directory`, whose owner removes it.
 */
export async function debianRoot(name: DebianRoot, directory: string): Promise<string> {
  const shared = process.env['STOWAGE_ROOTS']
  const root = join(shared ?? directory, `debian-${name}`)
  if (existsSync(join(root, '.whole'))) return root
  if (!findProgram('debootstrap')) throw new Error('debootstrap is needed for this test: apt-get install debootstrap')
  const inside = [
    'sh',
    '-c',
    MAKE,
    'sh',
    root,
    PACKAGES[name].join(' '),
    ...(await debootstrapWords(name.replace(/-.*/, ''), root)),
  ]
  const words = ['--mount', '--propagation', 'private', ...inside]
  const { code, stdout, stderr } = await run('flock', [`${root}.lock`, 'unshare', ...words])
  if (code !== 0) throw new Error(`debootstrap ${name} failed:\n${`${stdout}\n${stderr}`.slice(-2000)}`)
  return root
}

/** Words of `unshare` that run `program` in `root`; `place` is an empty directory that nobody else uses. */
export function enterDebian(place: string, root: string, shared: string, program: readonly string[]): string[] {
  return ['--mount', '--propagation', 'private', 'sh', '-c', ENTER, 'sh', place, root, shared, ...program]
}

/** A release of Debian whose programs see `work` under its own path. */
export class Debian {
  readonly work: string
  readonly #directory: string
  readonly #root: string

  private constructor(directory: string, root: string, work: string) {
    this.#directory = directory
    this.#root = root
    this.work = work
  }

  /** With `work`, or a new directory that {@link remove} takes away. */
  static async open(suite: DebianRoot, work?: string): Promise<Debian> {
    if (process.getuid?.() !== 0) throw new Error('another Debian needs root: run this test as root')
    const directory = await mkdtemp(join(tmpdir(), `stowage-${suite}-`))
    for (const name of ['place', 'work']) await mkdir(join(directory, name))
    return new Debian(directory, await debianRoot(suite, directory), work ?? join(directory, 'work'))
  }

  async run(program: string, ...words: readonly string[]): Promise<Output> {
    return await new Promise(resolve => {
      execFile(
        'unshare',
        this.#enter(program, words),
        { maxBuffer: 1 << 26, timeout: LIMIT },
        (error, stdout, stderr) => {
          const code = !error ? 0 : typeof error.code === 'number' ? error.code : -1
          resolve({ stdout, stderr: stderr || (error?.message ?? ''), code })
        },
      )
    })
  }

  /** Starts a program that runs until it is killed, at the latest with this process. */
  start(program: string, ...words: readonly string[]): ChildProcess {
    return spawn('setpriv', ['--pdeathsig', 'TERM', 'unshare', ...this.#enter(program, words)], { stdio: 'ignore' })
  }

  async remove(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 5 })
  }

  #enter(program: string, words: readonly string[]): string[] {
    return enterDebian(join(this.#directory, 'place'), this.#root, this.work, [program, ...words])
  }
}

async function debootstrapWords(suite: string, root: string): Promise<readonly string[]> {
  const scripts = '/usr/share/debootstrap/scripts'
  const from = await mirror()
  // A release that this debootstrap is too old for is made as the newest that it knows
  const known = existsSync(join(scripts, suite))
  if (!known && from.length === 0)
    throw new Error(`this debootstrap does not know ${suite}, nor we where packages come from`)
  return ['--variant=minbase', suite, root, ...from, ...(known ? [] : [join(scripts, 'sid')])]
}

/** Where this machine's own packages come from; debootstrap's default where that cannot be told. */
async function mirror(): Promise<readonly string[]> {
  const sources = await readFile('/etc/apt/sources.list.d/debian.sources', 'utf8').catch(() => '') // the older form has none
  const list = await readFile('/etc/apt/sources.list', 'utf8').catch(() => '') // and the newer may have only that
  const found = /^URIs:\s*(\S+)/m.exec(sources) ?? /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)/m.exec(list)
  return found?.[1] ? [found[1]] : []
}
