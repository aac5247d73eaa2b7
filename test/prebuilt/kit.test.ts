/** A whole kit in roots of Debian that have neither Node.js nor libwim: what the person at the site does with it. */
import { execFileSync } from 'node:child_process'
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Debian, type DebianRoot } from '../support/debian.js'
import { startEngine } from '../support/engine.js'
import { runnableImage, writeLayout } from '../support/images.js'
import { makeKit, nodePackage } from '../support/kit.js'
import { scratch } from '../support/scratch.js'

const ROOT = join(import.meta.dirname, '../..')

t.test('a kit verifies, loads into a layout and an engine, and reads WIMs', { timeout: 900_000 }, async t => {
  const work = scratch(t)
  const at = (name: string): string => join(work, name)
  const words = ['--platform', 'linux/amd64', '--node', nodePackage('linux/amd64')]
  t.equal(makeKit(['-o', at('kit'), ...words]).status, 0)
  copyFileSync(join(ROOT, 'fixtures/nanoserver-sample.wim'), at('sample.wim'))
  await writeLayout(at('images'), { 'plant/pump:1.0': await runnableImage() })
  const engine = await startEngine([`--host=unix://${at('docker.sock')}`])
  t.teardown(() => engine.stop())

  for (const suite of ['bullseye', 'bookworm'] satisfies DebianRoot[]) {
    const debian = await Debian.open(suite, work)
    t.teardown(() => debian.remove())
    t.not((await debian.run('node', '--version')).code, 0, `${suite} has no Node.js`)
    const there = (...words: readonly string[]) =>
      debian.run('env', '-i', `HOME=${work}`, 'PATH=/usr/bin:/bin', 'sh', at('kit/stowage'), ...words)
    const works = async (...words: readonly string[]): Promise<string> => {
      const { code, stdout, stderr } = await there(...words)
      t.equal(code, 0, `${suite}: ${words.join(' ')}: ${stderr}`)
      return stdout
    }
    const [bundle, store] = [at(`site-${suite}`), at(`store-${suite}`)]
    t.match(await works('--version'), /^0\.1\.0\nlibdeflate 1\.14, zstd 1\.5\.4/)
    await works('pack', `oci:${at('images')}:plant/pump:1.0`, '-o', bundle)
    t.match(await works('verify', bundle), /: OK \(/)
    t.match(await works('load', bundle, '--to', `oci:${store}`), /plant\/pump:1\.0 .* loaded/)
    t.match(await works('load', bundle, '--host', `unix://${at('docker.sock')}`), /plant\/pump:1\.0 .* loaded/)
    const ran = ['--host', engine.host, 'run', '--rm', 'plant/pump:1.0']
    t.equal(execFileSync('docker', [...ran, 'echo', 'it runs'], { encoding: 'utf8' }), 'it runs\n')
    execFileSync('docker', ['--host', engine.host, 'rmi', 'plant/pump:1.0'], { stdio: 'pipe' })
    t.match(await works('wim', 'info', at('sample.wim')), /Name:\s+NanoServer/)
    await works('wim', 'verify', at('sample.wim'))
    await works('install', '--wim', at('sample.wim'), '--to', `oci:${store}`)
  }
})
