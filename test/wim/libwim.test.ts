/** libwim is loaded when it is needed: what needs it says what to install, everything else works without it. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { incompressible, text } from '../../fixtures/make/bytes.js'
import { commandOf } from '../../src/wim/install-libwim.js'
import { stowage } from '../support/command.js'
import { shopImage } from '../support/samples.js'
import { writeLayout } from '../support/images.js'
import { moduleFile } from '../support/module-file.js'
import { richWim, wimlib } from '../support/wims.js'
import { digestOf } from '../../src/oci/digest.js'
import { scratch } from '../support/scratch.js'

const ADDON = join(import.meta.dirname, '../../build/Release/stowage.node')
const WIM = join(import.meta.dirname, '../../fixtures/nanoserver-sample.wim')

/** Runs a command with a libwim of its own. */
const withLibwim = async (path: string, args: readonly string[]) =>
  await stowage(args, { env: { STOWAGE_LIBWIM: path } })

t.test('the addon needs no libwim to be loaded', t => {
  const needed = execFileSync('objdump', ['-p', ADDON], { encoding: 'utf8' })
  t.match(needed, /NEEDED +libc\.so/)
  t.notMatch(needed, /NEEDED +libwim/)
  t.notMatch(execFileSync('objdump', ['-T', ADDON], { encoding: 'utf8' }), /UND.*wimlib_/, 'nor any function of it')
  t.end()
})

t.test('without libwim, images are packed, verified and loaded with the addon', async t => {
  const own = t.testdir()
  const layout = join(own, 'layout')
  await writeLayout(layout, { 'shop:2.3': await shopImage() })
  const bundle = join(own, 'bundle')
  for (const args of [
    ['pack', `oci:${layout}`, '-o', bundle],
    ['verify', bundle],
    ['load', bundle, '--to', `oci:${join(own, 'store')}`],
  ]) {
    const { code, stderr } = await withLibwim('/nowhere/libwim.so.15', args)
    t.equal(code, 0, `${args.join(' ')}: ${stderr}`)
  }
})

t.test('without libwim, layers become WIMs, with the bytes that they have with it', async t => {
  const own = scratch(t)
  const tree = join(own, 'tree', 'Files')
  await mkdir(join(tree, 'Windows'), { recursive: true })
  await writeFile(join(tree, 'Windows', 'text.txt'), text('without libwim', 200_000))
  await writeFile(join(tree, 'Windows', 'noise'), incompressible('without libwim', 100_000))
  await copyFile('/bin/bash', join(tree, 'bash.exe'))
  const layer = join(own, 'layer.tar')
  execFileSync('tar', ['-C', join(own, 'tree'), '-cf', layer, 'Files'])
  for (const compression of ['none', 'xpress', 'xpress:20']) {
    const [without, by] = [join(own, 'without.wim'), join(own, 'with.wim')]
    const args = ['layer', 'to-wim', layer, '--image-name', 'shop', '--force', '--compress', compression, '-o']
    const { code, stderr } = await withLibwim('none', [...args, without])
    t.equal(code, 0, stderr)
    t.equal((await stowage([...args, by])).code, 0)
    t.ok((await readFile(without)).equals(await readFile(by)), compression)
    wimlib('verify', without)
    const applied = join(own, compression)
    wimlib('apply', without, '1', applied)
    execFileSync('diff', ['-r', tree, applied])
  }
  const { code, stderr } = await withLibwim('none', ['layer', 'to-wim', layer, '-o', join(own, 'lzx.wim')])
  t.equal(code, 1, 'LZX is the default, and libwim has its compressor')
  t.match(stderr, /^stowage: LZX needs libwim, but libwim is not used, because STOWAGE_LIBWIM is none$/m)
  t.match(stderr, /^hint: Unset it.* XPRESS needs none: --compress xpress\.$/m)
  t.notOk(existsSync(join(own, 'lzx.wim')))
})

t.test('what needs libwim says in one line why it cannot be used, and what to do', async t => {
  const own = t.testdir()
  const old = join(own, 'libwim.so.15')
  await writeFile(join(own, 'old.c'), 'unsigned wimlib_get_version(void) { return 1u << 20 | 12u << 10; }\n')
  execFileSync('cc', ['-shared', '-fPIC', '-o', old, join(own, 'old.c')])
  const other = join(own, 'other.so')
  await writeFile(join(own, 'other.c'), 'int other;\n')
  execFileSync('cc', ['-shared', '-fPIC', '-o', other, join(own, 'other.c')])
  const lacking = join(own, 'lacking.so')
  execFileSync('cc', ['-shared', '-fPIC', '-o', lacking, join(own, 'other.c'), '-Wl,--no-as-needed', other])
  execFileSync('rm', [other])
  const text = join(own, 'text.so')
  await writeFile(text, 'no library\n')
  for (const [path, message, hint] of [
    [
      '/nowhere/libwim.so.15',
      /^stowage: STOWAGE_LIBWIM names \/nowhere\/libwim\.so\.15, which does not exist$/m,
      /Unset it/,
    ],
    ['none', /^stowage: libwim is not used, because STOWAGE_LIBWIM is none$/m, /Unset it/],
    [old, /libwim\.so\.15 is libwim 1\.12\.0, which is too old: 1\.13 or newer is needed$/m, /Install libwim/],
    [text, /^stowage: libwim cannot be loaded: .*text\.so: .*$/m, /made for another system.*Install libwim/],
    [
      lacking,
      /^stowage: libwim cannot be loaded: .*other\.so: cannot open/m,
      /what it needs is missing.*Install libwim/,
    ],
  ] as const) {
    const { code, stderr } = await withLibwim(path, ['wim', 'capture', own, join(own, 'new.wim')])
    t.equal(code, 1, `${path}: ${stderr}`)
    t.match(stderr, message)
    t.match(stderr, hint)
  }
})

/** The document with its blobs by their hashes: their order is libwim's own. */
function inOrder(document: string): string {
  const parsed = JSON.parse(document) as { readonly blobs: { readonly sha1: string }[] }
  parsed.blobs.sort((a, b) => (a.sha1 < b.sha1 ? -1 : 1))
  return JSON.stringify(parsed)
}

t.test('without libwim, WIMs are read, and give the same', async t => {
  const rich = richWim(t)
  const results = []
  for (const libwim of ['none', '']) {
    const cwd = scratch(t)
    const outputs: string[] = []
    for (const args of [
      ['wim', 'info', rich, '--check'],
      ['wim', 'info', rich, '--xml', '--blobs', '--json'],
      ['wim', 'dir', rich, '1', '--detailed'],
      ['wim', 'dir', rich, '1', '--path=/', '--one-file-only', '--json'],
      ['wim', 'verify', rich],
      ['wim', 'extract', WIM, '1', '/Windows/System32/config/SOFTWARE', '--to-stdout'],
      ['layer', 'from-wim', WIM, '-o', 'layer.tar.gz'],
      ['pack', `wim:${WIM}`, '-o', 'bundle'],
      ['install', '--wim', WIM, '--to', 'oci:store'],
    ]) {
      const { code, stdout, stderr } = await stowage(args, { cwd, env: { STOWAGE_LIBWIM: libwim } })
      t.equal(code, 0, `${args.join(' ')}: ${stderr}`)
      outputs.push(args.includes('--blobs') ? inOrder(stdout) : stdout)
    }
    const blobs = (await readdir(join(cwd, 'store/blobs/sha256'))).sort()
    results.push({ outputs, blobs, layer: digestOf(await readFile(join(cwd, 'layer.tar.gz'))) })
  }
  t.strictSame(results[0], results[1])
})

t.test('a libwim beside the addon comes before that of the system', async t => {
  const own = t.testdir()
  await copyFile(ADDON, join(own, 'stowage.node'))
  await writeFile(join(own, 'old.c'), 'unsigned wimlib_get_version(void) { return 1u << 20 | 12u << 10; }\n')
  execFileSync('cc', ['-shared', '-fPIC', '-o', join(own, 'libwim.so.15'), join(own, 'old.c')])
  const code = `try { require(${JSON.stringify(join(own, 'stowage.node'))}).libraryVersion() } catch (error) { console.log(error.message) }`
  const told = execFileSync(process.execPath, ['-e', code], {
    env: { ...process.env, NODE_OPTIONS: '' },
    encoding: 'utf8',
  })
  t.match(told, `${join(own, 'libwim.so.15')} is libwim 1.12.0, which is too old`)
})

t.test('the library says so as well', t => {
  const index = pathToFileURL(moduleFile('src/index')).href
  const code = `
    import { compressorMemory, wimlibVersion } from ${JSON.stringify(index)}
    for (const call of [wimlibVersion, () => compressorMemory(32768, { compression: 'lzx' })]) {
      try { call() } catch (error) { console.log(error.code, error.message) }
    }`
  const loader = `--import=${import.meta.resolve('@tapjs/typescript/import')}`
  const told = execFileSync(process.execPath, [loader, '--input-type=module', '-e', code], {
    env: { ...process.env, NODE_OPTIONS: '', STOWAGE_LIBWIM: '/nowhere/libwim.so.15' },
    encoding: 'utf8',
  })
  t.equal(told, 'LIBWIM_MISSING STOWAGE_LIBWIM names /nowhere/libwim.so.15, which does not exist\n'.repeat(2))
  t.end()
})

t.test('the command that installs libwim is that of the distribution', t => {
  for (const [text, command] of [
    ['ID=debian\n', 'apt-get install libwim15'],
    ['NAME="Linux Mint"\nID=linuxmint\nID_LIKE="ubuntu debian"\n', 'apt-get install libwim15'],
    ['ID="rocky"\nID_LIKE="rhel centos fedora"\n', 'dnf install epel-release, then dnf install wimlib-utils'],
    ['ID=fedora\n', 'dnf install wimlib-utils'],
    ['ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', 'zypper install libwim15'],
    ['ID=plan9\n', undefined],
    ['', undefined],
  ] as const)
    t.equal(commandOf(text), command, text)
  t.end()
})
