import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, linkSync, lutimesSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { details, field, make, pythonEntries } from '../support/made-layers.js'
import { directoryWim, richWim, wimlib, WIM_FORMS } from '../support/wims.js'
import { exportAs } from '../../fixtures/make/wim.js'

const run = (command: string, args: readonly string[], cwd?: string): string =>
  execFileSync(command, args, { encoding: 'utf8', cwd, stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 28 })

/** Everything that a file system says of a tree, as find and getfattr tell it. Needs root. */
function facts(tree: string): string {
  // No size of directories, which is the file system's own
  const listing = run('find', ['.', '(', '-type', 'd', '-printf', '%p %M %U %G %T@\n', ')', '-o', '-printf', '%p %M %U %G %s %n %l %T@\n'], tree)
  const devices = run('find', ['.', '(', '-type', 'b', '-o', '-type', 'c', ')', '-exec', 'stat', '-c', '%n %t %T', '{}', '+'], tree)
  const attributes = run('sh', ['-c', 'find . | sort | xargs -d "\\n" getfattr -h -d -m - -e hex'], tree)
  const sums = run('sh', ['-c', 'find . -type f | sort | xargs -d "\\n" sha256sum'], tree)
  return [listing.split('\n').sort().join('\n'), devices.split('\n').sort().join('\n'), attributes, sums].join('\n---\n')
}

/** A tree of all that Linux has and a WIM holds. Needs root. */
function makeTree(tree: string): void {
  mkdirSync(join(tree, 'dir/sub'), { recursive: true })
  for (const [name, target] of Object.entries({
    absolute: '/usr/bin/x', relative: '../rel/y', backslash: 'back\\slash', slash: '/', twice: 'a//b/', 'dir/ünï': 'hé/🐋',
  })) symlinkSync(target, join(tree, name))
  for (const name of ['A', 'a', 'c:d', 'ends.', '*?"', 'b\\c', 'dir/sub/f']) writeFileSync(join(tree, name), `content of ${name}`)
  writeFileSync(join(tree, 'empty'), '')
  linkSync(join(tree, 'dir/sub/f'), join(tree, 'linked'))
  run('mkfifo', [join(tree, 'fifo')])
  run('mknod', [join(tree, 'cdev'), 'c', '10', '200'])
  run('mknod', [join(tree, 'bdev'), 'b', '259', '70000'])
  chownSync(join(tree, 'a'), 123_456_789, 3_000_000)
  chmodSync(join(tree, 'a'), 0o4711)
  chmodSync(join(tree, 'dir'), 0o1777)
  run('setfattr', ['-n', 'user.binary', '-v', '0x00ff0a3d', join(tree, 'a')])
  run('setfattr', ['-n', 'user.empty', join(tree, 'a')])
  run('setfattr', ['-n', 'trusted.of', '-v', 'dir', join(tree, 'dir')])
  lutimesSync(join(tree, 'A'), -1.5, -1_000_000_000.25)
  lutimesSync(join(tree, 'relative'), 1e9, 1e9 + 0.125)
}

t.test('writeLayerFromWim() with unixData makes the layer from which GNU tar writes what wimlib-imagex apply writes', async t => {
  const directory = t.testdir({ tree: {}, applied: {}, extracted: {}, peer: {} })
  makeTree(join(directory, 'tree'))
  const wim = join(directory, 'x.wim')
  wimlib('capture', join(directory, 'tree'), wim, 'linux', '--unix-data')
  const layer = join(directory, 'layer.tar.gz')
  const made = await make(wim, layer, { unixData: true })
  t.same(made.warnings, [])
  wimlib('apply', wim, '1', join(directory, 'applied'), '--unix-data')
  const options = ['--xattrs', '--xattrs-include=*', '--numeric-owner', '-p', '--delay-directory-restore']
  t.equal(run('tar', ['xf', layer, '-C', join(directory, 'extracted'), ...options]), '')
  const applied = facts(join(directory, 'applied'))
  t.equal(facts(join(directory, 'extracted')), applied)
  const captured = facts(join(directory, 'tree')).replace(/(\.\d{7})\d{3}$/gm, '$1000')
  t.equal(applied, captured, 'and what was captured, but that a WIM counts in 100 ns')
  const entries = pythonEntries(layer)
  t.equal(entries[0]?.name, '.')
  t.notOk(entries.some(({ pax }) => Object.keys(pax).some(key => key.startsWith('MSWINDOWS') || key.startsWith('LIBARCHIVE'))))
  const read = field(details(wim, 1).get('/A') ?? '', 'Last Access Time') ?? ''
  t.equal(Math.floor(Number(entries.find(({ name }) => name === 'A')?.pax['atime'])), Date.parse(read) / 1000)
  const list = run('bsdtar', ['-tf', layer]).trimEnd().split('\n')
  t.equal(list.length, entries.length)
})

t.test('writeLayerFromWim() with unixData and the order of the tree gives every form one diffID', async t => {
  const directory = t.testdir({ tree: {} })
  makeTree(join(directory, 'tree'))
  const wim = join(directory, 'x.wim')
  wimlib('capture', join(directory, 'tree'), wim, 'linux', '--unix-data')
  const found = new Set<string>()
  for (const form of WIM_FORMS) {
    exportAs(form, wim, join(directory, `${form}.wim`))
    found.add((await make(join(directory, `${form}.wim`), join(directory, 'out'), { unixData: true, order: 'tree', force: true })).diffId)
  }
  t.equal(found.size, 1)
})

t.test('writeLayerFromWim() with unixData refuses what Linux layers have no place for, and warns of owners it does not know', async t => {
  const directory = t.testdir({ tree: {} })
  run('python3', ['-c', 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'], join(directory, 'tree'))
  writeFileSync(join(directory, 'tree', '.wh.x'), '')
  const [wim, output] = [join(directory, 'x.wim'), join(directory, 'layer')]
  wimlib('capture', join(directory, 'tree'), wim, 'linux', '--unix-data')
  await t.rejects(make(wim, output, { unixData: true }), { code: 'LAYER_UNSUPPORTED', message: /\.wh\.x/ })
  run('rm', [join(directory, 'tree', '.wh.x')])
  wimlib('capture', join(directory, 'tree'), wim, 'linux', '--unix-data')
  await t.rejects(make(wim, output, { unixData: true }), { code: 'LAYER_UNSUPPORTED', message: /sock \(a socket\)/ })
  t.same((await make(wim, output, { unixData: true, skipUnsupported: true })).skipped, ['sock (a socket)'])
  t.match((await make(directoryWim(t), output, { unixData: true, force: true })).warnings, [/8 of the entries have no Unix data/])
  await t.rejects(make(wim, output, { unixData: true, lossless: true, force: true }), { code: 'INVALID_ARGUMENT' })
  await t.rejects(make(richWim(t), output, { unixData: true, force: true, image: 1 }), { code: 'LAYER_UNSUPPORTED', message: /alternate data stream/ })
})
