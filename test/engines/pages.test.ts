/** What pages of the documentation show of a Docker Engine: the engine of this Debian, with its own store of unpacked layers. */
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { SAMPLE } from '../support/base-images.js'
import { startDebianEngine } from '../support/debian-engine.js'
import { type Desk, openDesk } from '../support/desk.js'
import { startEngine, type TestEngine } from '../support/engine.js'
import { writeLayout } from '../support/images.js'
import { hideAges, runPage } from '../support/page.js'
import { monitorImage, shopImage } from '../support/samples.js'
import { openServingDesk } from '../support/serving-desk.js'

/** A machine whose engine is `engine`. */
function deskWith(t: Test, engine: TestEngine): Desk {
  const desk = openDesk(t, { env: { DOCKER_HOST: engine.host } })
  desk.addCommand('docker', '/usr/bin/docker', '--host', engine.host)
  return desk
}

/** `site-a`, with images for Linux and one for Windows. */
async function packSite(desk: Desk): Promise<void> {
  const at = (name: string): string => join(desk.work, name)
  await writeLayout(at('shop'), { 'shop:2.3': await shopImage() })
  await writeLayout(at('monitor'), { 'monitor:1.4': await monitorImage() })
  copyFileSync(SAMPLE, at('NanoServer.wim'))
  await desk.prepare('stowage pack oci:shop oci:monitor wim:NanoServer.wim -o site-a')
}

t.test('with the engine of this Debian, pages do what they say', async t => {
  const engine = await startEngine()
  t.teardown(() => engine.stop())

  await t.test('docs/load.md', async t => {
    const desk = deskWith(t, engine)
    await packSite(desk)
    const settled = (text: string): string => text.replace(/\(Docker \S+\)/, '(Docker VERSION)')
    await runPage(t, 'docs/load.md', desk.run, { having: 'Docker 20.10', settled })
  })

  await t.test('docs/places.md', async t => {
    await runPage(t, 'docs/places.md', deskWith(t, engine).run, { having: 'Docker' })
  })

  await t.test('docs/images.md', async t => {
    const desk = deskWith(t, engine)
    await engine.docker('image', 'rm', '--force', 'monitor:1.4')
    await desk.prepare(
      'docker tag shop:2.3 lab/hello:1',
      'docker image rm shop:2.3',
      'docker run --name work --network none lab/hello:1 /bin/busybox touch /made',
    )
    await runPage(t, 'docs/images.md', desk.run, {
      having: 'Docker',
      makes: /^stowage commit /,
      settled: text => hideAges(text).replace(/\([0-9a-f]{12}, exited\)/g, '(ID, exited)'),
    })
  })

  await t.test('docs/serve.md', async t => {
    const desk = await openServingDesk(t, { env: { DOCKER_HOST: engine.host } })
    desk.addCommand('docker', '/usr/bin/docker', '--host', engine.host)
    await desk.serve({ command: 'stowage serve /media/stick/site-a' })
    await runPage(t, 'docs/serve.md', desk.run, { having: 'Docker' })
  })
})

t.test('with the containerd image store, docs/load.md does what it says', { timeout: 400_000 }, async t => {
  const engine = await startDebianEngine('trixie', 'containerd')
  t.teardown(() => engine.stop())
  const desk = deskWith(t, engine)
  await packSite(desk)
  await runPage(t, 'docs/load.md', desk.run, { having: 'Docker 26.1 and the containerd image store' })
})
