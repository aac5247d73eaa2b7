/** A stick with a defect: the exit code says so, and nothing looks whole that is not. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { blobPath } from '../../src/oci/layout.js'
import { writeBundle } from '../support/bundles.js'
import { stowage } from '../support/command.js'
import { layeredImage } from '../support/images.js'

const root = t.testdir()
const preload = join(root, 'failing-medium.so')
execFileSync('cc', ['-shared', '-fPIC', '-o', preload, join(import.meta.dirname, 'failing-medium.c'), '-ldl'])
const image = await layeredImage(2)
const layer = blobPath(image.layers[1]!.digest)
await writeBundle(join(root, 'bundle'), { 'shop:1': image })
const env = { LD_PRELOAD: preload, STOWAGE_FAILING_FILE: layer }

t.test('verify - names the file that cannot be read, and exits with 11', async t => {
  const { stdout, code } = await stowage(['verify', join(root, 'bundle')], { env })
  t.equal(code, 11)
  t.match(stdout, new RegExp(`MEDIUM_FAILED  ${layer}: the medium of .* failed: i/o error`))
  const damaged = await stowage(['verify', join(root, 'bundle')], { env: { ...env, STOWAGE_FAILING_FILE: 'none' } })
  t.equal(damaged.code, 0, 'and the same bundle is whole on a medium that works')
})

t.test('load - exits with 11, and leaves no image', async t => {
  const { stderr, code } = await stowage(['load', join(root, 'bundle'), '--to', `oci:${join(root, 'store')}`], { env })
  t.equal(code, 11)
  t.match(stderr, /the medium of .* failed: i\/o error.*\nhint: .*use another/s)
  const { stdout } = await stowage(['images', '--store', `oci:${join(root, 'store')}`, '--quiet'])
  t.equal(stdout, '')
})

t.test('pack - from a failing medium exits with 11, and seals nothing', async t => {
  const { code } = await stowage(['pack', `bundle:${join(root, 'bundle')}`, '-o', join(root, 'copy.tar')], { env })
  t.equal(code, 11)
  t.notOk(existsSync(join(root, 'copy.tar')))
})
