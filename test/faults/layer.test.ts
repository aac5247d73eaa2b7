import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { incompressible } from '../../fixtures/make/bytes.js'
import { stowage } from '../support/command.js'
import { mount } from '../support/medium.js'
import { directoryWim, wimlib } from '../support/wims.js'

const wim = directoryWim(t, { files: { 'Windows/big': incompressible('big', 30_000_000) }, args: ['--compress=none'] })
wimlib('info', wim, '1', '--image-property=WINDOWS/ARCH=9')

const layer = join(t.testdir(), 'layer.tar')
await stowage(['layer', 'from-wim', wim, '-o', layer, '--compression', 'none'])

for (const type of ['ext4', 'tmpfs'] as const) {
  t.test(`a ${type} that is too small for a layer is NO_SPACE, and nothing is left on it`, async t => {
    const medium = await mount(t, type, 12_000_000)
    const before = await readdir(medium)
    const outputs: string[][] = [
      ['layer', 'from-wim', wim, '-o', join(medium, 'layer.tar.gz')],
      ['layer', 'to-wim', layer, '-o', join(medium, 'back.wim')],
      ['layer', 'to-wim', layer, '-o', join(medium, 'back.wim'), '--compress', 'none'],
      ['pack', `wim:${wim}`, '-o', join(medium, 'site')],
      ['pack', `wim:${wim}`, '-o', join(medium, 'site.tar')],
    ]
    for (const words of outputs) {
      const { code, stderr } = await stowage(words)
      t.equal(code, 7, words.join(' '))
      t.match(stderr, /^(?:warning: .+\n)?stowage: .*space.*\nhint: .+\n$/, words.join(' '))
      t.same(await readdir(medium), before)
    }
  })
}
