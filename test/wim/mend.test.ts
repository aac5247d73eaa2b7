/** WIMs in the form that libwim before 1.14.2 writes, which DISM refuses: what Stowage writes has the right one. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  closeSync,
  createWriteStream,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { wimlibVersion } from '../../src/wim/binding.js'
import { joinWims } from '../../src/wim/join.js'
import { createWim, openWim, type WimFile } from '../../src/wim/wim-file.js'
import { stowage } from '../support/command.js'
import { linkData, type MadeFile, makeWim } from '../support/made-wim.js'
import { scratch } from '../support/scratch.js'
import { readStrictWim } from '../support/strict-wim.js'
import { wimlib } from '../support/wims.js'

const [major = 0, minor = 0, patch = 0] = wimlibVersion().split('.').map(Number)
const skip =
  major * 1e6 + minor * 1e3 + patch >= 1_014_002 ? `libwim ${wimlibVersion()} writes the right form itself` : false

const sha1 = (bytes: Uint8Array | string): string => createHash('sha1').update(bytes).digest('hex')
const NONE = '0'.repeat(40)
const LINK = linkData('junction', '\\??\\C:\\dir', 'C:\\dir')
const NOTE = { note: 'a note' }

/** A directory with a stream, a junction, one with both, and what is right in either form. */
const ROOT: readonly MadeFile[] = [
  { name: 'both', attributes: 0x10, reparse: { ...LINK, flags: 0 }, streams: NOTE, unnamedEntry: true },
  {
    name: 'dir',
    unnamedEntry: true,
    streams: NOTE,
    children: [
      { name: 'file', content: 'content', streams: NOTE },
      { name: 'sub', unnamedEntry: true, streams: NOTE, children: [{ name: 'deep', content: 'deep' }] },
    ],
  },
  { name: 'junction', attributes: 0x10, reparse: { ...LINK, flags: 0 }, unnamedEntry: true },
  { name: 'plain', children: [{ name: 'file', content: 'another content' }] },
]

const OLD: Readonly<Record<string, readonly string[]>> = {
  '/both': [NONE, ` ${sha1(LINK.data)}`, ` ${NONE}`, `note ${sha1(NOTE.note)}`],
  '/dir': [NONE, ` ${NONE}`, `note ${sha1(NOTE.note)}`],
  '/dir/sub': [NONE, ` ${NONE}`, `note ${sha1(NOTE.note)}`],
  '/junction': [NONE, ` ${sha1(LINK.data)}`, ` ${NONE}`],
  '/dir/file': [NONE, ` ${sha1('content')}`, `note ${sha1(NOTE.note)}`],
  '/plain': [NONE],
}
const RIGHT: typeof OLD = {
  ...OLD,
  '/both': [NONE, ` ${sha1(LINK.data)}`, `note ${sha1(NOTE.note)}`],
  '/dir': [NONE, `note ${sha1(NOTE.note)}`],
  '/dir/sub': [NONE, `note ${sha1(NOTE.note)}`],
  '/junction': [sha1(LINK.data)],
}

function oldWim(t: Test, images = 1): string {
  const others = Array.from({ length: images - 1 }, (_, n) => ({ name: `image ${n + 2}`, root: ROOT }))
  return makeWim(join(scratch(t), 'old.wim'), { root: ROOT, others })
}

/** That every image of the WIM holds its files in the form `wanted`, as the strict reader and libwim see them. */
function checkForm(t: Test, paths: readonly string[], wanted: typeof OLD, label: string, images = 1): void {
  const wim = readStrictWim(...paths)
  const original = readStrictWim(oldWim(t)).images[0]
  t.equal(wim.images.length, images, `${label}: its images`)
  for (const { stored, files } of wim.images) {
    t.same(Object.fromEntries(Object.keys(OLD).map(path => [path, stored.get(path)])), wanted, label)
    t.strictSame(files, original?.files, `${label}: the files are the same`)
  }
  wimlib('verify', ...paths.slice(0, 1), ...paths.slice(1).map(part => `--ref=${part}`))
}

t.test('export: in every form, two images with the same metadata', { skip }, async t => {
  const forms = [
    ['none', {}],
    ['xpress', { integrityTable: true }],
    ['lzx', { level: 20 }],
    ['lzms', {}],
    ['lzms', { solid: true }],
    ['none', { pipable: true }],
    ['lzx', { pipable: true, integrityTable: true }],
  ] as const
  const source = oldWim(t, 2)
  checkForm(t, [source], OLD, 'made by hand', 2)
  for (const [compression, options] of forms) {
    const path = join(scratch(t), 'exported.wim')
    await using from = await openWim(source)
    await using to = await createWim({ compression })
    await from.exportImage('all', to)
    await to.setInfo({ bootIndex: 2 })
    await to.write(path, options)
    const label = `${compression} ${JSON.stringify(options)}`
    checkForm(t, [path], RIGHT, label, 2)
    t.equal(readStrictWim(path).unused, 0, `${label}: nothing in it belongs to nothing`)
  }
})

t.test('update, rename, delete, append, optimize: all images of the file', { skip }, async t => {
  const change = async (path: string, by: (wim: WimFile) => unknown, rebuild = false): Promise<void> => {
    // Written anew by an older libwim, in its form
    wimlib('update', path, '2', '--command=rename /plain /plane')
    wimlib('update', path, '2', '--command=rename /plane /plain')
    t.same(readStrictWim(path).images[1]?.stored.get('/junction'), OLD['/junction'])
    await using wim = await openWim(path)
    await by(wim)
    await wim.overwrite({ rebuild })
  }
  for (const args of [[], ['--check'], ['--check', '--pipable']]) {
    const label = args.join(' ')
    const path = join(scratch(t), 'x.wim')
    wimlib('export', oldWim(t, 2), 'all', path, ...args)
    checkForm(t, [path], OLD, `${label}: as wimlib-imagex exports it`, 2)
    await change(path, async wim => {
      await wim.renamePath(1, '/plain', '/plane')
      await wim.renamePath(1, '/plane', '/plain')
    })
    checkForm(t, [path], RIGHT, `${label}: updated`, 2)
    await change(path, wim => wim.setName(1, 'renamed'))
    checkForm(t, [path], RIGHT, `${label}: renamed`, 2)
    const tree = scratch(t)
    mkdirSync(join(tree, 'dir'))
    symlinkSync('dir', join(tree, 'link'))
    await change(path, wim => wim.addImage(tree))
    t.equal(readStrictWim(path).images[2]?.stored.get('/link')?.length, 1, 'a link to a directory that was appended')
    await change(path, wim => wim.deleteImage(3))
    checkForm(t, [path], RIGHT, `${label}: deleted`, 2)
    await change(path, () => undefined, true)
    checkForm(t, [path], RIGHT, `${label}: optimized`, 2)
    t.equal(readStrictWim(path).unused, 0, 'nothing in it belongs to nothing')
  }
})

t.test('append: what the file had before is not written over', { skip }, async t => {
  const path = join(scratch(t), 'x.wim')
  wimlib('export', oldWim(t), '1', path, '--check')
  const before = readFileSync(path)
  {
    await using wim = await openWim(path)
    await wim.update(1, [{ type: 'rename', source: '/plain', target: '/plane' }])
    await wim.overwrite()
  }
  const after = readFileSync(path)
  t.ok(after.subarray(208, before.length).equals(before.subarray(208)), 'those who read it meanwhile can go on')
  t.same(readStrictWim(path).images[0]?.stored.get('/junction'), RIGHT['/junction'])
})

t.test('split, join', { skip }, async t => {
  const source = oldWim(t)
  const parts = [join(scratch(t), 'x.swm')]
  {
    await using wim = await openWim(source)
    await wim.split(parts[0] as string, 1, {
      partName: ({ path, number }) => {
        if (number > 1) parts.push(path)
        return path
      },
    })
  }
  t.ok(parts.length > 2, 'several parts')
  checkForm(t, parts, RIGHT, 'split')

  const directory = scratch(t)
  wimlib('split', source, join(directory, 'old.swm'), '1')
  const joined = join(directory, 'joined.wim')
  await joinWims(
    readdirSync(directory).map(part => join(directory, part)),
    joined,
  )
  checkForm(t, [joined], RIGHT, 'joined')
})

t.test('a stream, a descriptor', { skip }, async t => {
  const source = oldWim(t)
  const directory = scratch(t)
  {
    await using wim = await openWim(source)
    await wim.write(createWriteStream(join(directory, 'stream.wim')), { pipable: true })
    for (const pipable of [false, true]) {
      const fd = openSync(join(directory, `descriptor-${pipable}.wim`), 'w+')
      await wim.write({ fd }, { pipable, integrityTable: true })
      closeSync(fd)
    }
  }
  for (const name of ['stream.wim', 'descriptor-false.wim', 'descriptor-true.wim'])
    checkForm(t, [join(directory, name)], RIGHT, name)
  const target = join(directory, 'target')
  execFileSync('sh', ['-c', 'wimlib-imagex apply - 1 "$1" < "$0"', join(directory, 'stream.wim'), target], {
    stdio: 'ignore',
  })
  t.equal(readFileSync(join(target, 'dir/sub/deep'), 'utf8'), 'deep', 'wimlib-imagex applies it from a pipe')

  const refused = await stowage(['wim', 'export', source, '1', '-', '--no-pipable'], { deaf: true })
  t.not(refused.code, 0)
})

t.test('capture: an NTFS volume, and a directory with links to directories', { skip }, async t => {
  const directory = scratch(t)
  const volume = join(directory, 'volume')
  writeFileSync(volume, '')
  execFileSync('truncate', ['-s', '8M', volume])
  execFileSync('mkntfs', ['-q', '-F', volume], { stdio: 'ignore' })
  wimlib('apply', oldWim(t), '1', volume)
  const path = join(directory, 'captured.wim')
  {
    const { code, stderr } = await stowage(['wim', 'capture', volume, path, '--check', '--no-acls'])
    t.equal(code, 0, stderr)
  }
  const { images, unused } = readStrictWim(path)
  const form = Object.fromEntries(Object.keys(RIGHT).map(name => [name, images[0]?.stored.get(name)]))
  t.same(form, RIGHT)
  t.equal(unused, 0, 'nothing in it belongs to nothing')

  const tree = join(directory, 'tree')
  mkdirSync(join(tree, 'dir'), { recursive: true })
  symlinkSync('dir', join(tree, 'link'))
  {
    await using wim = await createWim()
    await wim.addImage(tree)
    await wim.write(path)
  }
  t.equal(readStrictWim(path).images[0]?.stored.get('/link')?.length, 1, 'its reparse data is in the entry itself')
  wimlib('apply', path, '1', join(directory, 'applied'))
  t.equal(readlinkSync(join(directory, 'applied', 'link')), 'dir')
})

t.test('metadata that is damaged stays damaged', { skip }, async t => {
  const source = oldWim(t)
  const bytes = readFileSync(source)
  bytes.writeUInt8(bytes.readUInt8(bytes.readUIntLE(56, 6) + 30) ^ 1, bytes.readUIntLE(56, 6) + 30) // the hash it should have
  writeFileSync(source, bytes)
  const path = join(scratch(t), 'renamed.wim')
  writeFileSync(path, bytes)
  {
    await using wim = await openWim(path)
    await wim.setInfo({ rpfix: true })
    await wim.overwrite()
  }
  t.throws(() => readStrictWim(path), { message: /hash|SHA-1|metadata/i })
})

t.test('libwim 1.14.2 and later: nothing is changed', { skip }, async t => {
  // A fake: this libwim, but for the version that it tells. No other is on a machine that runs these tests
  const directory = scratch(t)
  const [source, fake] = [join(directory, 'fake.c'), join(directory, 'libwim.so')]
  for (const [version, wanted] of [
    [(1 << 20) | (14 << 10) | 2, OLD],
    [(1 << 20) | (14 << 10) | 1, RIGHT],
  ] as const) {
    writeFileSync(source, `unsigned wimlib_get_version(void) { return ${version}; }\n`)
    execFileSync('cc', ['-shared', '-fPIC', '-Wl,--no-as-needed', '-o', fake, source, '-l:libwim.so.15'])
    const path = join(directory, `exported-${version}.wim`)
    const exported = await stowage(['wim', 'export', oldWim(t), '1', path], { env: { STOWAGE_LIBWIM: fake } })
    t.equal(exported.code, 0, exported.stderr)
    checkForm(t, [path], wanted, `version ${version}`)
  }
})
