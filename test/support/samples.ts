/** The samples that pages of the documentation show: made anew for each test, and with the same bytes each time. */
import { execFileSync } from 'node:child_process'
import { busyboxLayer, makeImage, makeLayer, type TestImage } from './images.js'

/** When all of them were made. */
const CREATED = '2026-01-01T00:00:00Z'

/** `shop:2.3`, which prints when it is open. It stands on the same layer as {@link monitorImage}, Debian's busybox. */
export async function shopImage(): Promise<TestImage> {
  return await sample('hours', 'Open from 9 to 5.\n')
}

/** `monitor:1.4`. */
export async function monitorImage(): Promise<TestImage> {
  return await sample('monitored', 'pump valve tank\n')
}

/** An image that prints `content`, its file `etc/name`. */
async function sample(name: string, content: string): Promise<TestImage> {
  const layers = [await busyboxLayer(), await makeLayer({ etc: DIRECTORY, [`etc/${name}`]: content })]
  const config = { created: CREATED, config: { Cmd: ['/bin/busybox', 'cat', `/etc/${name}`] } }
  return makeImage(layers, { config, platform: { os: 'linux', architecture: 'amd64' } })
}

const DIRECTORY = { header: { type: 'directory', mode: 0o755 } } as const

/** Sets all times in a tree to those of the samples: what is made of it is then always the same. */
export function date(tree: string): void {
  execFileSync('find', [tree, '-exec', 'touch', '--no-dereference', '--date', CREATED, '{}', '+'])
}
