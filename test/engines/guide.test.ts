/**
 * docs/guide.md, run from its first command to its last: its output is what the commands print, but for what differs each time.
 * `STOWAGE_WRITE_PAGES=1` writes what they print into the page instead.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { richBaseWim, serveWeb } from '../support/base-images.js'
import { startDebianEngine } from '../support/debian-engine.js'
import { openDesk } from '../support/desk.js'
import { runnableImage, writeLayout } from '../support/images.js'
import { plugInStick } from '../support/medium.js'
import { hideAges, runPage, type Step } from '../support/page.js'

/** The page's names of places, which are elsewhere in the test. */
const [STICK, GALLERY] = ['/media/stick', 'http://images.example']

/** What differs each time: ages, IDs of containers, the engine's version. */
function settled(output: string, { command }: Step): string {
  const text = hideAges(output)
    .replace(/\([0-9a-f]{12}, exited\)/g, '(ID, exited)')
    .replace(/\d+ hours?, \d+ minutes?, \d+ seconds?/g, 'TIME')
    .replace(/^Docker \S+ runs/gm, 'Docker VERSION runs')
  // Images of the same age, and names of one image, have no order
  return / (images|uninstall) ?/.test(command) ? text.split('\n').sort().join('\n') : text
}

/** An index of two base images in several versions, the WIM files behind it, and what was asked for. */
async function startGallery(t: Test, directory: string): Promise<string> {
  const offers = [
    ['NanoServer', '10.0.14300.1000'],
    ['NanoServer', '10.0.14300.1010'],
    ['WindowsServerCore', '10.0.14300.1000'],
    ['WindowsServerCore', '10.0.14393.0'],
  ] as const
  const index = offers.map(([name, version]) => {
    const file = `${name}-${version}.wim`
    richBaseWim(t, join(directory, file), name, version)
    const bytes = readFileSync(join(directory, file))
    return {
      Name: name,
      Version: version,
      Description: `Container OS Image of ${name}`,
      SasToken: file,
      Sha256: createHash('sha256').update(bytes).digest('hex'),
      Size: bytes.length,
    }
  })
  return await serveWeb(t, (request, response) => {
    if (request.url === '/index.json') return void response.end(JSON.stringify(index))
    response.end(readFileSync(join(directory, new URL(request.url ?? '', 'http://x').pathname.slice(1))))
  })
}

t.test(
  'the guide does what it says, from the gallery over a stick to a host without a network',
  { timeout: 800_000 },
  async t => {
    const root = mkdtempSync(join(tmpdir(), 'stowage-guide-'))
    t.teardown(() => rmSync(root, { recursive: true, force: true }))
    for (const name of ['office', 'site', 'gallery']) mkdirSync(join(root, name))
    const engine = await startDebianEngine('trixie', 'containerd')
    t.teardown(() => engine.stop())
    const stick = await plugInStick(t, 256 << 20)
    const gallery = await startGallery(t, join(root, 'gallery'))
    await writeLayout(join(root, 'office', 'images'), { 'plant/pump:1.0': await runnableImage() })

    const machine = (name: string, host: string, within: readonly string[]) => {
      const home = join(root, name)
      const env = {
        STOWAGE_CONFIG: join(home, 'config'),
        STOWAGE_STORE: join(home, 'store'),
        DOCKER_CONFIG: home,
        DOCKER_HOST: host,
        TMPDIR: root,
      }
      const places = { [STICK]: stick.directory, [GALLERY]: gallery, [`/home/${name}`]: home }
      const desk = openDesk(t, { home, work: home, env, places, within })
      desk.addCommand('docker', '/usr/bin/docker', '--host', engine.host)
      return desk
    }
    const machines = {
      office: machine('office', 'unix:///nonexistent', []),
      site: machine('site', engine.host, ['unshare', '--net']),
    }

    let at = 'office'
    const run = async (step: Step) => {
      const place = step.prompt.slice(0, -1)
      if (place !== 'office' && place !== 'site') throw new Error(`a machine that the guide does not have: ${place}`)
      if (place !== at) stick.carry()
      at = place
      return await machines[place].run(step)
    }
    t.ok((await runPage(t, 'docs/guide.md', run, { settled, makes: /^stowage commit / })) > 25, 'there is much to run')
    t.equal((await engine.docker('images', '--quiet')).stdout, '', 'all that was installed and made is gone again')
    t.ok(statSync(join(stick.directory, 'wims')).isDirectory(), 'and the stick has it still')
  },
)
