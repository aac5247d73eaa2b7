/** Names that other tools lose: lone surrogates, slashes, case pairs, very long paths, names that Windows reserves. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createWim, openWim, type WimFile } from '../../src/wim/wim-file.js'
import { moduleFile } from '../support/module-file.js'
import { directoryWim, patchMetadata, renameIn, wimlib } from '../support/wims.js'

const HIGH = '\ud800'
/** The same as the file system of Linux has it: WTF-8. */
const HIGH_BYTES = Buffer.from([0xed, 0xa0, 0x80])

async function pathsOf(wim: WimFile, image = 1): Promise<string[]> {
  const paths: string[] = []
  for await (const { path } of wim.entries(image)) paths.push(path)
  return paths
}

async function read(wim: WimFile, path: string): Promise<string> {
  const pieces: Uint8Array[] = []
  for await (const piece of wim.readFile(1, path)) pieces.push(piece)
  return Buffer.concat(pieces).toString()
}

t.test('a lone surrogate goes into a WIM, through every call, and out again', async t => {
  const root = t.testdir({ source: {} })
  const name = Buffer.concat([Buffer.from(`${join(root, 'source')}/`), HIGH_BYTES, Buffer.from('x')])
  writeFileSync(name, 'content')
  const path = join(root, 'x.wim')
  {
    await using wim = await createWim()
    await wim.addImage(join(root, 'source'))
    t.same(await pathsOf(wim), ['/', `/${HIGH}x`], 'captured')
    await wim.update(1, [{ type: 'rename', source: `/${HIGH}x`, target: `/y${HIGH}` }])
    await wim.addTree(1, join(root, 'source', `${HIGH}x`), `/🐋${HIGH}/z`) // a path of the file system that holds one too
    await wim.write(path)
  }
  await using wim = await openWim(path)
  t.same((await pathsOf(wim)).sort(), ['/', `/y${HIGH}`, `/🐋${HIGH}`, `/🐋${HIGH}/z`].sort())
  t.equal(await read(wim, `/y${HIGH}`), 'content')
  await wim.extract(1, join(root, 'out'))
  t.ok(
    readdirSync(join(root, 'out'), { encoding: 'buffer' }).some(found =>
      found.equals(Buffer.concat([Buffer.from('y'), HIGH_BYTES])),
    ),
  )
  await wim.extractPaths(1, [`/🐋${HIGH}/z`], join(root, 'one'))
  t.equal(execFileSync('sh', ['-c', 'cat */z'], { cwd: join(root, 'one'), encoding: 'utf8' }), 'content')
  wimlib('apply', path, join(root, 'theirs'))
  execFileSync('diff', ['-r', join(root, 'out'), join(root, 'theirs')])
})

t.test('a name with a slash is listed whole, and is left out or renamed when it is extracted', async t => {
  const path = directoryWim(t, {
    files: { a_b: Buffer.from('content'), plain: Buffer.from('') },
    args: ['--compress=none'],
  })
  patchMetadata(path, metadata => renameIn(metadata, 'a_b', 'a/b'))
  await using wim = await openWim(path)
  const names: string[] = []
  for await (const { name } of wim.entries()) names.push(name)
  t.same(names.sort(), ['', 'a/b', 'plain'])
  const root = t.testdir({})
  await wim.extract(1, join(root, 'out'))
  t.same(readdirSync(join(root, 'out')), ['plain'])
  await wim.extract(1, join(root, 'all'), { replaceInvalidNames: true })
  t.equal(readdirSync(join(root, 'all')).length, 2)
  t.ok(readdirSync(join(root, 'all')).some(name => readFileSync(join(root, 'all', name), 'utf8') === 'content'))
})

t.test('names that differ in case alone are two files, and --ignore-case finds them as wimlib does', async t => {
  const path = directoryWim(t, {
    files: { 'Name.txt': Buffer.from('upper'), 'name.txt': Buffer.from('lower'), 'Only.txt': Buffer.from('one') },
  })
  await using wim = await openWim(path)
  t.equal(await read(wim, '/Name.txt'), 'upper')
  t.equal(await read(wim, '/name.txt'), 'lower')
  await t.rejects(read(wim, '/only.TXT'), { code: 'FILE_NOT_FOUND' })
  const script = `
    const { setUpWimlib } = await import(${JSON.stringify(moduleFile('src/wim/binding'))})
    const { openWim } = await import(${JSON.stringify(moduleFile('src/wim/wim-file'))})
    setUpWimlib({ ignoreCase: true })
    const wim = await openWim(${JSON.stringify(path)})
    for await (const piece of wim.readFile(1, '/only.TXT')) process.stdout.write(piece)
    try { setUpWimlib({ ignoreCase: false }) } catch (error) { console.log(error.code) }
  `
  const { stdout, stderr } = spawnSync(process.execPath, [...process.execArgv, '--input-type=module', '-e', script], {
    encoding: 'utf8',
  })
  t.equal(stdout, 'oneINVALID_ARGUMENT\n', stderr)
})

t.test('reserved names, dots, blanks and very long paths survive', async t => {
  const root = t.testdir({ source: {} })
  const names = [
    'CON',
    'aux.txt',
    'trailing.',
    'trailing ',
    'a:b',
    'a"b',
    'a|b',
    'a\\b',
    '…',
    'e\u0301',
    '\u00e9',
    ' lead',
    '$MFT',
    'x'.repeat(255),
  ]
  for (const name of names) writeFileSync(join(root, 'source', name), name)
  let deep = join(root, 'source')
  for (let n = 0; n < 15; n += 1) deep = join(deep, `${n}`.padEnd(250, 'd'))
  mkdirSync(deep, { recursive: true })
  execFileSync('sh', ['-c', 'cd "$1" && echo end > file', 'sh', deep])
  const path = join(root, 'x.wim')
  {
    await using wim = await createWim()
    await wim.addImage(join(root, 'source'))
    await wim.write(path)
  }
  await using wim = await openWim(path)
  const found = new Set(await pathsOf(wim))
  for (const name of names) t.ok(found.has(`/${name}`), JSON.stringify(name.slice(0, 20)))
  const longest = [...found].reduce((a, b) => (a.length > b.length ? a : b))
  t.ok(longest.length > 3700 && longest.endsWith('/file'))
  t.equal(await read(wim, longest), 'end\n')
  await wim.extract(1, join(root, 'out'), { replaceInvalidNames: true })
  wimlib('apply', path, join(root, 'theirs'), '--include-invalid-names')
  execFileSync('diff', ['-r', join(root, 'out'), join(root, 'theirs')])
  t.ok(names.filter(name => !name.includes('\\')).every(name => readdirSync(join(root, 'out')).includes(name)))
})
