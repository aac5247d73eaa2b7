/** Extraction by our own readers makes the files that wimlib-imagex makes. */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { incompressible, text } from '../../fixtures/make/bytes.js'
import { StowageError } from '../../src/errors.js'
import type { ExtractPathsOptions } from '../../src/wim/options.js'
import type { WimProgress } from '../../src/wim/progress.js'
import { openWim, type WimFile } from '../../src/wim/wim-file.js'
import {
  craftWim,
  DIRECTORY,
  directory,
  file,
  MOUNT_POINT,
  REPARSE_POINT,
  SYMLINK,
  symlink,
} from '../fuzz/crafted-wim.js'
import { mount } from '../support/medium.js'
import { extractPlain, type PlainExtractionOptions } from '../support/plain-extraction.js'
import { scratch } from '../support/scratch.js'
import { imagex, sampleTree } from '../support/wim-compare.js'
import { corruptBlob, directoryWim, richWim, splitWim, wimlib } from '../support/wims.js'

const SAMPLE = join(import.meta.dirname, '../../fixtures/nanoserver-sample.wim')
const ENCRYPTED = 0x4000

/** Kind, mode, owner, times, target of a link, content, and which names are of one file. */
function treeOf(target: string): readonly string[] {
  const firstOf = new Map<bigint, string>()
  const paths = execFileSync('find', ['.', '-printf', '%P\\0'], { cwd: target, encoding: 'latin1' })
    .split('\0')
    .slice(0, -1)
    .sort()
  const found = paths.map(path => {
    const full = Buffer.from(`${Buffer.from(target).toString('latin1')}/${path}`, 'latin1')
    const { mode, uid, gid, rdev, nlink, ino, mtimeNs, atimeNs } = lstatSync(full, { bigint: true })
    const kind = Number(mode) & 0o170000
    if (!firstOf.has(ino)) firstOf.set(ino, path)
    // Listing a directory changes its time of access
    const same = kind === 0o040000 ? '' : `${atimeNs} ${nlink} ${firstOf.get(ino)}`
    return { path, full, kind, facts: `${mode.toString(8)} ${uid} ${gid} ${rdev} ${mtimeNs} ${same}` }
  })
  // Read only after that, because it changes times of access
  return found.map(({ path, full, kind, facts }) => {
    const link = kind === 0o120000 ? readlinkSync(full, 'latin1').replace(target, 'TARGET') : ''
    const content = kind === 0o100000 ? createHash('sha1').update(readFileSync(full)).digest('hex') : ''
    return `${path} ${facts} ${link} ${content}`
  })
}

interface Compared extends Omit<PlainExtractionOptions, 'paths'> {
  readonly image?: number | 'all'
  readonly paths?: readonly string[]
  /** The options as wimlib-imagex has them. */
  readonly args?: readonly string[]
  readonly refs?: readonly string[]
}

/** The error of ours, if there is one, after both have extracted and made the same. */
async function compare(t: Test, wimPath: string, what: string, given: Compared = {}) {
  const { image = 1, paths, args = [], refs = [], ...options } = given
  const [ours, theirs] = [join(scratch(t), 'target'), join(scratch(t), 'target')]
  let error: unknown
  try {
    await using wim = await openWim(wimPath)
    if (refs.length > 0) await wim.referenceFiles(refs)
    await extractPlain(wim, image, ours, { ...options, paths })
  } catch (thrown) {
    error = thrown
  }
  const words = paths
    ? ['extract', wimPath, String(image), ...paths, `--dest-dir=${theirs}`]
    : ['apply', wimPath, String(image), theirs]
  const { code, stderr } = imagex([...words, ...refs.map(ref => `--ref=${ref}`), ...args])
  t.equal(error === undefined, code === 0, `${what}: both succeed or fail: ${String(error)} ${stderr}`)
  t.equal(existsSync(ours), existsSync(theirs), `${what}: both make the target, or none`)
  if (error !== undefined || !existsSync(theirs)) return error
  // A target that stands for no directory of the image has the time at which it was made
  const first = image === 'all' || options.preserveDirStructure === false ? 1 : 0
  t.same(treeOf(ours).slice(first), treeOf(theirs).slice(first), `${what}: the same files`)
  return error
}

t.test('the trees of samples are those that wimlib-imagex makes', async t => {
  await compare(t, SAMPLE, 'the sample')
  await compare(t, SAMPLE, 'all its images', { image: 'all' })
  for (const form of ['lzx', 'solid', 'pipable'] as const) await compare(t, richWim(t, form), form)
  const parts = splitWim(t)
  await compare(t, parts[0] ?? '', 'a split WIM', { refs: parts.slice(1) })
  await compare(t, richWim(t, 'lzx'), 'with UNIX data asked for', { unixData: true, args: ['--unix-data'] })
})

t.test('a tree of Linux comes back with its links, names, times, modes, owners and special files', async t => {
  const tree = join(scratch(t), 'tree')
  sampleTree(tree)
  execFileSync('setfattr', ['-x', 'user.note', join(tree, 'bin/tool')])
  execFileSync('chmod', ['6711', join(tree, 'bin/tool')])
  execFileSync('chown', ['1234:5678', join(tree, 'bin/tool'), join(tree, 'hollow')])
  execFileSync('chown', ['-h', '1234:5678', join(tree, 'data/relative')])
  execFileSync('mknod', [join(tree, 'device'), 'c', '7', '9'])
  const [plain, unix] = [join(scratch(t), 'plain.wim'), join(scratch(t), 'unix.wim')]
  wimlib('capture', tree, plain)
  wimlib('capture', tree, unix, '--unix-data', '--compress=XPRESS')
  await compare(t, plain, 'plain')
  await compare(t, plain, 'links as they are', { rpfix: false, args: ['--norpfix'] })
  await compare(t, unix, 'UNIX data that is not wanted')
  await compare(t, unix, 'UNIX data', { unixData: true, args: ['--unix-data'] })
})

t.test('extended attributes are left out, or refused where they are asked for', async t => {
  const tree = join(scratch(t), 'tree')
  sampleTree(tree)
  const path = join(scratch(t), 'x.wim')
  wimlib('capture', tree, path, '--unix-data')
  await using wim = await openWim(path)
  await extractPlain(wim, 1, join(scratch(t), 'without'))
  const refused = extractPlain(wim, 1, join(scratch(t), 'with'), { unixData: true })
  await t.rejects(refused, { code: 'LIBWIM_MISSING', message: /^\/bin\/tool has extended attributes/ })
})

t.test('a delta WIM is extracted with its base, and without it nothing is written', async t => {
  const [base, tree] = [directoryWim(t), join(scratch(t), 'tree')]
  wimlib('apply', base, '1', tree)
  writeFileSync(join(tree, 'new'), text('new', 5000))
  const delta = join(scratch(t), 'delta.wim')
  wimlib('capture', tree, delta, `--delta-from=${base}`)
  await compare(t, delta, 'with its base', { refs: [base] })
  const target = join(scratch(t), 'target')
  await using wim = await openWim(delta)
  await t.rejects(extractPlain(wim, 1, target), { code: 'BLOB_MISSING', message: /the content of \/docs\// })
  t.notOk(existsSync(target), 'and nothing is written')
})

const PATTERNS = [
  '/docs',
  'docs/',
  '//docs//deep',
  'docs\\deep',
  '/*',
  '*',
  '/**',
  '/?ink*',
  '/d*/*.txt',
  '/*/*/*',
  '/docs/deep/ünï*',
]
PATTERNS.push(
  '/docs/deep/?n?code*',
  '/docs/deep/??n*',
  '',
  '/',
  '/docs/.',
  '/docs/../link.txt',
  '/DOCS',
  '/[d]ocs',
  '/no*',
  '/link.txt/x',
)

t.test('paths and patterns are those of wimlib-imagex', async t => {
  const wim = directoryWim(t)
  const flat = { rpfix: false, preserveDirStructure: false }
  for (const path of PATTERNS) {
    const [glob, literal] = [{ glob: true, strictGlob: true }, { args: ['--no-globs'] }]
    await compare(t, wim, `pattern ${path}`, { paths: [path], ...flat, ...glob })
    await compare(t, wim, `path ${path}`, { paths: [path], ...flat, ...literal })
  }
  const keep = '--preserve-dir-structure'
  await compare(t, wim, 'with its directories', { paths: ['/docs/deep'], rpfix: false, args: ['--no-globs', keep] })
  await compare(t, wim, 'several', { paths: ['/docs/deep', '/link.txt', '/docs/text.txt'], ...flat })
  await compare(t, wim, 'one in another', { paths: ['/docs', '/docs/text.txt'], ...flat })
  await compare(t, wim, 'several with their directories', { paths: ['/docs/deep/*', '/l*'], glob: true, args: [keep] })
  await compare(t, wim, 'no match', { paths: ['/no*'], glob: true, ...flat, args: ['--nullglob'] })
})

t.test('a list of paths is read as libwim reads it', async t => {
  const wimPath = directoryWim(t)
  await using wim = await openWim(wimPath)
  const lines = ['# a comment', '; another', '', '  /docs/text.txt \t', '"/link.txt"', "'/empty'\r"]
  const bytes = {
    'UTF-8': Buffer.from(lines.join('\n')),
    'UTF-8 with a mark': Buffer.from(`\ufeff${lines.join('\n')}`),
    'UTF-16LE': Buffer.from(`\ufeff${lines.join('\n')}`, 'utf16le'),
  }
  for (const [what, content] of Object.entries(bytes)) {
    const [list, ours, theirs] = [join(scratch(t), 'list'), join(scratch(t), 'ours'), join(scratch(t), 'theirs')]
    writeFileSync(list, content)
    await extractPlain(wim, 1, ours, { list })
    await wim.extractPathList(1, list, theirs)
    t.same(treeOf(ours), treeOf(theirs), what)
  }
})

t.test('what files of UNIX cannot hold is left out, or refused where it is asked for', async t => {
  const path = join(scratch(t), 'x.wim')
  const secret = directory('secrets', [file('inside')])
  craftWim(path, [
    {
      tree: [
        { ...file('streams'), streams: [{ name: 'more', content: Buffer.from('more') }] },
        { ...file('encrypted'), attributes: 0x20 | ENCRYPTED },
        { ...secret, attributes: DIRECTORY | ENCRYPTED },
        { name: 'other', attributes: REPARSE_POINT, reparseTag: 0x80000017, content: Buffer.from('data') },
        { name: 'other-dir', attributes: REPARSE_POINT | DIRECTORY, reparseTag: 0x9000001a, content: Buffer.from('d') },
        { name: 'no-data', attributes: REPARSE_POINT, reparseTag: SYMLINK },
      ],
    },
  ])
  await compare(t, path, 'left out')
  for (const options of [
    { acls: 'strict' },
    { strictShortNames: true },
    { strictSymlinks: true },
    { acls: 'none' },
  ] as const) {
    const both = await Promise.all(
      [richWim(t, 'lzx'), path].map(async wimPath => {
        await using wim = await openWim(wimPath)
        const code = async (extracted: Promise<void>) =>
          extracted.then(
            () => 'none',
            error => (error as StowageError).code,
          )
        const [ours, theirs] = [join(scratch(t), 'ours'), join(scratch(t), 'theirs')]
        return [await code(extractPlain(wim, 1, ours, options)), await code(wim.extract(1, theirs, options))]
      }),
    )
    for (const [ours, theirs] of both) t.equal(ours, theirs, `${JSON.stringify(options)}: ${theirs}`)
  }
})

t.test('links of Windows become those that wimlib-imagex makes', async t => {
  const names = [
    'a\\b',
    '..\\x',
    '\\',
    'C:\\x',
    '\\??\\C:\\x',
    '\\??\\C:',
    '\\??\\C:x',
    '\\??\\\\x',
    '\\??\\',
    '',
    '/a',
    'a\0b',
  ]
  names.push(
    '\\??\\Volume{1-2}\\x',
    '\\??\\UNC\\s\\x',
    '\\\\?\\C:\\x',
    '\\??\\C:/x',
    '\\DosDevices\\C:\\x',
    '\\Device\\x',
  )
  names.push('\\??\\C:\\\\x', '\\??\\CC:\\x', '\ud800', '\\??', 'x\\', '\\dosdevices\\c:\\x', '\\Device\\a\\b\\c')
  const data = (name: string, flags: number | undefined): Buffer => {
    const head = Buffer.alloc(flags === undefined ? 8 : 12)
    head.writeUInt16LE(name.length * 2, 2)
    if (flags !== undefined) head.writeUInt32LE(flags, 8)
    return Buffer.concat([head, Buffer.from(name, 'utf16le')])
  }
  const [junction, link] = [REPARSE_POINT | DIRECTORY, REPARSE_POINT]
  const tree = names.flatMap((name, n) => [
    { name: `junction ${n}`, attributes: junction, reparseTag: MOUNT_POINT, content: data(name, undefined) },
    { name: `absolute ${n}`, attributes: link, reparseTag: SYMLINK, content: data(name, 0) },
    { name: `relative ${n}`, attributes: link, reparseTag: SYMLINK, content: data(name, 1) },
  ])
  const path = join(scratch(t), 'x.wim')
  craftWim(path, [{ tree }])
  await compare(t, path, 'as they are', { rpfix: false, args: ['--norpfix'] })
  await compare(t, path, 'fixed', { rpfix: true, args: ['--rpfix'] })
  const broken = { short: Buffer.alloc(11), odd: data('x', 0), past: data('x', 0), large: Buffer.alloc(16377) }
  broken.odd.writeUInt16LE(1, 0)
  broken.past.writeUInt16LE(4, 2)
  for (const [what, content] of Object.entries(broken)) {
    craftWim(path, [{ tree: [symlink('l', '', { content })] }])
    t.match(await compare(t, path, what), { code: 'WIM_CORRUPT', message: /\/l: its reparse data/ }, what)
  }
})

t.test('a damaged blob is WIM_CORRUPT naming its file, of which nothing is left', async t => {
  for (const form of ['--compress=none', '--compress=LZX', '--solid']) {
    const big = incompressible('big', 3_000_000)
    const path = directoryWim(t, {
      files: { 'dir/big': big, 'dir/copy': big, small: text('small', 3000) },
      args: [form],
    })
    corruptBlob(path)
    const target = join(scratch(t), 'target')
    await using wim = await openWim(path)
    const sha1 = createHash('sha1').update(big).digest('hex')
    const error = await extractPlain(wim, 1, target).catch((error: unknown) => error as StowageError)
    t.match(error, { code: 'WIM_CORRUPT', message: /it is the content of \/dir\/(big|copy)$/ }, form)
    if (form === '--compress=none') t.match(String(error), sha1, 'and the blob')
    t.same(readdirSync(join(target, 'dir')), [], `${form}: neither name is left`)
  }
})

t.test('an abort is ABORTED, and leaves whole files only', async t => {
  const files = Object.fromEntries(
    Array.from({ length: 40 }, (_, n) => [`file ${n}`, incompressible(`f${n}`, 500_000)]),
  )
  const path = directoryWim(t, { files })
  const target = join(scratch(t), 'target')
  await using wim = await openWim(path)
  const stop = new AbortController()
  const onProgress = ({ type }: WimProgress): void => {
    if (type === 'extract-streams') stop.abort()
  }
  await t.rejects(extractPlain(wim, 1, target, { signal: stop.signal, onProgress }), { code: 'ABORTED' })
  const left = readdirSync(target)
  t.ok(left.length < 40, `${left.length} of 40 files`)
  for (const name of left) t.ok(files[name]?.equals(readFileSync(join(target, name))), `${name} is whole`)
})

t.test('the events are those of libwim', async t => {
  const path = directoryWim(t)
  const eventsOf = async (run: (wim: WimFile, options: ExtractPathsOptions, target: string) => Promise<void>) => {
    const last = new Map<string, WimProgress>()
    await using wim = await openWim(path)
    await run(
      wim,
      { onProgress: event => last.set(event.type, { ...event, target: '' } as WimProgress) },
      join(scratch(t), 'x'),
    )
    return [...last.values()]
  }
  const paths = ['/docs/text.txt', '/link.txt', '/empty']
  t.same(
    await eventsOf((wim, options, target) => extractPlain(wim, 1, target, options)),
    await eventsOf((wim, options, target) => wim.extract(1, target, options)),
    'of an image',
  )
  t.same(
    await eventsOf((wim, options, target) => extractPlain(wim, 1, target, { ...options, paths })),
    await eventsOf((wim, options, target) => wim.extractPaths(1, paths, target, options)),
    'of paths',
  )
})

t.test('what the system refuses has the code that it has with libwim, and names the file', async t => {
  const path = directoryWim(t)
  const root = scratch(t)
  writeFileSync(join(root, 'file'), '')
  mkdirSync(join(root, 'blocked/docs/text.txt'), { recursive: true })
  await using wim = await openWim(path)
  for (const [image, name] of [
    [1, 'no/such/parent'],
    [1, 'file'],
    ['all', 'no/such/parent'],
    [7, 'x'],
    [1, 'blocked'],
  ] as const) {
    const target = join(root, name)
    const [ours, theirs] = await Promise.all(
      [extractPlain(wim, image, target), wim.extract(image, target)].map(run =>
        run.catch((error: unknown) => error as StowageError),
      ),
    )
    t.equal(ours?.code, theirs?.code, `${name}: ${String(ours)}`)
    if (image !== 7) t.match(ours?.message, target, `${name} is named`)
  }
  const same = directoryWim(t, { files: { 'a/same': Buffer.from('1'), 'b/same': Buffer.from('1') } })
  await compare(t, same, 'two files that come to one place', {
    paths: ['/a/same', '/b/same'],
    preserveDirStructure: false,
    rpfix: false,
  })
})

t.test('a full disk is an error naming the file, of which nothing is left', async t => {
  const medium = await mount(t, 'tmpfs', 1 << 20)
  const path = directoryWim(t, { files: { small: text('small', 1000), big: incompressible('big', 3_000_000) } })
  await using wim = await openWim(path)
  const refused = extractPlain(wim, 1, join(medium, 'target'))
  await t.rejects(refused, { code: 'NO_SPACE', message: /write .*\/target\/big/ })
  t.notOk(existsSync(join(medium, 'target/big')))
})

t.test('files that are there are replaced, and the target may be a link to a directory', async t => {
  const path = directoryWim(t)
  const root = scratch(t)
  mkdirSync(join(root, 'target'))
  writeFileSync(join(root, 'target/link.txt'), 'old', { mode: 0o600 })
  writeFileSync(join(root, 'target/other'), 'stays')
  spawnSync('ln', ['-s', 'target', join(root, 'way')])
  await using wim = await openWim(path)
  await extractPlain(wim, 1, join(root, 'way'))
  t.equal(statSync(join(root, 'target/link.txt')).size, 100_000)
  t.equal(readFileSync(join(root, 'target/other'), 'utf8'), 'stays')
})
