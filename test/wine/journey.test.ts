/** WIMs, layers and bundles on Windows, run by Wine: what comes of them is compared with what this machine makes, and with wimlib. */
import { createHash } from 'node:crypto'
import { copyFileSync, lstatSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { PUBLISHED_COMPRESSORS, compressorsText } from '../../src/compressors.js'
import { stowage } from '../support/command.js'
import { npmPackage } from '../support/npm-package.js'
import { scratch } from '../support/scratch.js'
import { onDrive, openWindows, windowsPath, WINDOWS_NODES } from '../support/wine.js'
import { directoryWim, richWim, wimlib } from '../support/wims.js'

const windows = openWindows(t)
const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex')

/** Files below `root` with their contents, directories, and how many names a file has. */
function tree(root: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const name of readdirSync(root, { recursive: true, encoding: 'utf8' }).sort()) {
    const path = join(root, name)
    const about = lstatSync(path)
    if (!about.isSymbolicLink())
      found[name] = about.isDirectory() ? 'directory' : `${sha256(path)} ${about.nlink} ${about.mtimeMs}`
  }
  return found
}

t.test('--version names the compressors that published builds have', async t => {
  const version = await windows.stowage(['--version', '--verbose'])
  t.match(version, { code: 0, stderr: '' })
  t.ok(version.stdout.includes(`\n${compressorsText(PUBLISHED_COMPRESSORS)}`), version.stdout)
})

t.test('a program that is not called node.exe can load the addon', async t => {
  const { here } = onDrive(windows, 'renamed')
  copyFileSync(join(npmPackage(WINDOWS_NODES[20]), 'bin/node.exe'), join(here, 'other.exe'))
  const ended = await windows.program(['C:\\renamed\\other.exe', windows.command, '--version', '-v']).ended
  t.match(ended, { code: 0, stdout: /libdeflate/ }, ended.stderr)
})

t.test('WIMs of every compression are listed, verified and extracted as wimlib does it', async t => {
  for (const form of ['lzx', 'xpress', 'lzms', 'solid'] as const) {
    const wim = richWim(t, form)
    const { here, there } = onDrive(windows, `extracted-${form}`)
    const dir = await windows.stowage(['wim', 'dir', windowsPath(wim), '1'])
    t.equal(dir.code, 0, dir.stderr)
    const own = await stowage(['wim', 'dir', wim, '1'])
    t.equal(dir.stdout, own.stdout, form)
    t.match(await windows.stowage(['wim', 'verify', windowsPath(wim)]), { code: 0 }, form)
    const extracted = await windows.stowage(['wim', 'extract', windowsPath(wim), '1', '/Windows', '--dest-dir', there])
    t.equal(extracted.code, 0, extracted.stderr)
    const judge = scratch(t)
    wimlib('extract', wim, '1', '/Windows', `--dest-dir=${judge}`, '--no-acls')
    t.same(tree(here), tree(judge), form)
  }
})

t.test('names that Windows does not have, or has already, are left out or get others', async t => {
  const names = ['a.txt', 'A.TXT', 'Dir/x', 'dir/y', 'CON', 'aux.txt', 'what?.txt', 'end.', 'ok']
  const wim = directoryWim(t, { files: Object.fromEntries(names.map(name => [name, Buffer.from(name)])) })
  const { here, there } = onDrive(windows, 'names')
  const files = (name: string): string[] => readdirSync(join(here, name), { recursive: true, encoding: 'utf8' }).sort()
  const apply = async (name: string, ...words: readonly string[]) => {
    const applied = await windows.stowage([
      'wim',
      'extract',
      windowsPath(wim),
      '1',
      '--dest-dir',
      `${there}\\${name}`,
      ...words,
    ])
    t.equal(applied.code, 0, applied.stderr)
  }
  await apply('plain')
  const plain = files('plain').map(name => name.toLowerCase())
  t.same(plain.filter(name => !/^dir./.test(name)).sort(), ['a.txt', 'aux.txt', 'con', 'dir', 'ok'])
  t.equal(plain.length, 6, 'with the file of one of the directories')
  await apply('all', '--include-invalid-names')
  t.equal(files('all').length, 11, 'two directories and nine files')
  t.equal(files('all').filter(name => / \(invalid filename #\d\)$/.test(name)).length, 4)
})

t.test('a layer from a WIM, and a WIM from it, have the bytes that they have on this machine', async t => {
  const wim = richWim(t)
  const work = scratch(t)
  const own = (name: string): string => join(work, 'own', name)
  const theirs = (name: string): string => join(work, 'theirs', name)
  for (const made of [own('.'), theirs('.')]) mkdirSync(made)
  for (const compression of ['gzip', 'zstd', 'none']) {
    const words = (from: string, to: string) => ['layer', 'from-wim', from, '-o', to, '--compression', compression]
    const there = await windows.stowage(words(windowsPath(wim), windowsPath(theirs(compression))))
    t.equal(there.code, 0, there.stderr)
    t.equal((await stowage(words(wim, own(compression)))).code, 0)
    t.equal(sha256(theirs(compression)), sha256(own(compression)), compression)
  }
  for (const compression of ['none', 'xpress']) {
    const words = (from: string, to: string) => ['layer', 'to-wim', from, '-o', to, '--compress', compression]
    const name = `${compression}.wim`
    const env = { SOURCE_DATE_EPOCH: '1700000000' }
    const there = await windows.stowage(words(windowsPath(theirs('none')), windowsPath(theirs(name))), { env })
    t.equal(there.code, 0, there.stderr)
    wimlib('verify', theirs(name))
    t.equal((await stowage(words(own('none'), own(name)), { env })).code, 0)
    t.equal(sha256(theirs(name)), sha256(own(name)), compression)
  }
})
