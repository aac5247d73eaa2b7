/** A Docker Engine with containerd's image store: a newer Debian's, in a root of its own that debootstrap makes. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startEngineProcess, type TestEngine } from './engine.js'
import { makeDebian } from './newer-debian.js'

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
  return await startEngineProcess(async directory => {
    for (const name of ['root', 'data', 'run']) await mkdir(join(directory, name))
    await makeDebian(join(directory, 'root'), SUITE, ['docker.io'])
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
    return {
      file: 'unshare',
      words: ['--net', 'sh', '-c', ENTER, 'sh', directory, ...dockerd],
      socket: 'run/docker.sock',
    }
  })
}
