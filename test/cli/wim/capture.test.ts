import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { commandFile } from '../../support/command.js'
import { imagex, sampleTree, stowageWim, told } from '../../support/wim-compare.js'

const cwd = t.testdir({ tree: {}, other: { 'new.txt': 'new', 'readme.txt': 'Read me\n'.repeat(4000) } })
sampleTree(join(cwd, 'tree'))
for (const path of ['other/new.txt', 'other/readme.txt', 'other'])
  utimesSync(join(cwd, path), 4_000_000_000, 1_700_000_000)
writeFileSync(join(cwd, 'config.ini'), '[ExclusionList]\n*.bin\n/names\n[ExclusionException]\n/data/random.bin\n')
writeFileSync(
  join(cwd, 'list'),
  "# sources\ntree/data  /\n'tree/names' //deep/er/names\nother\ntree/readme.txt /other/new.txt\n",
)
imagex(['capture', 'tree', 'base.wim', 'base'], { cwd })

const CAPTURES: readonly (readonly string[])[] = [
  [],
  ['a name', 'a description', '--boot', '--check', '--flags=ServerCore'],
  ['', '--unix-data', '--norpfix', '--compress=xpress:20', '--chunk-size=8K'],
  [
    '--compress=NONE',
    '--include-integrity',
    '--rpfix',
    '--image-property=WINDOWS/VERSION/BUILD=20348',
    '--image-property',
    'A/B[2]=',
  ],
  ['--compress', 'maximum:80', '--chunk-size', '128KiB', '--threads=1', '--no-acls'],
  ['--compress=recovery', '--chunk-size=65536', '--pipable', '--strict-acls'],
  ['--solid', '--solid-chunk-size=1M', '--no-check'],
  ['--solid', '--solid-compress=lzx', '--solid-chunk-size=64K', '--compress=none', '--no-solid-sort'],
  ['--wimboot', '--nocheck'],
  ['--config=config.ini', '--threads', '2'],
  ['--dereference', '--config=config.ini'],
  ['--delta-from=base.wim', '--update-of=1'],
  ['--update-of=base.wim:-1', '--noacls'],
]

t.test('wim capture - makes what wimlib-imagex makes, whatever the options', async t => {
  for (const options of CAPTURES) {
    const source = options.includes('--dereference') ? 'other' : 'tree'
    const theirs = imagex(['capture', source, 'theirs.wim', ...options], { cwd })
    const ours = await stowageWim(['capture', source, 'ours.wim', ...options], { cwd })
    t.equal(ours.code, theirs.code, `${options.join(' ')}: ${ours.stderr}${theirs.stderr}`)
    const refs = options[0]?.startsWith('--delta') ? [`--ref=${join(cwd, 'base.wim')}`] : []
    t.equal(
      told(join(cwd, 'ours.wim'), ...refs),
      told(join(cwd, 'theirs.wim'), ...refs),
      options.join(' ') || 'no options',
    )
  }
})

t.test('wim capture - writes a pipable WIM to stdout, to a pipe and to a file, and nothing else', async t => {
  const theirs = imagex(['capture', 'tree', '-', 'name'], { cwd })
  const ours = await stowageWim(['capture', 'tree', '-', 'name', '--json'], { cwd })
  t.equal(ours.code, 0, ours.stderr)
  writeFileSync(join(cwd, 'theirs.wim'), theirs.stdout)
  writeFileSync(join(cwd, 'ours.wim'), ours.stdout)
  t.equal(told(join(cwd, 'ours.wim')), told(join(cwd, 'theirs.wim')))
  t.match(told(join(cwd, 'ours.wim')), /^Attributes: +Pipable/m)
  const main = commandFile()
  execFileSync('sh', ['-c', `"${process.execPath}" "${main}" wim capture tree - name >> file.wim`], {
    cwd,
    stdio: 'ignore',
  })
  t.equal(told(join(cwd, 'file.wim')), told(join(cwd, 'theirs.wim')))
})

t.test('wim capture - reads a list of sources from a file and from stdin', async t => {
  imagex(['capture', 'list', 'theirs.wim', 'listed', '--source-list', '--norpfix'], { cwd })
  await stowageWim(['capture', 'list', 'ours.wim', 'listed', '--source-list', '--norpfix'], { cwd })
  t.equal(told(join(cwd, 'ours.wim')), told(join(cwd, 'theirs.wim')))
  const piped = await stowageWim(['capture', '-', 'ours.wim', 'listed', '--source-list', '--norpfix'], {
    cwd,
    input: readFileSync(join(cwd, 'list')),
  })
  t.equal(piped.code, 0, piped.stderr)
  t.equal(told(join(cwd, 'ours.wim')), told(join(cwd, 'theirs.wim')))
  const wrong = await stowageWim(['capture', '-', 'ours.wim', '--source-list'], { cwd, input: '\ntree "/' })
  t.equal(wrong.code, 2)
  t.match(wrong.stderr, /stowage: stdin, line 2: there is no closing quote/)
})

t.test('wim capture - says what it leaves out, and with --verbose what it takes', async t => {
  const { stderr } = await stowageWim(['capture', 'tree', 'ours.wim', '--progress=plain'], { cwd })
  t.match(stderr, /^Excluding .*tree\/pagefile\.sys, as the configuration says$/m)
  t.match(stderr, /^Excluding .*tree\/data\/pipe: a WIM cannot hold/m)
  t.match(stderr, /^Not adjusting the absolute link .*data\/outside: its target \/nowhere\/else is outside/m)
  t.notMatch(stderr, /Scanning/)
  const verbose = await stowageWim(['capture', 'tree', 'ours.wim', '--verbose'], { cwd })
  t.match(verbose.stderr, /^Scanning .*tree\/readme\.txt$/m)
  const quiet = await stowageWim(['capture', 'tree', 'ours.wim', '--verbose', '--quiet'], { cwd })
  t.equal(quiet.stderr, '')
  const json = await stowageWim(['capture', 'tree', 'ours.wim', '--progress=json', '--json'], { cwd })
  const events = json.stderr
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as { type: string; stage?: string })
  t.strictSame(
    [...new Set(events.map(({ stage }) => stage))].filter(stage => stage !== undefined),
    ['scan', 'write'],
  )
  t.ok(events.some(({ type }) => type === 'note'))
  t.same(JSON.parse(String(json.stdout)), {
    schema: 'stowage.wim-capture/v1',
    path: 'ours.wim',
    images: [{ index: 1, name: 'tree' }],
  })
})

t.test('wim capture - leaves the file that is there alone when it fails, and no other file behind', async t => {
  await stowageWim(['capture', 'tree', 'kept.wim'], { cwd })
  const [before, files] = [readFileSync(join(cwd, 'kept.wim')), readdirSync(cwd)]
  const failures: readonly (readonly [words: readonly string[], code: number, message: RegExp])[] = [
    [['nowhere', 'kept.wim'], 3, /nowhere/],
    [['tree', 'kept.wim', '--config=nowhere.ini'], 3, /nowhere\.ini/],
    [['tree', 'kept.wim', '--compress=zip'], 2, /--compress: "zip" is not a compression/],
    [['tree', 'kept.wim', '--compress=lzx:0'], 2, /"lzx:0" is not a compression/],
    [['tree', 'kept.wim', '--chunk-size=33K'], 2, /chunk size/i],
    [['tree', 'kept.wim', '--chunk-size=64KB'], 2, /--chunk-size: expected a size/],
    [['tree', 'kept.wim', '--threads=-1'], 2, /--threads/],
    [['tree', 'kept.wim', '--pipable', '--not-pipable'], 2, /cannot be used together/],
    [['tree', 'kept.wim', '--rpfix', '--norpfix'], 2, /cannot be used together/],
    [['tree', 'kept.wim', '--check', '--nocheck'], 2, /cannot be used together/],
    [['tree', 'kept.wim', '--unsafe-compact'], 2, /append, not capture/],
    [['tree', 'kept.wim', '--create'], 2, /--create is not an option of stowage wim capture/],
    [['tree', 'kept.wim', '--update-of=1'], 2, /does not name a WIM/],
    [['tree', 'kept.wim', '--update-of=base.wim:7'], 3, /no image/],
    [['tree', 'kept.wim', '--delta-from=kept.wim'], 2, /would be destroyed/],
    [['tree', 'kept.wim', '--delta-from=none.wim'], 3, /none\.wim/],
    [['tree', 'kept.wim', '--image-property=x'], 2, /expected NAME=VALUE/],
    [['tree', 'no/where.wim'], 3, /no/],
    [['tree', 'tree'], 2, /directory/],
    [['tree', 'kept.wim', '--snapshot'], 1, /Windows/],
    [['tree'], 2, /WIMFILE is missing: expected stowage wim capture SOURCE WIMFILE/],
    [['readme', 'kept.wim', 'a', 'b', 'c'], 2, /expected .* but also found "c"/],
  ]
  for (const [words, code, message] of failures) {
    const result = await stowageWim(['capture', ...words], { cwd })
    t.equal(result.code, code, `${words.join(' ')}: ${result.stderr}`)
    t.match(result.stderr, message)
    t.not(
      imagex(['capture', ...words.map(word => (word === 'kept.wim' ? 'theirs.wim' : word))], { cwd }).code === 0 &&
        !['--delta-from=kept.wim'].some(word => words.includes(word)),
      true,
      'and wimlib-imagex does not take it either',
    )
  }
  t.ok(readFileSync(join(cwd, 'kept.wim')).equals(before))
  t.same(
    readdirSync(cwd).filter(name => !files.includes(name) && name !== 'theirs.wim'),
    [],
  )
})

t.test('wim append - adds what wimlib-imagex adds, under the same name', async t => {
  const appends: readonly (readonly string[])[] = [
    [],
    [],
    ['second', 'with a description', '--boot'],
    ['', '--update-of=-1', '--check'],
    ['--rebuild', '--nocheck'],
    ['solid', '--solid', '--solid-compress=lzx'],
    ['--unsafe-compact', '--unix-data'],
    ['piped', '--pipable'],
    ['back', '--not-pipable'],
    ['delta', '--delta-from=base.wim', '--chunk-size=64K'],
  ]
  imagex(['capture', 'other', 'theirs.wim', 'first'], { cwd })
  copyFileSync(join(cwd, 'theirs.wim'), join(cwd, 'ours.wim'))
  for (const options of appends) {
    const theirs = imagex(['append', 'tree', 'theirs.wim', ...options], { cwd })
    const ours = await stowageWim(['append', 'tree', 'ours.wim', ...options], { cwd })
    t.equal(ours.code, theirs.code, `${options.join(' ')}: ${ours.stderr}${theirs.stderr}`)
    const ref = `--ref=${join(cwd, 'base.wim')}`
    t.equal(told(join(cwd, 'ours.wim'), ref), told(join(cwd, 'theirs.wim'), ref), options.join(' ') || 'no options')
  }
})

t.test('wim append - makes the WIM with --create alone, and refuses what would not do what it says', async t => {
  const none = await stowageWim(['append', 'tree', 'new.wim'], { cwd })
  t.equal(none.code, 3)
  t.notOk(existsSync(join(cwd, 'new.wim')))
  const created = await stowageWim(['append', 'tree', 'new.wim', '--create', '--compress=xpress', '--json'], { cwd })
  t.equal(created.code, 0, created.stderr)
  t.equal(JSON.parse(String(created.stdout)).images[0].name, 'tree')
  imagex(['append', 'tree', 'theirs-new.wim', '--create', '--compress=xpress'], { cwd })
  t.equal(told(join(cwd, 'new.wim')), told(join(cwd, 'theirs-new.wim')))
  const size = statSync(join(cwd, 'new.wim')).size
  const compression = await stowageWim(['append', 'tree', 'new.wim', '--compress=lzx'], { cwd })
  t.equal(compression.code, 2)
  t.match(compression.stderr, /compressed with xpress, not lzx/)
  const taken = await stowageWim(['append', 'other', 'new.wim', 'tree'], { cwd })
  t.not(taken.code, 0)
  t.match(taken.stderr, /tree/)
  t.equal(statSync(join(cwd, 'new.wim')).size, size)
})
