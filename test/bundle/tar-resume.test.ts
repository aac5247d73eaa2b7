import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { blobPath } from '../../src/oci/layout.js'
import { pack } from '../../src/verbs/pack.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { scratch } from '../support/scratch.js'

const image = await layeredImage(3)
const layout = join(scratch(t), 'layout')
await writeLayout(layout, { 'docker.io/library/shop:1': image })
const reference = join(scratch(t), 'x.tar')
await pack([`oci:${layout}`], reference)
const whole = await readFile(reference)
// What a killed run has in its output can only come from there
const gone = image.layers[1]!
const missing = join(layout, blobPath(gone.digest))
await rm(missing)

/** What a run that was killed just before the end leaves, after `damage`. */
async function left(damage: (bytes: Buffer) => Buffer): Promise<string> {
  const directory = join(scratch(t), 'work')
  await mkdir(directory)
  const bytes = Buffer.from(whole)
  bytes.fill(0, 0, 512)
  await writeFile(join(directory, 'x.tar.partial'), damage(bytes))
  return directory
}

t.test('pack() goes on with what a killed run has left in a tar', async t => {
  const cases: readonly ((bytes: Buffer) => Buffer)[] = [
    bytes => bytes,
    bytes => Buffer.concat([bytes, Buffer.alloc(5000, 'x')]),
    bytes => bytes.fill('x', 512, 1024),
    bytes => Buffer.concat([whole.subarray(0, 512), bytes.subarray(512)]),
  ]
  for (const damage of cases) {
    const directory = await left(damage)
    const { layers } = await pack([`oci:${layout}`], join(directory, 'x.tar'))
    t.same(layers, { proved: 3, unproved: [] })
    t.ok((await readFile(join(directory, 'x.tar'))).equals(whole), 'the bytes are those of an undisturbed run')
    t.same(await readdir(directory), ['x.tar'])
  }
})

t.test('pack() does not believe what is not whole in it', async t => {
  // At the start of a block: the lists have the name, too
  let at = -1
  while ((at = whole.indexOf(blobPath(gone.digest), at + 1, 'latin1')) % 512 !== 0);
  for (const offset of [0, 512, 512 + gone.size - 1]) {
    const directory = await left(bytes => {
      bytes[at + offset]! ^= 1
      return bytes
    })
    await t.rejects(pack([`oci:${layout}`], join(directory, 'x.tar')), { code: 'BLOB_MISSING' })
    t.same(await readdir(directory), ['x.tar.partial'], 'the layers that are whole stay')
  }
  const short = await left(bytes => bytes.subarray(0, at + 512 + 100))
  await t.rejects(pack([`oci:${layout}`], join(short, 'x.tar')), { code: 'BLOB_MISSING' })
})
