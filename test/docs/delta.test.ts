/** docs/delta.md: what its commands print is what they print here. */
import { join } from 'node:path'
import t from 'tap'
import { openDesk } from '../support/desk.js'
import { busyboxLayer, makeImage, makeLayer, writeLayout } from '../support/images.js'
import { runPage } from '../support/page.js'
import { monitorImage, shopImage } from '../support/samples.js'

t.test('docs/delta.md does what it says', async t => {
  const desk = openDesk(t)
  const monitor = await monitorImage()
  await writeLayout(join(desk.work, 'march'), { 'shop:2.3': await shopImage(), 'monitor:1.4': monitor })
  const config = { created: '2026-04-01T00:00:00Z', config: { Cmd: ['/bin/busybox', 'cat', '/etc/hours'] } }
  const anew = makeImage([await busyboxLayer(), await makeLayer({ 'etc/hours': 'Open from 8 to 6.\n' })], {
    config,
    platform: { os: 'linux', architecture: 'amd64' },
  })
  await writeLayout(join(desk.work, 'april'), { 'shop:2.3': anew, 'monitor:1.4': monitor })
  const steps = await runPage(t, 'docs/delta.md', async step => await desk.run(step), {
    having: 'layouts of March and April',
  })
  t.equal(steps, 11)
})
