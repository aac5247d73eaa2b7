import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readdirSync, statSync, truncateSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { stowage } from '../support/command.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { free, mount } from '../support/medium.js'
import { scratch } from '../support/scratch.js'

t.test(
  'a layout and a bundle on a file system that shares blocks take no room a second time, and are checked',
  async t => {
    const medium = await mount(t, 'xfs', 400_000_000)
    const size = 40_000_000
    const options = { cwd: medium }
    await writeLayout(join(medium, 'layout'), { 'shop:1': await layeredImage(1, { size }) })
    const room = async (): Promise<number> => {
      execFileSync('sync', ['-f', medium])
      return await free(medium)
    }
    const before = await room()
    for (const words of [
      ['pack', 'oci:layout', '-o', 'site'],
      ['copy', 'oci:layout', 'oci:other'],
      ['copy', 'bundle:site', 'oci:third'],
    ]) {
      const { code, stderr } = await stowage(words, options)
      t.equal(code, 0, stderr)
    }
    const after = await room()
    t.ok(before - after < size / 4, `${before - after} bytes for three copies`)
    t.equal((await stowage(['verify', 'site'], options)).code, 0)
    execFileSync('skopeo', [
      '--insecure-policy',
      'copy',
      '-q',
      `oci:${join(medium, 'third')}`,
      `dir:${join(scratch(t), 'dir')}`,
    ])

    // The blocks are shared, so what the source holds is checked as if it had been copied
    const blobs = join(medium, 'layout/blobs/sha256')
    const largest = readdirSync(blobs).sort((a, b) => statSync(join(blobs, b)).size - statSync(join(blobs, a)).size)[0]!
    const file = openSync(join(blobs, largest), 'r+')
    writeSync(file, 'X', 1_000_000)
    closeSync(file)
    const refused = await stowage(['pack', 'oci:layout', '-o', 'again'], options)
    t.equal(refused.code, 4, refused.stderr)
    t.match(refused.stderr, new RegExp(`expected sha256:${largest}`))
    t.equal((await stowage(['verify', 'site'], options)).code, 0, 'what was packed keeps its own blocks')
    truncateSync(join(blobs, largest), 1_000_000)
    t.equal((await stowage(['pack', 'oci:layout', '-o', 'again'], options)).code === 0, false)
  },
)
