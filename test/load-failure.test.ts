/** Addons that the loader of this system refuses, each for another reason, and what the command says about it. */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadHint, missingHint } from '../src/load-failure.js'
import { commandFile, stowage } from './support/command.js'
import { scratch } from './support/scratch.js'

const OWN = join(import.meta.dirname, '../build/Release/stowage.node')
const SAMPLE = join(import.meta.dirname, '../fixtures/nanoserver-sample.wim')

/** Has the addon `name` in `root`, which `make` writes to the file that it is given. */
function place(root: string, name: string, make?: (file: string) => void): Readonly<Record<string, string>> {
  const directory = join(root, name, 'prebuilds', `${process.platform}-${process.arch}`)
  mkdirSync(directory, { recursive: true })
  make?.(join(directory, 'stowage.node'))
  return { STOWAGE_PREBUILD: join(root, name) }
}

/** A library without code that needs `needs` of the library `soname`; the latter is nowhere when the linker is done. */
function library(directory: string, file: string, soname: string, version?: string): void {
  const at = (name: string): string => join(directory, name)
  writeFileSync(at('needed.c'), 'int needed(void) { return 1; }\n')
  writeFileSync(at('needed.map'), `${version ?? 'NONE'} { global: needed; };\n`)
  writeFileSync(at('user.c'), 'int needed(void); int user(void) { return needed(); }\n')
  const versioned = version === undefined ? [] : [`-Wl,--version-script=${at('needed.map')}`]
  const flags = ['-shared', '-fPIC', '-nostdlib']
  execFileSync('gcc', [...flags, `-Wl,-soname,${soname}`, ...versioned, at('needed.c'), '-o', at('needed.so')])
  execFileSync('gcc', [...flags, at('user.c'), '-o', file, at('needed.so')])
}

t.test('what the loader refuses has a hint that names the cause', async t => {
  const root = scratch(t)
  const own = readFileSync(OWN)
  const other = Buffer.from(own)
  other.writeUInt16LE(process.arch === 'arm64' ? 62 : 183, 18) // e_machine
  const cases: readonly (readonly [string, (file: string) => void, RegExp, RegExp])[] = [
    [
      'a newer glibc',
      file => library(root, file, 'libc.so.6', 'GLIBC_2.99'),
      /version `GLIBC_2\.99' not found/,
      /whose glibc is newer \(2\.99\) than this one's\. Build it here: .*npm rebuild stowage/,
    ],
    [
      'a newer libstdc++',
      file => library(root, file, 'libstdc++.so.6', 'GLIBCXX_3.4.99'),
      /version `GLIBCXX_3\.4\.99' not found/,
      /newer compiler than this system's libstdc\+\+ is from \(GLIBCXX_3\.4\.99\)/,
    ],
    [
      'a library that is missing',
      file => library(root, file, 'libstowage-test.so.7'),
      /libstowage-test\.so\.7: cannot open shared object file/,
      /It needs libstowage-test\.so\.7, which is not on this system/,
    ],
    [
      'another processor',
      file => writeFileSync(file, other),
      /cannot open shared object file/,
      /It was built for \w+, and this Node\.js is for \w+\. Take the Node\.js for/,
    ],
    ['a short file', file => writeFileSync(file, own.subarray(0, 40)), /file too short/, /damaged or cut short/],
    // The loader does not notice, and a process that goes on dies of SIGBUS
    [
      'half a file',
      file => writeFileSync(file, own.subarray(0, own.length / 2)),
      /file too short/,
      /damaged or cut short/,
    ],
    ['a text', file => writeFileSync(file, 'text\n'.repeat(99)), /invalid ELF header/, /damaged or cut short/],
  ]
  for (const [name, make, reason, hint] of cases) {
    const { code, stderr } = await stowage(['wim', 'info', SAMPLE], { env: place(root, name, make) })
    t.equal(code, 1, name)
    t.match(stderr, /^stowage: the native addon cannot be loaded: /m, name)
    t.match(stderr, reason, name)
    t.match(stderr, new RegExp(`^hint: .*${hint.source}`, 'm'), name)
    t.match(stderr, /WIM files require it; packing, verifying and loading other images does not\.$/m, name)
    t.notMatch(stderr, /libwim15/, 'which would not help')
  }
})

t.test('a file that the user may not read has a hint that says so', t => {
  const root = scratch(t)
  const env = place(root, 'closed', file => {
    writeFileSync(file, readFileSync(OWN))
    chmodSync(file, 0)
  })
  chmodSync(root, 0o755)
  const words = ['--reuid=65534', '--clear-groups', process.execPath, commandFile(), 'wim', 'info', SAMPLE]
  const { stderr } = spawnSync('setpriv', words, {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '', ...env },
  })
  t.match(stderr, /Permission denied\nhint: This user may not read it/)
  t.end()
})

t.test('a platform without an addon is told which have one', async t => {
  const { code, stderr } = await stowage(['wim', 'info', SAMPLE], { env: place(scratch(t), 'empty') })
  t.equal(code, 1)
  t.match(stderr, /there is no native addon for linux-x64\nhint: The npm package has one for linux-x64; .* build it: /)
  t.match(missingHint(), /npm rebuild stowage/)
})

t.test('loadHint() knows what musl says', t => {
  const root = scratch(t)
  writeFileSync(
    join(root, 'load.c'),
    '#include <dlfcn.h>\n#include <stdio.h>\nint main(int n, char** words) { if (!dlopen(words[1], RTLD_NOW)) puts(dlerror()); }\n',
  )
  execFileSync('musl-gcc', [join(root, 'load.c'), '-o', join(root, 'load')])
  const said = execFileSync(join(root, 'load'), [OWN], { encoding: 'utf8' }).split('\n')[0] ?? ''
  t.match(said, /^Error loading shared library/)
  t.match(loadHint(said, OWN), /C library of this system is musl, for which the npm package has no addon/)
  rmSync(root, { recursive: true })
  t.end()
})
