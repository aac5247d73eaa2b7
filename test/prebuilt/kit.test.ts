/** A whole kit in roots of Debian that have neither Node.js nor libwim: what the person at the site does with it. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Debian, type DebianRoot } from '../support/debian.js'
import { startEngine } from '../support/engine.js'
import { GREETING, runnableImage, writeLayout } from '../support/images.js'
import { nodeDirectory } from '../../src/kit/launchers.js'
import { KIT_PLATFORMS } from '../../src/kit/node-binary.js'
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
    t.equal(execFileSync('docker', ran, { encoding: 'utf8', stdio: 'pipe' }), `${GREETING}\n`)
    execFileSync('docker', ['--host', engine.host, 'rmi', 'plant/pump:1.0'], { stdio: 'pipe' })
    t.match(await works('wim', 'info', at('sample.wim')), /Name:\s+NanoServer/)
    await works('wim', 'verify', at('sample.wim'))
    await works('install', '--wim', at('sample.wim'), '--to', `oci:${store}`)
  }
})

t.test('what a kit has besides Node.js is at most 20 MB, and 8 MB compressed, for each platform', t => {
  const work = scratch(t)
  for (const platform of KIT_PLATFORMS) {
    const name = nodeDirectory(platform)
    t.equal(makeKit(['-o', name, '--platform', platform, '--without-node'], work).status, 0, platform)
    const files = readdirSync(join(work, name), { recursive: true, withFileTypes: true }).filter(each => each.isFile())
    const size = files.reduce((sum, each) => sum + statSync(join(each.parentPath, each.name)).size, 0)
    const packed = Number(execFileSync('sh', ['-c', 'tar -c "$1" | gzip -6 | wc -c', 'sh', name], { cwd: work }))
    t.comment(
      `${platform}: ${files.length} files, ${(size / 1e6).toFixed(1)} MB, ${(packed / 1e6).toFixed(1)} MB compressed`,
    )
    t.ok(size <= 20e6 && packed <= 8e6, `${platform}: ${size} and ${packed} bytes`)
  }
  t.end()
})

t.test('the kit for arm64 works by emulation, and makes the same layer as on x86-64', { timeout: 900_000 }, async t => {
  const work = scratch(t)
  const at = (name: string): string => join(work, name)
  for (const platform of ['linux/amd64', 'linux/arm64'] as const)
    t.equal(
      makeKit(['-o', at(nodeDirectory(platform)), '--platform', platform, '--node', nodePackage(platform)]).status,
      0,
    )
  const { runtimeRoot } = (await import(join(ROOT, 'scripts/sysroot.mjs'))) as { runtimeRoot(arch: string): string } // as it is declared there
  const kit = at('linux-arm64')
  const emulated = (...words: readonly string[]): string => {
    const node = [join(kit, 'node/linux-arm64/node'), join(kit, 'app/dist/stowage.js')]
    const env = { PATH: '/usr/bin:/bin', HOME: work }
    return execFileSync('qemu-aarch64-static', ['-L', runtimeRoot('arm64'), ...node, ...words], {
      encoding: 'utf8',
      env,
    })
  }
  const sample = join(ROOT, 'fixtures/nanoserver-sample.wim')
  await writeLayout(at('images'), { 'plant/pump:1.0': await runnableImage() })
  t.match(emulated('--version'), /^0\.1\.0\n/)
  emulated('pack', `oci:${at('images')}:plant/pump:1.0`, '-o', at('bundle'))
  t.match(emulated('verify', at('bundle')), /: OK \(/)
  t.match(emulated('load', at('bundle'), '--to', `oci:${at('store')}`), /plant\/pump:1\.0 .* loaded/)
  t.match(emulated('wim', 'info', sample), /Name:\s+NanoServer/)
  emulated('install', '--wim', sample, '--to', `oci:${at('store')}`)
  emulated('layer', 'from-wim', sample, '-o', at('arm64.tar.gz'))
  execFileSync('sh', [at('linux-amd64/stowage'), 'layer', 'from-wim', sample, '-o', at('amd64.tar.gz')], {
    env: { PATH: '/usr/bin:/bin', HOME: work },
    stdio: 'pipe',
  })
  execFileSync('cmp', [at('arm64.tar.gz'), at('amd64.tar.gz')])
})
