/** A delta in the hands of tools that know nothing of deltas, as a tar and as a directory: each refuses it, and keeps no image of it. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { pack } from '../../src/verbs/pack.js'
import { Debian } from '../support/debian.js'
import { layeredImage, makeImage, makeLayer, writeLayout } from '../support/images.js'
import { startRegistry } from '../support/registry.js'

const debian = await Debian.open('forky')
t.teardown(async () => await debian.remove())
const { work } = debian
const at = (name: string): string => join(work, name)
for (const name of ['out', 'ctr']) mkdirSync(at(name))
const registry = await startRegistry(t)
const layer = async (version: string) => await makeLayer({ version, padding: '.'.repeat(50_000) })
const [base, added] = [await layer('1'), await layer('2')]
const monitor = await layeredImage(2, { seed: 'monitor' })
const shop = makeImage([base])
await writeLayout(at('march'), { 'shop:1': shop, 'monitor:1': monitor })
await writeLayout(at('april'), { 'shop:1': makeImage([base, added]), 'monitor:1': monitor })
const imagesOf = (layout: string): readonly string[] => ['shop', 'monitor'].map(name => `oci:${at(layout)}:${name}:1`)
await pack(imagesOf('march'), at('first'))
const [tar, directory] = [at('delta.tar'), at('delta')]
for (const output of [tar, directory]) {
  const { manifest } = await pack(imagesOf('april'), output, { have: [at('first')] })
  if (manifest.assumes?.images.length !== 1 || manifest.assumes.layers.length !== 1) throw new Error('not a delta')
}

const socket = at('ctr/s')
const places = ['--root', at('ctr/root'), '--state', at('ctr/state'), '--address', socket]
const daemon = debian.start('containerd', ...places, '--log-level', 'error')
t.teardown(async () => {
  const ended = new Promise(resolve => daemon.once('close', resolve))
  if (daemon.kill()) await ended
})
for (const start = Date.now(); !existsSync(socket) && Date.now() - start < 20_000;) await sleep(100)

const podman = ['podman', '--root', at('podman'), '--runroot', at('run'), '--storage-driver', 'vfs']
const ctr = ['ctr', '--address', socket, '--namespace', 'k8s.io']
const skopeo = ['skopeo', '--insecure-policy', 'copy']
const oras = ['oras', 'copy', '--from-oci-layout', '--to-plain-http']
const crane = ['crane', 'push', '--insecure']
const pushed = `${registry.domain}/delta/shop:1`
const quoted = /delta, incomplete without what is at its destination: load it with "?\\*"?stowage load/
/** These look neither at the version of the layout nor, if there is an index, at the list of docker. */
const blob = new RegExp(`blobs/sha256/${shop.layers[0]?.digest.slice('sha256:'.length)}: no such file`)
const version = /version/
/** What is refused, and what is said. */
const REFUSED: readonly (readonly [words: readonly string[], said: RegExp])[] = [
  [[...podman, 'load', '-i', tar], blob],
  [[...podman, 'pull', '-q', `oci:${directory}:1`], blob],
  [[...podman, 'pull', '-q', `docker-archive:${tar}`], quoted],
  [[...ctr, 'images', 'import', '--no-unpack', tar], quoted],
  [[...ctr, 'images', 'import', '--all-platforms', '--local', tar], quoted],
  [['sh', '-c', `tar -C ${directory} -cf - . | ${ctr.join(' ')} images import --no-unpack -`], quoted],
  [['crane', 'validate', '--tarball', tar], quoted],
  [[...crane, tar, pushed], quoted],
  [[...crane, directory, pushed], blob],
  [[...crane, '--index', directory, pushed], blob],
  [[...oras, `${directory}:1`, pushed], version],
  [[...oras, `${tar}:1`, pushed], version],
  [[...skopeo, `oci:${directory}:1`, `oci:${at('out')}:x`], blob],
  [[...skopeo, `oci-archive:${tar}:1`, `oci:${at('out')}:x`], blob],
  [[...skopeo, `docker-archive:${tar}`, `oci:${at('out')}:x`], quoted],
  [[...skopeo, '--dest-tls-verify=false', `oci:${directory}:1`, `docker://${pushed}`], blob],
  [['umoci', 'raw', 'unpack', '--image', `${directory}:1`, at('out/unpacked')], version],
]

for (const [[program = '', ...words], said] of REFUSED) {
  t.test(
    `${program} ${words
      .filter(word => !/^--?(?:root|address)/.test(word))
      .join(' ')
      .replaceAll(`${work}/`, '')}`,
    async t => {
      const { code, stdout, stderr } = await debian.run(program, ...words)
      t.not(code, 0)
      t.match(stdout + stderr, said)
    },
  )
}

t.test('no image of it is anywhere', async t => {
  const list = async ([program = '', ...words]: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await debian.run(program, ...words)
    t.equal(code, 0, stderr)
    return stdout.trim()
  }
  t.equal(await list([...podman, 'images', '--all', '--quiet']), '')
  t.equal(await list([...ctr, 'images', 'list', '--quiet']), '')
  t.equal(await list([...ctr, 'content', 'list', '--quiet']), '')
  t.equal((await debian.run('crane', 'digest', '--insecure', pushed)).code, 1)
  const index = at('out/index.json')
  if (existsSync(index)) t.match(JSON.parse(readFileSync(index, 'utf8')), { manifests: { length: 0 } })
  t.equal(existsSync(at('out/unpacked')), false)
})
