import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { imagex, sampleTree, stowageWim, type TreeOptions, treeState } from '../../support/wim-compare.js'
import { corruptBlob, richWim, splitWim } from '../../support/wims.js'

const cwd = t.testdir({ tree: {} })
sampleTree(join(cwd, 'tree'))
imagex(['capture', 'tree', 'tree.wim', 'one', '--unix-data', '--check'], { cwd })
imagex(['append', 'tree', 'tree.wim', 'two', '--norpfix'], { cwd })
imagex(['capture', 'tree', 'pipe.wim', 'piped', '--pipable'], { cwd })
imagex(['append', 'tree', 'pipe.wim', 'again'], { cwd })

/** Runs both programs into `theirs` and `ours`, made afresh, and compares what they leave there. */
async function same(
  t: Test,
  words: (target: string) => readonly string[],
  { input, ...tree }: { readonly input?: Uint8Array } & TreeOptions = {},
): Promise<void> {
  for (const name of ['theirs', 'ours']) rmSync(join(cwd, name), { recursive: true, force: true })
  const options = input ? { cwd, input } : { cwd }
  const theirs = imagex(words('theirs'), options)
  const ours = await stowageWim(words('ours'), options)
  t.equal(ours.code === 0, theirs.code === 0, `${words('ours').join(' ')}: ${ours.stderr}${theirs.stderr}`)
  t.equal(existsSync(join(cwd, 'ours')), existsSync(join(cwd, 'theirs')))
  if (!existsSync(join(cwd, 'theirs'))) return
  t.same(treeState(join(cwd, 'ours'), tree), treeState(join(cwd, 'theirs'), tree), words('ours').join(' '))
}

t.test('wim apply - extracts what wimlib-imagex extracts, with content, modes, times and attributes', async t => {
  await same(t, target => ['apply', 'tree.wim', '1', target, '--unix-data', '--check'])
  await same(t, target => ['apply', 'tree.wim', 'two', target, '--norpfix'])
  await same(t, target => ['apply', 'tree.wim', 'all', target, '--no-attributes', '--no-acls'], {
    directoryTimes: false,
  })
  const rich = richWim(t, 'solid')
  await same(t, target => ['apply', rich, '1', target, '--rpfix', '--include-invalid-names', '--strict-acls'])
  await same(t, target => ['apply', 'tree.wim', target])
})

t.test('wim apply - reads a pipable WIM from stdin', async t => {
  const input = readFileSync(join(cwd, 'pipe.wim'))
  await same(t, target => ['apply', '-', 'again', target], { input })
  await same(t, target => ['apply', '-', '9', target], { input })
  const usual = await stowageWim(['apply', '-', '1', 'ours'], { cwd, input: readFileSync(join(cwd, 'tree.wim')) })
  t.not(usual.code, 0)
  t.match(usual.stderr, /pipable/)
})

t.test('wim apply - finds the parts of a split WIM, with and without --ref', async t => {
  const [first = '', second = ''] = splitWim(t)
  for (const name of ['theirs', 'ours', 'parts']) rmSync(join(cwd, name), { recursive: true, force: true })
  imagex(['apply', first, '2', 'theirs', `--ref=${first.replace('.swm', '*.swm')}`], { cwd })
  t.equal((await stowageWim(['apply', second, '2', 'ours'], { cwd })).code, 0)
  t.same(treeState(join(cwd, 'ours')), treeState(join(cwd, 'theirs')))
  rmSync(join(cwd, 'ours'), { recursive: true })
  const both = await stowageWim(['apply', first, '2', 'ours', '--ref', first.replace('.swm', '*.swm')], { cwd })
  t.equal(both.code, 0, both.stderr)
  t.same(treeState(join(cwd, 'ours')), treeState(join(cwd, 'theirs')))
  for (const nothing of ['nothing*.swm', 'nowhere/*.swm', `${first}/*.swm`]) {
    const none = await stowageWim(['apply', first, '2', 'ours', `--ref=${nothing}`], { cwd })
    t.equal(none.code, 3, none.stderr)
    t.match(none.stderr, `no file matches ${nothing}`)
  }
})

t.test('wim apply - extracts damaged files only where it is told to', async t => {
  copyFileSync(join(cwd, 'tree.wim'), join(cwd, 'damaged.wim'))
  corruptBlob(join(cwd, 'damaged.wim'))
  const failed = await stowageWim(['apply', 'damaged.wim', '1', 'ours-damaged'], { cwd })
  t.equal(failed.code, 4, failed.stderr)
  await same(t, target => ['apply', 'damaged.wim', '1', target, '--recover-data'])
})

t.test('wim apply - fills an NTFS volume as wimlib-imagex does', async t => {
  const rich = richWim(t)
  for (const [name, run] of [
    ['theirs', imagex],
    ['ours', stowageWim],
  ] as const) {
    const volume = join(cwd, `${name}.ntfs`)
    execFileSync('truncate', ['-s', '64M', volume])
    execFileSync('mkntfs', ['-q', '-F', volume], {
      stdio: 'ignore',
      env: { ...process.env, PATH: `${process.env['PATH']}:/sbin:/usr/sbin` },
    })
    const result = await run(['apply', rich, '1', volume], { cwd })
    t.equal(result.code, 0, result.stderr)
    imagex(['capture', volume, `${name}-volume.wim`, 'volume'], { cwd })
  }
  const detailed = (name: string): string =>
    String(imagex(['dir', `${name}-volume.wim`, '1', '--detailed'], { cwd }).stdout).replace(
      /^(?:Link Group ID|Last Access Time|Creation Time|Offset in WIM) .*\n/gm,
      '',
    )
  t.equal(detailed('ours'), detailed('theirs'))
  t.match(detailed('ours'), /Named data stream/)
  await stowageWim(['capture', 'ours.ntfs', 'by-us.wim', 'volume'], { cwd })
  t.equal(
    detailed('ours').length,
    String(imagex(['dir', 'by-us.wim', '1', '--detailed'], { cwd }).stdout).replace(
      /^(?:Link Group ID|Last Access Time|Creation Time|Offset in WIM) .*\n/gm,
      '',
    ).length,
    'and captures it too',
  )
})

t.test('wim apply - says what is wrong', async t => {
  const wrong: readonly (readonly [words: readonly string[], code: number, message: RegExp])[] = [
    [['tree.wim', 'where'], 2, /holds 2 images: name one/],
    [['tree.wim', '7', 'where'], 3, /has no image "7"/],
    [['none.wim', '1', 'where'], 3, /none\.wim does not exist/],
    [['tree/readme.txt', '1', 'where'], 4, /WIM/],
    [['tree.wim', '1', 'where', '--compact=zip'], 2, /--compact: "zip" is not a valid value/],
    [['tree.wim', '1', 'where', '--compact=lzx'], 1, /Windows|support/i],
    [['tree.wim', '1', 'tree/readme.txt'], 1, /readme\.txt|NTFS/],
    [['tree.wim'], 2, /TARGET is missing: expected stowage wim apply WIMFILE \[IMAGE\] TARGET/],
  ]
  for (const [words, code, message] of wrong) {
    const result = await stowageWim(['apply', ...words], { cwd })
    t.equal(result.code, code, `${words.join(' ')}: ${result.stderr}`)
    t.match(result.stderr, message)
  }
})

t.test('wim extract - extracts paths, patterns and lists as wimlib-imagex does', async t => {
  writeFileSync(join(cwd, 'list.txt'), '; a list\n# of paths\n  \\data\\deep\n"/names/Case"\n/bin/*\n')
  writeFileSync(join(cwd, 'wide.txt'), Buffer.from('\ufeff/names/ünïcode*\n', 'utf16le'))
  const cases: readonly (readonly string[])[] = [
    [],
    ['/data/deep', 'bin/tool', '--unix-data'],
    ['/data/deep/er', '/names/*s*', '--preserve-dir-structure'],
    ['@list.txt'],
    ['@list.txt', '@wide.txt', '/empty'],
    ['/nothing*'],
    ['/nothing*', '--nullglob'],
    ['/names/brackets[1]*?', '--no-globs'],
    ['/names/bracket*', '--no-wildcards'],
    ['/NAMES/CASE'],
    ['/data/inside', '/data/outside'],
  ]
  for (const words of cases)
    await same(t, target => ['extract', 'tree.wim', '1', ...words, `--dest-dir=${target}`], { directoryTimes: false })
  await same(t, target => ['extract', 'tree.wim', '1', '@-', `--dest-dir=${target}`], {
    input: Buffer.from('/bin\n'),
    directoryTimes: false,
  })
  mkdirSync(join(cwd, 'here'))
  await stowageWim(['extract', '../tree.wim', '1', '/empty'], { cwd: join(cwd, 'here') })
  t.same(readdirSync(join(cwd, 'here')), ['empty'], 'to the current directory, when no other is named')
})

t.test('wim extract - writes contents to stdout as wimlib-imagex does', async t => {
  const cases: readonly (readonly string[])[] = [
    ['/readme.txt'],
    ['/data/random.bin', 'empty', '/bin/tool', '/data/random.bin'],
    ['/data/*'],
    ['/names/*'],
    ['/names/[a-z]*'],
    ['/nothing'],
    ['/nothing', '--nullglob'],
    ['/nothing', '--no-globs'],
    ['/data/relative'],
    ['/data'],
    [],
    ['/data/deep/er/still/zeros.bin', '--no-globs'],
  ]
  for (const words of cases) {
    const all = ['extract', 'tree.wim', '1', ...words, '--to-stdout']
    const [theirs, result] = [imagex(all, { cwd }), await stowageWim(all, { cwd })]
    t.equal(result.code === 0, theirs.code === 0, `${words.join(' ')}: ${result.stderr}${theirs.stderr}`)
    if (theirs.code === 0) t.ok(result.stdout.equals(theirs.stdout), words.join(' '))
  }
})

t.test('wim extract - minds case as it is told, by option and by variable', async t => {
  const words = ['extract', 'tree.wim', '1', '/README.TXT', '--to-stdout']
  t.equal((await stowageWim(words, { cwd })).code, 3)
  t.equal((await stowageWim([...words, '--ignore-case'], { cwd })).stdout.length, 32_000)
  t.equal((await stowageWim(words, { cwd, env: { WIMLIB_IMAGEX_IGNORE_CASE: '1' } })).stdout.length, 32_000)
  t.equal(
    (await stowageWim([...words, '--no-ignore-case'], { cwd, env: { WIMLIB_IMAGEX_IGNORE_CASE: 'yes' } })).code,
    3,
  )
})

t.test('wim extract - follows no link out of the directory it is told to fill', async t => {
  mkdirSync(join(cwd, 'target'))
  mkdirSync(join(cwd, 'outside'))
  symlinkSync('../outside', join(cwd, 'target', 'data'))
  await stowageWim(['extract', 'tree.wim', '1', '/data/random.bin', '--preserve-dir-structure', '--dest-dir=target'], {
    cwd,
  })
  t.same(readdirSync(join(cwd, 'outside')), [])
})
