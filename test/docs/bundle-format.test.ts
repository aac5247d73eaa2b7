/** docs/bundle-format.md: its bundle.json is one that Stowage writes. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openDesk } from '../support/desk.js'
import { writeLayout } from '../support/images.js'
import { fencedBlocks, readPage, SAME_BYTES } from '../support/page.js'
import { monitorImage } from '../support/samples.js'

interface Bundle {
  readonly files: readonly { readonly path: string }[]
}

function parse(text: string): Bundle {
  const known = SAME_BYTES ? text : text.replace(/sha256:[0-9a-f]{4}…/g, 'DIGEST').replace(/"size": ?\d+/g, '"size": 0')
  return JSON.parse(known) as Bundle // what is compared says whether it is one
}

t.test(
  'docs/bundle-format.md shows a bundle.json as it is, but for shortened digests and a choice of files',
  async t => {
    const desk = openDesk(t)
    await writeLayout(join(desk.work, 'monitor'), { 'monitor:1.4': await monitorImage() })
    await desk.prepare('SOURCE_DATE_EPOCH=1700000000 stowage pack oci:monitor -o site-a --serial 42 --series plant')
    const text = readFileSync(join(desk.work, 'site-a/bundle.json'), 'utf8')
    const written = parse(text.replace(/\b(sha256:[0-9a-f]{4})[0-9a-f]{60}\b/g, '$1…'))
    const [block] = fencedBlocks(readPage('docs/bundle-format.md')).filter(({ language }) => language === 'json')
    const shown = parse(block?.body ?? '')
    const chosen = shown.files.map(({ path }) => path)
    t.ok(chosen.length > 0)
    t.same(shown, { ...written, files: written.files.filter(({ path }) => chosen.includes(path)) })
  },
)
