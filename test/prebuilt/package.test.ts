/** The addons of scripts/prebuild.mjs: what they need, and what the npm package has of them. */
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { PREBUILT } from '../../src/load-failure.js'
import { scratch } from '../support/scratch.js'

const ROOT = join(import.meta.dirname, '../..')
const LICENCES = {
  linux: ['libdeflate-dev', 'liblzma-dev', 'libssl-dev', 'libzstd-dev', 'zlib1g-dev'],
  win32: ['libdeflate', 'libzstd', 'mingw-w64', 'xz-utils'],
}
const addon = (platform: string): string => join(ROOT, 'prebuilds', platform, 'stowage.node')

t.test('an addon is for its processor, and no symbol of it is from a glibc after 2.28', t => {
  for (const [platform, machine] of [
    ['linux-x64', /X86-64/],
    ['linux-arm64', /AArch64/],
  ] as const) {
    const told = execFileSync('readelf', ['--wide', '--file-header', '--dyn-syms', '--dynamic', addon(platform)], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    })
    t.match(told, machine)
    const versions = [...told.matchAll(/@(\S+)/g)].map(([, version = '']) => version)
    t.ok(versions.includes('GLIBC_2.17') || versions.includes('GLIBC_2.14'), 'versions were seen')
    const newer = versions.filter(version => !/^GLIBC_2\.(?:\d|1\d|2[0-8])(?:\.\d+)*$/.test(version))
    t.same(newer, [], platform)
    const needed = [...told.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, name = '']) => name)
    t.same(
      needed.filter(name => !/^(?:lib(?:c|m|dl|pthread)\.so\.\d|ld-linux-[a-z0-9-]+\.so\.\d)$/.test(name)),
      [],
      platform,
    )
  }
  t.end()
})

t.test('the addon for Windows needs what every Windows has, and whatever program loads it', t => {
  const file = addon('win32-x64')
  const told = execFileSync('x86_64-w64-mingw32-objdump', ['-p', file], { encoding: 'utf8', maxBuffer: 1 << 26 })
  const libraries = [...told.matchAll(/DLL Name: (\S+)/g)].map(([, name = '']) => name.toLowerCase())
  t.same(libraries.sort(), ['bcrypt.dll', 'kernel32.dll', 'msvcrt.dll'])
  t.match(told, /pei-x86-64/)
  const script = `import { windowsFaults } from ${JSON.stringify(join(ROOT, 'scripts/prebuild-windows.mjs'))}
    console.log(windowsFaults(['KERNEL32.dll', 'libstdc++-6.dll']).join())`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' })
  t.equal(stdout, 'needs libstdc++-6.dll, which not every Windows has\n')
  t.end()
})

t.test('the npm package has the addon of each platform and its licences, no larger than CHANGELOG.md says', t => {
  const told = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: ROOT, encoding: 'utf8' })
  const [{ files }] = JSON.parse(told) as [{ files: { path: string; size: number }[] }]
  const names = (platform: string) => [
    'stowage.node',
    ...LICENCES[platform.startsWith('win32') ? 'win32' : 'linux'].map(name => `${name}.copyright`),
  ]
  t.same(
    files.flatMap(({ path }) => (path.startsWith('prebuilds/') ? [path] : [])).sort(),
    PREBUILT.flatMap(platform => names(platform).map(name => `prebuilds/${platform}/${name}`)).sort(),
  )
  const budget = /^- The prebuilt addons: at most ([\d.]+) MB each, ([\d.]+) MB each packed\.$/m
  const [most = 0, packed = 0] = (budget.exec(readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8')) ?? [])
    .slice(1)
    .map(Number)
  for (const platform of PREBUILT) {
    const bytes = readFileSync(addon(platform))
    t.ok(bytes.length <= most * 1e6, `${platform}: ${bytes.length} bytes`)
    t.ok(gzipSync(bytes, { level: 9 }).length <= packed * 1e6, `${platform}, packed`)
  }
  t.end()
})

t.test('an addon that needs what not every system has is refused', t => {
  const directory = scratch(t)
  const script = `import { faultsOf, needsOf } from ${JSON.stringify(join(ROOT, 'scripts/prebuild.mjs'))}
    console.log(faultsOf(needsOf(${JSON.stringify(join(ROOT, 'build/Release/stowage.node'))}, 'x64')).join('\\n'))`
  writeFileSync(join(directory, 'faults.mjs'), script)
  const { stdout, stderr } = spawnSync(process.execPath, [join(directory, 'faults.mjs')], { encoding: 'utf8' })
  t.match(stdout, /^needs glibc 2\.3\d, not 2\.28 or older\nneeds .*libstdc\+\+\.so\.6/, stderr)
  t.match(stdout, /needs symbols of .*GLIBCXX_/)
  t.end()
})
