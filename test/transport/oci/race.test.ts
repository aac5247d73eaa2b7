import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { listImages } from '../../../src/verbs/images.js'
import { layeredImage, writeLayout } from '../../support/images.js'
import { held, reached } from '../../support/stored.js'

/** Runs a module as a process of its own, with the loader that this one has. */
async function run(script: string, words: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, '--input-type=module', '--eval', script, ...words], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return (await once(child, 'close'))[0] as number
}

const url = (path: string): string => JSON.stringify(new URL(`../../../src/${path}`, import.meta.url).href)

t.test('two processes that tag and remove in one layout lose nothing, in 20 rounds', async t => {
  const layout = join(t.testdir(), 'layout')
  await writeLayout(layout, {
    'one:1': await layeredImage(1, { size: 2000 }),
    'two:1': await layeredImage(2, { size: 2000 }),
  })
  const script = `
    import { tagImage } from ${url('verbs/tag.ts')}
    import { removeImages } from ${url('verbs/remove.ts')}
    const [, store, image, prefix] = process.argv
    for (let n = 0; n < 20; n++) {
      await tagImage(image, prefix + ':kept' + n, { store })
      await tagImage(image, prefix + ':gone' + n, { store })
      const { images } = await removeImages([prefix + ':gone' + n], { store })
      if (images[0].error) throw images[0].error
    }
  `
  t.same(
    await Promise.all(
      [
        ['one:1', 'a'],
        ['two:1', 'b'],
        ['two:1', 'c'],
      ].map(words => run(script, [`oci:${layout}`, ...words])),
    ),
    [0, 0, 0],
  )
  const { images } = await listImages({ store: `oci:${layout}` })
  t.same(images.map(({ names }) => names.length).sort(), [21, 41])
  t.same(held(layout), reached(layout))
  t.same(readdirSync(layout).sort(), ['blobs', 'index.json', 'oci-layout'], 'no lock and no temporary file is left')
})

t.test('a copy that counts on blobs which another process removes meanwhile ends whole, in 20 rounds', async t => {
  const root = t.testdir()
  const [layout, from] = [join(root, 'layout'), join(root, 'from')]
  const [one, two] = [await layeredImage(3, { size: 2000 }), await layeredImage(5, { size: 2000 })]
  await writeLayout(layout, { 'one:1': one })
  await writeLayout(from, { 'one:1': one, 'two:1': two })
  const copying = `
    import { copy } from ${url('verbs/copy.ts')}
    const [, from, to] = process.argv
    for (let n = 0; n < 20; n++) for (const name of ['one', 'two']) await copy('oci:' + from + ':' + name + ':1', 'oci:' + to)
  `
  const removing = `
    import { removeImages } from ${url('verbs/remove.ts')}
    const [, store] = process.argv
    for (let n = 0; n < 40; n++) {
      const { images } = await removeImages(['one:1', 'two:1'], { store, force: true })
      for (const { error } of images) if (error && error.code !== 'IMAGE_NOT_FOUND') throw error
    }
  `
  t.same(await Promise.all([run(copying, [from, layout]), run(removing, [`oci:${layout}`])]), [0, 0])
  const names = (readFileSync(join(layout, 'index.json'), 'utf8').match(/docker\.io/g) ?? []).length
  t.comment(`${names} images are left`)
  const there = held(layout)
  t.same(
    reached(layout).filter(hex => !there.includes(hex)),
    [],
    'every image that has a name is whole',
  )
})

t.test('a removal that is killed leaves every image that has a name whole, in 6 rounds', async t => {
  const layout = join(t.testdir(), 'layout')
  const script = `
    import { removeImages } from ${url('verbs/remove.ts')}
    process.stdout.write('ready')
    process.stdin.once('data', () => removeImages(['one:1'], { store: process.argv[1] }))
  `
  for (let round = 0; round < 6; round++) {
    await writeLayout(layout, {
      'one:1': await layeredImage(40, { size: 100, seed: `round ${round}` }),
      'two:1': await layeredImage(2, { size: 100 }),
    })
    const before = held(layout).length
    const child = spawn(
      process.execPath,
      [...process.execArgv, '--input-type=module', '--eval', script, `oci:${layout}`],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    )
    await once(child.stdout, 'data')
    child.stdin.write('go')
    const index = readFileSync(join(layout, 'index.json'), 'utf8')
    // As soon as the index is changed, or the first, third … blob is gone
    while (
      round === 0
        ? readFileSync(join(layout, 'index.json'), 'utf8') === index
        : held(layout).length > before - 2 * round
    )
      await new Promise(setImmediate)
    child.kill('SIGKILL')
    await once(child, 'close')
    const there = held(layout)
    t.same(
      reached(layout).filter(hex => !there.includes(hex)),
      [],
      `${before - there.length} blobs were gone`,
    )
    t.match(await listImages({ store: `oci:${layout}` }), { images: [{ names: ['docker.io/library/two:1'] }] })
  }
})
