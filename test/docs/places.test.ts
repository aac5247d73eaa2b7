/** docs/places.md: what its commands print is what they print here. test/engines/pages.test.ts has an engine. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { thisOwner } from '../../src/blob/owner.js'
import { openDesk } from '../support/desk.js'
import { multiPlatformImage, writeLayout } from '../support/images.js'
import { runPage } from '../support/page.js'
import { date, monitorImage, shopImage } from '../support/samples.js'
import { scratchLike } from '../support/scratch.js'

t.test('docs/places.md does what it says', async t => {
  const stick = scratchLike(t, '/media/stick')
  const desk = openDesk(t, { places: { '/media/stick': stick } })
  const at = (name: string): string => join(desk.work, name)
  await writeLayout(at('shop'), { 'shop:2.3': await shopImage() })
  await writeLayout(at('monitor'), { 'monitor:1.4': await monitorImage() })
  const platforms = [
    { os: 'linux', architecture: 'amd64' },
    { os: 'linux', architecture: 's390x' },
    { os: 'linux', architecture: 'arm', variant: 'v7' },
  ]
  await writeLayout(at('layout'), { 'multi:1': await multiPlatformImage(platforms) })
  mkdirSync(at('tree/etc'), { recursive: true })
  writeFileSync(at('tree/etc/motd'), 'Welcome to the plant.\n')
  date(at('tree'))
  await desk.prepare('stowage pack oci:shop oci:monitor -o saved', 'stowage load saved --to docker-archive:save.tar')

  // As a run on another host left it, more than a day ago
  const left = join(stick, '.stowage-7c0e41')
  mkdirSync(left)
  const owner = { ...(await thisOwner()), host: 'office', process: 4711, time: '2026-01-02T09:30:00.000Z' }
  writeFileSync(join(left, 'owner.json'), JSON.stringify(owner))
  writeFileSync(join(left, 'layer'), 'x'.repeat(1000))
  await runPage(t, 'docs/places.md', desk.run)
})
