/** docs/bundles.md and the journey of the README, run from the office over the desk to a site with an engine. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { startDebianEngine } from '../support/debian-engine.js'
import { type Desk, openDesk } from '../support/desk.js'
import { startEngine, type TestEngine } from '../support/engine.js'
import { makeImage, makeLayer, runnableImage, writeLayout } from '../support/images.js'
import { hideAges, runPage, type Step } from '../support/page.js'
import { scratch } from '../support/scratch.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const WIM = join(ROOT, 'fixtures', 'nanoserver-sample.wim')

/** The machines of a page, with one stick. */
function machines(t: Test, engines: { readonly office?: TestEngine; readonly site: TestEngine }) {
  const stick = scratch(t)
  const machine = (engine?: TestEngine): Desk => {
    const desk = openDesk(t, {
      places: { '/media/stick': stick },
      ...(engine ? { env: { DOCKER_HOST: engine.host } } : {}),
    })
    if (engine) desk.addCommand('docker', '/usr/bin/docker', '--host', engine.host)
    return desk
  }
  const [office, desk, site] = [machine(engines.office), machine(), machine(engines.site)]
  const at: Readonly<Record<string, Desk>> = { office$: office, desk$: desk, site$: site }
  return {
    office,
    run: async (step: Step) => {
      const there = at[step.prompt]
      if (!there) throw new Error(`no machine ${step.prompt}`)
      return await there.run(step)
    },
  }
}

/** Digests and IDs, as the images hold the busybox of this Debian; ages; the version of the engine. */
function settled(output: string, { command }: Step): string {
  const text = hideAges(output)
    .replace(/\b[0-9a-f]{64}\b/g, 'DIGEST')
    .replace(/\b[0-9a-f]{12}\b/g, 'ID')
    .replace(/\(Docker \S+\)/g, '(Docker VERSION)')
  // Images of the same age have no order
  return command.startsWith('docker images') ? text.split('\n').sort().join('\n') : text
}

t.test('docs/bundles.md: packed in the office, verified at the desk, loaded at the site', async t => {
  const [here, there] = [await startEngine(), await startEngine()]
  for (const engine of [here, there]) t.teardown(() => engine.stop())
  const { office, run } = machines(t, { office: here, site: there })
  await writeLayout(join(office.work, 'monitor'), { 'monitor:1.4': await runnableImage() })
  copyFileSync(WIM, join(office.work, 'NanoServer.wim'))
  await writeLayout(join(office.work, 'shop'), { 'shop:2.3': await shop() })
  await office.prepare('stowage copy oci:shop docker-daemon:shop:2.3')
  t.ok((await runPage(t, 'docs/bundles.md', run, { settled })) > 12)
})

t.test('the journey of the README', async t => {
  const engine = await startDebianEngine('trixie', 'containerd')
  t.teardown(() => engine.stop())
  const { office, run } = machines(t, { site: engine })
  for (const name of ['quickstart', 'fixtures']) mkdirSync(join(office.work, name))
  copyFileSync(WIM, join(office.work, 'fixtures', 'nanoserver-sample.wim'))
  execFileSync(process.execPath, [join(ROOT, 'fixtures/make/linux-image.mjs'), join(office.work, 'quickstart/hello')])
  t.equal(await runPage(t, 'README.md', run, { settled }), 4)
})

/** Says when the shop is open. */
async function shop() {
  const { blobs, layers } = await runnableImage()
  const [layer] = layers
  if (!layer) throw new Error('no layer')
  const base = { descriptor: layer, diffId: (await runnableImage()).diffIds[0]!, blob: blobs.get(layer.digest) }
  const hours = await makeLayer({ 'etc/hours': 'Open from 9 to 5.\n' })
  return makeImage([base, hours], { config: { config: { Cmd: ['/bin/busybox', 'cat', '/etc/hours'] } } })
}
