/** What an interrupted pack leaves, and volumes that are not all there, at real engines: none takes them for a whole bundle. */
import { execFileSync, spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { pack } from '../../src/verbs/pack.js'
import { startDebianEngine } from '../support/debian-engine.js'
import { startEngine, type TestEngine } from '../support/engine.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { scratch } from '../support/scratch.js'

const SIZE = 1_500_000
const root = scratch(t)
const layout = join(root, 'layout')
const image = await layeredImage(4, { size: SIZE })
await writeLayout(layout, { 'shop:1': image })

const controller = new AbortController()
await pack([`oci:${layout}`], join(root, 'x.tar'), {
  jobs: 1,
  signal: controller.signal,
  onProgress: event => void (event.type === 'bytes' && event.done > 3 * SIZE && controller.abort()),
}).catch((error: unknown) => {
  if (!controller.signal.aborted) throw error
})

const tar = join(root, 'whole.tar')
await pack([`oci:${layout}`], tar)
const second = image.layers[1]?.digest.slice('sha256:'.length) ?? ''
const listed = execFileSync('tar', ['--list', '--block-number', '--file', tar], { encoding: 'utf8' })
const [, block = ''] = new RegExp(`^block (\\d+): blobs/sha256/${second}$`, 'm').exec(listed) ?? []
rmSync(tar)
/** The first ends where the second layer begins: the tar seems to end there. All others end within a layer. */
const volumeSize = Number(block) * 512
await pack([`oci:${layout}`], tar, { volumeSize })
const together = (name: string, ...numbers: readonly number[]): string => {
  const path = join(root, name)
  execFileSync('sh', ['-c', `cat ${numbers.map(number => `${tar}.00${number}`).join(' ')} > ${path}`])
  return path
}
const sums = ['--check', '--strict', 'whole.volumes.sha256']
execFileSync('sha256sum', ['--quiet', ...sums], { cwd: root })
const all = together('all', 1, 2, 3, 4)
const refused = {
  'x.tar.partial': join(root, 'x.tar.partial'),
  'volumes 1 and 2': together('first', 1, 2),
  'volumes 1, 3 and 4': together('holed', 1, 3, 4),
}
const between = together('between', 1)

const ENGINES: Readonly<Record<string, () => Promise<TestEngine>>> = {
  "this machine's Docker with its own store": startEngine,
  'Docker 26 with the containerd store': async () => await startDebianEngine('trixie', 'containerd'),
  'Docker 28 with the containerd store': async () => await startDebianEngine('forky', 'containerd'),
}

for (const [title, start] of Object.entries(ENGINES)) {
  t.test(title, async t => {
    const engine = await start()
    t.teardown(() => engine.stop())
    const load = async (
      file: string,
    ): Promise<{ readonly code: number; readonly text: string; readonly images: string }> => {
      const { code, stdout, stderr } = await engine.docker('load', '-i', file)
      const images = await engine.docker('images', '-a', '--quiet')
      return { code, text: stdout + stderr, images: images.stdout }
    }
    for (const [what, file] of Object.entries(refused)) {
      const { code, text, images } = await load(file)
      t.not(code, 0, `${what}: ${text}`)
      t.equal(images, '', `${what}: nothing is there`)
    }
    // docs/bundles.md says to check volumes first: here Docker 28 says what is missing, but names the image, and exits with 0
    const { code, text } = await load(between)
    t.match(text, /no such file|not found/i, 'volume 1: it says what is missing')
    t.equal(code === 0, title.startsWith('Docker 28'), text)
    t.match(await load(all), { code: 0, text: /Loaded image: shop:1/ }, 'all volumes')
    t.equal((await engine.docker('save', '-o', join(root, 'saved.tar'), 'shop:1')).code, 0)
  })
}

t.test('sha256sum names volumes that are not there', t => {
  rmSync(`${tar}.002`)
  const { status, stdout } = spawnSync('sha256sum', sums, { cwd: root, encoding: 'utf8' })
  t.equal(status, 1)
  t.match(stdout, /whole\.tar\.002: FAILED open or read/)
  t.end()
})
