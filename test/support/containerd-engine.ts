/** A Docker Engine with containerd's image store: a newer Debian's, in a root of its own that debootstrap makes. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findProgram, run, startEngineProcess, type TestEngine } from './engine.js'

/** Docker 26, which has the containerd store; older releases of Debian know how to make it. */
const SUITE = 'trixie'

/** Becomes the engine: `sh -c` with the directory as first word and dockerd's words after it. */
const ENTER = `
set -e
directory=$1 root=$1/root
shift
mount --rbind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t cgroup2 none "$root/sys/fs/cgroup" 2>/dev/null || mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mkdir -p "$root/var/lib/docker"
mount --bind "$directory/data" "$root/var/lib/docker"
mount --bind "$directory/run" "$root/run"
exec chroot "$root" env PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
`

/**
 * Starts the docker.io of that Debian on a private socket, with no network. It takes a minute and 400 MB, which `stop()`
 * gives back; packages come from this machine's own mirror.
 */
export async function startContainerdEngine(): Promise<TestEngine> {
  if (!findProgram('debootstrap')) throw new Error('debootstrap is needed for this test: apt-get install debootstrap')
  return await startEngineProcess(async directory => {
    for (const name of ['root', 'data', 'run']) await mkdir(join(directory, name))
    await makeRoot(join(directory, 'root'))
    await writeFile(join(directory, 'run', 'daemon.json'), '{"features":{"containerd-snapshotter":true}}')
    const dockerd = [
      'dockerd',
      ...['--config-file', '/run/daemon.json'],
      ...['--data-root', '/var/lib/docker'],
      ...['--exec-root', '/run/exec'],
      ...['--pidfile', '/run/docker.pid'],
      ...['--host', 'unix:///run/docker.sock'],
      ...['--group', 'root'],
      ...['--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false'],
    ]
    return { file: 'unshare', words: ['--net', 'sh', '-c', ENTER, 'sh', directory, ...dockerd], socket: 'run/docker.sock' }
  })
}

async function makeRoot(root: string): Promise<void> {
  const words = ['--variant=minbase', '--include=docker.io', SUITE, root, ...(await mirror())]
  const { code, stdout, stderr } = await run('unshare', ['--mount', '--propagation', 'private', 'debootstrap', ...words])
  if (code !== 0) throw new Error(`debootstrap ${SUITE} failed:\n${`${stdout}\n${stderr}`.slice(-2000)}`)
}

/** Where this machine's own packages come from; debootstrap's default where that cannot be told. */
async function mirror(): Promise<readonly string[]> {
  const sources = await readFile('/etc/apt/sources.list.d/debian.sources', 'utf8').catch(() => '') // the older form has none
  const list = await readFile('/etc/apt/sources.list', 'utf8').catch(() => '') // and the newer may have only that
  const found = /^URIs:\s*(\S+)/m.exec(sources) ?? /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)/m.exec(list)
  return found?.[1] ? [found[1]] : []
}
