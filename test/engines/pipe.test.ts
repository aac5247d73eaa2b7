/** A bundle that reaches an engine through a pipe, or compressed: with the same proof, and nothing of one that breaks off. */
import { truncateSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { pack } from '../../src/verbs/pack.js'
import { commandFile, stowage } from '../support/command.js'
import { type Output, run, startEngine } from '../support/engine.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { scratch } from '../support/scratch.js'

const NAMES = ['shop:1', 'shop:2']
const engine = await startEngine()
t.teardown(async () => await engine.stop())
const work = scratch(t)
await writeLayout(join(work, 'layout'), {
  'shop:1': await layeredImage(3),
  'shop:2': await layeredImage(2, { seed: 'two' }),
})
const sources = NAMES.map(name => `oci:${join(work, 'layout')}:${name}`)

async function images(): Promise<readonly string[]> {
  const { stdout } = await engine.docker('images', '-a', '--format', '{{.Repository}}:{{.Tag}}')
  return stdout.split('\n').filter(Boolean).sort()
}

/** `script` with `stowage` as $1 and what the script takes after it. */
async function shell(script: string, ...words: readonly string[]): Promise<Output> {
  return await run('bash', ['-o', 'pipefail', '-c', script, 'bash', commandFile(), ...words])
}

t.afterEach(async () => {
  await engine.docker('image', 'rm', '--force', ...NAMES)
})

t.test('pack -o - | load - - tags every image of the bundle', async t => {
  const script = 'node "$1" pack "${@:3}" -o - | node "$1" load - --host "$2"'
  const { code, stderr } = await shell(script, engine.host, ...sources)
  t.equal(code, 0, stderr)
  t.same(await images(), NAMES)
})

t.test(
  'load - sends layers while it reads them: they are stored nowhere, and memory does not grow with them',
  async t => {
    const layout = join(work, 'large')
    const large = await layeredImage(3, { seed: 'large', size: 48 << 20 })
    await writeLayout(layout, { 'shop:1': large, 'shop:2': await layeredImage(2, { seed: 'two' }) })
    const bundle = join(work, 'large.tar')
    await pack([`oci:${layout}:shop:1`, `oci:${layout}:shop:2`], bundle)
    // Without a directory for temporary files, storing anything fails
    const { code, stderr } = await shell(
      'cat "$3" | TMPDIR=/absent node --import "$4" "$1" load - --host "$2"',
      engine.host,
      bundle,
      'data:text/javascript,process.on("exit", () => console.error("KiB", process.resourceUsage().maxRSS))',
    )
    t.equal(code, 0, stderr)
    t.same(await images(), NAMES)
    t.match(stderr, /standard input is a stream: if interrupted, it starts again/)
    const peak = Number(/KiB (\d+)/.exec(stderr)?.[1])
    t.ok(peak < 192 << 10, `${peak} KiB for ${statSync(bundle).size >> 10} KiB`)
    const again = await shell('cat "$3" | TMPDIR=/absent node "$1" load - --host "$2" --json', engine.host, bundle)
    t.match(JSON.parse(again.stdout), { images: [{ sent: 0 }, { sent: 0 }] })
  },
)

t.test('load - of a pipe that breaks off leaves what had these names', async t => {
  const older = join(work, 'older')
  await writeLayout(older, { 'shop:1': await layeredImage(1, { seed: 'older' }) })
  const bundle = join(work, 'older.tar')
  await pack([`oci:${older}:shop:1`], bundle)
  t.equal((await stowage(['load', bundle, '--host', engine.host])).code, 0)
  const id = async (): Promise<string> => (await engine.docker('images', '-a', '-q', '--no-trunc')).stdout
  const before = await id()
  const whole = join(work, 'newer.tar')
  await pack(sources, whole)
  const cut = String(statSync(whole).size - 1024)
  const { code } = await shell('head -c "$3" "$4" | node "$1" load - --host "$2"', engine.host, cut, whole)
  t.equal(code, 4)
  t.same(await images(), ['shop:1'])
  t.equal(await id(), before)
})

t.test('load - of a pipe that breaks off tags nothing, wherever that is', async t => {
  const whole = join(work, 'whole.tar')
  await pack(sources, whole)
  const { size } = statSync(whole)
  for (const share of [0.1, 0.5, 0.9]) {
    const { code, stderr } = await shell(
      'head -c "$3" "$4" | node "$1" load - --host "$2"',
      engine.host,
      String(Math.floor(size * share)),
      whole,
    )
    t.equal(code, 4, stderr)
    t.same(await images(), [])
  }
})

for (const ending of ['tar.gz', 'tar.zst', 'tar.xz']) {
  t.test(`load - of .${ending} tags every image, and one that was cut short tags nothing`, async t => {
    const bundle = join(work, `site.${ending}`)
    await pack(sources, bundle)
    const loaded = await stowage(['load', bundle, '--host', engine.host])
    t.equal(loaded.code, 0, loaded.stderr)
    t.same(await images(), NAMES)
    await engine.docker('image', 'rm', '--force', ...NAMES)
    truncateSync(bundle, Math.floor(statSync(bundle).size * 0.7))
    t.equal((await stowage(['load', bundle, '--host', engine.host])).code, 4)
    t.same(await images(), [])
  })
}

t.test('docker load of what pack compressed, where the engine reads that compression', async t => {
  const bundle = join(work, 'docker.tar.gz')
  await pack(sources, bundle)
  const { code, stderr } = await engine.docker('load', '-i', bundle)
  t.equal(code, 0, stderr)
  t.same(await images(), NAMES)
})
