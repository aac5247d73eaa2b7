/** docs/images-yaml.md: its first list gives what the page shows. */
import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { SAMPLE } from '../support/base-images.js'
import { openDesk } from '../support/desk.js'
import { writeLayout } from '../support/images.js'
import { fencedBlocks, readPage, runPage } from '../support/page.js'
import { monitorImage, shopImage } from '../support/samples.js'

t.test('docs/images-yaml.md does what it says', async t => {
  const desk = openDesk(t)
  const at = (name: string): string => join(desk.work, name)
  await writeLayout(at('shop'), { 'shop:2.3': await shopImage() })
  await writeLayout(at('monitor'), { 'monitor:1.4': await monitorImage() })
  copyFileSync(SAMPLE, at('NanoServer.wim'))
  const [list] = fencedBlocks(readPage('docs/images-yaml.md')).filter(({ language }) => language === 'yaml')
  writeFileSync(at('images.yaml'), list?.body ?? '')
  const wrong = [
    'version: 1',
    'images:',
    '  - image: registry.lan:5000/team/shop',
    '    tag: 2.3',
    '  - image: nginx',
    '    tags:',
    '      semver: newest',
  ]
  writeFileSync(at('wrong.yaml'), `${wrong.join('\n')}\n`)
  await runPage(t, 'docs/images-yaml.md', desk.run)
})
