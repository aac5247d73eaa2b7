/** containerd itself, as kind, k3s and RKE2 use it: `ctr images import` with kind's flags takes every bundle of ours. */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { pack } from '../../src/verbs/pack.js'
import { formatPlatform } from '../../src/oci/platform.js'
import { hostPlatform, multiPlatformImage, writeLayout } from '../support/images.js'

const directory = mkdtempSync(join(tmpdir(), 'stowage-containerd-'))
const socket = join(directory, 'containerd.sock')
const places = ['--root', join(directory, 'root'), '--state', join(directory, 'state')]
const daemon = spawn('containerd', [...places, '--address', socket, '--log-level', 'error'], { stdio: 'ignore' })
t.teardown(async () => {
  const ended = new Promise(resolve => daemon.once('close', resolve))
  if (daemon.kill()) await ended
  rmSync(directory, { recursive: true, force: true })
})
const ctr = (...words: readonly string[]): string =>
  execFileSync('ctr', ['--address', socket, '--namespace', 'k8s.io', ...words], { encoding: 'utf8', stdio: 'pipe' })
for (const start = Date.now(); !existsSync(socket) && Date.now() - start < 20_000;) await sleep(100)

const image = await multiPlatformImage()
const layout = join(directory, 'layout')
await writeLayout(layout, { 'registry.example/team/shop:2.3': image })
const PLATFORMS: Readonly<Record<string, readonly string[]>> = {
  one: ['linux/s390x'],
  several: [formatPlatform(hostPlatform()), 'linux/s390x'],
  all: [],
}

for (const [name, platforms] of Object.entries(PLATFORMS)) {
  t.test(`ctr images import - a bundle of ${name} of its platforms`, async t => {
    const tar = join(directory, `${name}.tar`)
    const { manifest } = await pack([`oci:${layout}`], tar, { platforms })
    ctr('images', 'import', '--all-platforms', '--digests', '--no-unpack', tar)
    const [, ...rows] = ctr('images', 'list').trim().split('\n')
    const row = rows.find(line => line.startsWith('registry.example/team/shop:2.3 '))
    t.ok(row?.includes(manifest.images[0]?.root.digest ?? '-'), 'under its digest')
    t.match(ctr('images', 'check', 'name==registry.example/team/shop:2.3'), / complete /)
    ctr('images', 'remove', '--sync', 'registry.example/team/shop:2.3')
  })
}
