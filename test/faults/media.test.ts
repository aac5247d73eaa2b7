/** Media that cannot do what a disk can: exFAT, which knows no case, no links and no modes, and one that is read-only. */
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { SAMPLE, sampleWim, testHost, versionProperties } from '../support/base-images.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { mount, plugInStick } from '../support/medium.js'
import { scratch } from '../support/scratch.js'

const root = scratch(t)
const layout = join(root, 'layout')
await writeLayout(layout, {
  'shop:1': await layeredImage(3, { size: 1_500_000 }),
  'shop:2': await layeredImage(2, { size: 1_500_000, seed: 'other' }),
})
const both = ['1', '2'].map(tag => `oci:${layout}:shop:${tag}`)
mkdirSync(join(root, 'wims'))
sampleWim(join(root, 'wims', 'NanoServer.wim'), ...versionProperties(14300, 1010))
/** Whoever runs the tests has no engine here, and no sources. */
const host = testHost(t, { DOCKER_HOST: '', SOURCE_DATE_EPOCH: '1700000000' })
await host.run(['source', 'add', 'lab', join(root, 'wims'), '--trusted'])

/** What makes outputs, in a directory that becomes the current one; HERE is that directory. */
const COMMANDS: readonly (readonly string[])[] = [
  ['pack', `oci:${layout}:shop:1`, '-o', 'HERE/site'],
  ['pack', `oci:${layout}:shop:1`, '-o', 'HERE/site.tar', '--recovery', '10%'],
  ['pack', `oci:${layout}:shop:1`, '-o', 'HERE/site.tar.gz'],
  ['pack', ...both, '-o', 'HERE/cut.tar', '--volume-size', '2MB'],
  ['inventory', 'bundle:HERE/site', '-o', 'HERE/site.json'],
  ['pack', ...both, '--have', 'HERE/site.json', '-o', 'HERE/delta'],
  ['merge', 'HERE/site', 'HERE/delta', '-o', 'HERE/whole'],
  ['split', 'HERE/site.tar', '-o', 'HERE/parts.tar', '--volume-size', '1MB'],
  ['join', 'HERE/parts.tar.001', '-o', 'HERE/joined.tar'],
  ['protect', 'HERE/site'],
  ['load', 'HERE/site', '--to', 'oci:HERE/store'],
  ['copy', `oci:${layout}:shop:2`, 'oci:HERE/store'],
  ['tag', 'shop:2', 'shop:latest', '--store', 'oci:HERE/store'],
  ['rmi', 'shop:1', '--store', 'oci:HERE/store'],
  ['copy', `oci:${layout}:shop:2`, 'oci-archive:HERE/oci.tar', '-t', 'shop:2'],
  ['copy', `oci:${layout}:shop:2`, 'docker-archive:HERE/docker.tar', '-t', 'shop:2'],
  ['save', 'NanoServer', '--path', 'HERE'],
  ['install', '--wim', SAMPLE, '--to', 'oci:HERE/store', '-t', 'nano:1'],
]

async function runAll(directory: string): Promise<void> {
  for (const words of COMMANDS) {
    const { code, stderr } = await host.run(words.map(word => word.replaceAll('HERE', directory)))
    if (code !== 0) throw new Error(`${words.join(' ')}: ${stderr}`)
  }
}

const disk = scratch(t)
await runAll(disk)

/** All files, without what tells where or when they were made. */
const listing = (directory: string): readonly string[] =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter(name => statSync(join(directory, name)).isFile())
    .sort()

t.test('exFAT takes every kind of output, with the bytes that another file system gets', async t => {
  const { directory: stick, carry } = await plugInStick(t, 192_000_000)
  writeFileSync(join(stick, 'case'), '')
  t.ok(existsSync(join(stick, 'CASE')), 'the stick does not tell names apart by case')
  t.throws(() => linkSync(join(stick, 'case'), join(stick, 'link')), 'nor has it hard links')
  t.throws(() => symlinkSync('case', join(stick, 'symlink')), 'nor symbolic links')
  rmSync(join(stick, 'case'))
  await runAll(stick)
  carry()
  t.same(listing(stick), listing(disk))
  for (const name of listing(disk)) {
    if (['site.json', 'delta/bundle.json', 'delta/SHA256SUMS'].includes(name)) continue // an inventory names the place
    t.ok(readFileSync(join(stick, name)).equals(readFileSync(join(disk, name))), name)
  }
  for (const bundle of [
    'site',
    'site.tar',
    'site.tar.gz',
    'cut.tar.001',
    'delta',
    'whole',
    'parts.tar.001',
    'joined.tar',
  ])
    t.match(await host.run(['verify', join(stick, bundle)]), { code: 0 }, bundle)
  execFileSync('sha256sum', ['-c', '--quiet', 'SHA256SUMS'], { cwd: join(stick, 'site') })
  execFileSync('sha256sum', ['-c', '--quiet', 'cut.volumes.sha256'], { cwd: stick })
  execFileSync('skopeo', ['--insecure-policy', 'copy', '-q', `oci:${stick}/store:2`, `dir:${join(scratch(t), 'copy')}`])
  t.match(
    (await host.run(['prune', '--dry-run', stick])).stdout,
    /^Would remove 0 directories \(0B\)$/m,
    'nothing is left on it',
  )

  // One name in two cases is one file there
  const before = readFileSync(join(stick, 'site.tar'))
  for (const output of ['SITE.tar', 'Site.TAR', 'SITE']) {
    const { code, stderr } = await host.run(['pack', `oci:${layout}:shop:2`, '-o', join(stick, output)])
    t.not(code, 0, output)
    t.match(stderr, /exists|is a bundle already/, `${output}: ${stderr}`)
  }
  t.ok(readFileSync(join(stick, 'site.tar')).equals(before))
  t.match(await host.run(['verify', join(stick, 'site')]), { code: 0 })
})

t.test('a medium that is read-only is read by everything, and what would write there says why it cannot', async t => {
  const medium = await mount(t, 'ext4', 96_000_000)
  execFileSync('cp', ['-r', `${disk}/.`, medium])
  execFileSync('mount', ['-o', 'remount,ro', medium])
  const before = listing(medium)
  const out = scratch(t)
  const at = (name: string): string => join(medium, name)
  for (const words of [
    ['verify', at('site')],
    ['verify', at('site.tar')],
    ['verify', at('site.tar.gz')],
    ['verify', at('cut.tar.001')],
    ['verify', '--against', `oci:${at('store')}`, at('delta')],
    ['inspect', `bundle:${at('site')}`],
    ['inspect', `oci:${at('store')}:shop:2`],
    ['images', '--store', `oci:${at('store')}`],
    ['history', 'shop:2', '--store', `oci:${at('store')}`],
    ['diff', at('site'), at('whole')],
    ['inventory', `oci:${at('store')}`, '-o', join(out, 'store.json')],
    ['load', at('site'), '--to', `oci:${join(out, 'store')}`],
    ['load', at('cut.tar.001'), '--to', `oci:${join(out, 'cut')}`],
    ['copy', `oci:${at('store')}:shop:2`, `oci:${join(out, 'copied')}`],
    ['pack', `oci-archive:${at('oci.tar')}`, '-o', join(out, 'packed')],
    ['join', at('parts.tar.001'), '-o', join(out, 'joined.tar')],
    ['merge', at('site'), at('delta'), '-o', join(out, 'merged')],
    ['install', '--wim', at('NanoServer-10-0-14300-1010.wim'), '--to', `oci:${join(out, 'installed')}`, '-t', 'nano:1'],
    ['prune', '--dry-run', medium],
  ]) {
    const { code, stderr } = await host.run(words)
    t.equal(code, words[1] === '--against' ? 3 : 0, `${words.join(' ')}: ${stderr}`)
  }
  rmSync(join(root, 'again'), { recursive: true, force: true })
  for (const words of [
    ['pack', `oci:${layout}:shop:2`, '-o', at('new')],
    ['pack', `oci:${layout}:shop:2`, '-o', at('new.tar')],
    ['pack', `oci:${layout}:shop:2`, '-o', at('new.tar'), '--volume-size', '1MB'],
    ['pack', ...both, '-o', at('site'), '--update'],
    ['copy', `oci:${layout}:shop:1`, `oci:${at('store')}`],
    ['copy', `oci:${layout}:shop:1`, `oci-archive:${at('new.tar')}`, '-t', 'shop:1'],
    ['load', at('site'), '--to', `oci:${at('store')}`],
    ['tag', 'shop:2', 'shop:3', '--store', `oci:${at('store')}`],
    ['rmi', 'shop:2', '--store', `oci:${at('store')}`],
    ['split', at('site.tar'), '-o', at('new.tar'), '--volume-size', '1MB'],
    ['join', at('parts.tar.001'), '-o', at('new.tar')],
    ['merge', at('site'), at('delta'), '-o', at('new')],
    ['protect', at('whole')],
    ['inventory', `bundle:${at('site')}`, '-o', at('new.json')],
    ['save', 'NanoServer', '--path', at('store')],
    ['install', '--wim', SAMPLE, '--to', `oci:${at('store')}`, '-t', 'nano:2'],
  ]) {
    const { code, stderr } = await host.run(words)
    t.equal(code, 1, `${words.join(' ')}: ${stderr}`)
    t.match(stderr, /read-only/, words.join(' '))
    t.notMatch(stderr, /\bretry\b|taken over|another (?:process|command)/, words.join(' '))
  }
  t.same(listing(medium), before)
})
