/** A stick with a defect: the exit code says so, and nothing looks whole that is not. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { blobPath } from '../../src/oci/layout.js'
import { writeBundle } from '../support/bundles.js'
import { stowage } from '../support/command.js'
import { layeredImage, writeLayout } from '../support/images.js'

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

t.test('pack - a bundle that cannot be read is not "something else that is in the way"', async t => {
  await writeLayout(join(root, 'layout'), { 'shop:1': image })
  const { stderr, code } = await stowage(['pack', `oci:${join(root, 'layout')}`, '-o', join(root, 'bundle')], {
    env: { ...env, STOWAGE_FAILING_FILE: 'bundle.json' },
  })
  t.equal(code, 11)
  t.match(stderr, /the medium of .* failed: i\/o error/)
  t.notMatch(stderr, /taken over|not empty/)
})

/** What each reason is called, with its exit code; the numbers are those of Linux. */
const REASONS = [
  { errno: constants.errno.EIO, code: 11, text: /the medium of .* failed: i\/o error.*\nhint: .*use another/s },
  { errno: constants.errno.ENODEV, code: 11, text: /the medium of .* is gone: .*\nhint: Plug the medium in again/s },
  { errno: constants.errno.ENOTCONN, code: 11, text: /the medium of .* is gone: .*mount the share again/s },
  { errno: constants.errno.ESTALE, code: 11, text: /the medium of .* is gone: .*mount the share again/s },
  { errno: constants.errno.ENOSPC, code: 7, text: /no space left on the file system of .*\nhint: Free some space/s },
  { errno: constants.errno.EFBIG, code: 7, text: /cannot hold a file of this size.*\nhint: /s },
  { errno: constants.errno.EROFS, code: 1, text: /read-only file system.*\nhint: Mount the file system writable/s },
]

t.test('each command that writes names the reason for which it cannot', async t => {
  mkdirSync(join(root, 'wims'))
  copyFileSync(
    join(import.meta.dirname, '../../fixtures/nanoserver-sample.wim'),
    join(root, 'wims', 'NanoServer-10-0-14300-1010.wim'),
  )
  const layout = `oci:${join(root, 'layout')}`
  const at = (name: string): string => join(root, 'medium', name)
  const commands: readonly (readonly string[])[] = [
    ['pack', layout, '-o', at('site')],
    ['pack', layout, '-o', at('site.tar')],
    ['pack', layout, '-o', at('v.tar'), '--volume-size', '64KiB'],
    ['copy', layout, `oci-archive:${at('x.tar')}`],
    ['load', join(root, 'bundle'), '--to', `oci:${at('store')}`],
    ['split', join(root, 'whole.tar'), '-o', at('s.tar'), '--volume-size', '64KiB'],
    ['inventory', layout, '-o', at('site.json')],
    ['save', 'NanoServer', '--path', at('.'), '--source', 'lab'],
  ]
  t.match(await stowage(['pack', layout, '-o', join(root, 'whole.tar')]), { code: 0 })
  const config = { STOWAGE_CONFIG: join(root, 'config') }
  t.match(await stowage(['source', 'add', 'lab', join(root, 'wims')], { env: config }), { code: 0 })
  for (const [n, words] of commands.entries()) {
    // Each command with some of the reasons: what names them is one function
    for (const { errno, code, text } of REASONS.filter((_, at) => at === 0 || at % commands.length === n)) {
      rmSync(join(root, 'medium'), { recursive: true, force: true })
      mkdirSync(join(root, 'medium'))
      const run = await stowage(words, {
        env: {
          ...config,
          LD_PRELOAD: preload,
          STOWAGE_FAILING_WRITES: `${root}/medium/`,
          STOWAGE_FAILING_ERRNO: String(errno),
        },
      })
      t.equal(run.code, code, `${words[0]} ${errno}: ${run.stderr}`)
      t.match(run.stderr, text, words.join(' '))
      t.notMatch(run.stderr, /taken over|trying again|Try again/, words.join(' '))
    }
  }
})
