/** A Docker Engine of another release of Debian, with either of its image stores. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { debianRoot, enterDebian } from './debian.js'
import { startEngineProcess, type TestEngine } from './engine.js'

/** Which of its two stores an engine uses: containerd's, or its own of unpacked layers. */
export type ImageStore = 'containerd' | 'graphdriver'

/**
 * Starts the docker.io of `suite` on a private socket, with no network: Docker 26 in trixie, 28 in forky. Making the root takes
 * a minute and some hundred MB; packages come from this machine's own mirror.
 */
export async function startDebianEngine(suite: 'trixie' | 'forky', store: ImageStore): Promise<TestEngine> {
  return await startEngineProcess(async directory => {
    const root = await debianRoot(`${suite}-engine`, directory)
    for (const name of ['place', 'data', 'run']) await mkdir(join(directory, name))
    const place = join(directory, 'place')
    const settings =
      store === 'containerd'
        ? { features: { 'containerd-snapshotter': true } }
        : { features: { 'containerd-snapshotter': false }, 'storage-driver': 'overlay2' }
    await writeFile(join(directory, 'daemon.json'), JSON.stringify(settings))
    const dockerd = [
      'dockerd',
      ...['--config-file', join(directory, 'daemon.json')],
      ...['--data-root', join(directory, 'data')],
      ...['--exec-root', '/run/exec'],
      ...['--pidfile', '/run/docker.pid'],
      ...['--host', `unix://${join(directory, 'run', 'docker.sock')}`],
      ...['--group', 'root'],
      ...['--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false'],
    ]
    return {
      file: 'unshare',
      words: ['--net', ...enterDebian(place, root, directory, dockerd)],
      socket: 'run/docker.sock',
    }
  })
}
