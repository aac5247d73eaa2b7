import { copyFileSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { imagex, sampleTree, stowageWim, told } from '../../support/wim-compare.js'

const cwd = t.testdir({
  tree: {},
  more: { sub: { file: 'more' }, 'readme.txt': 'changed' },
  'config.ini': '[ExclusionList]\nsub\n',
})
sampleTree(join(cwd, 'tree'))
for (const path of ['more/sub/file', 'more/sub', 'more/readme.txt', 'more'])
  utimesSync(join(cwd, path), 4_000_000_000, 1_700_000_000)
imagex(['capture', 'tree', 'tree.wim', 'one'], { cwd })
imagex(['capture', 'tree', 'pipable.wim', 'one', '--pipable', '--check'], { cwd })

const UPDATES: readonly (readonly [original: string, script: string, ...words: string[]])[] = [
  ['tree.wim', "add more '/a b/c'\nrename /readme.txt /docs.txt\ndelete --recursive /data\n", '1', '--check'],
  ['tree.wim', 'add more /\ndelete --force /nowhere\ndelete /empty', 'one', '--rebuild', '--include-integrity'],
  ['tree.wim', 'add --unix-data tree/bin /bin2\nadd --verbose --dereference tree/data/relative /linked', '--threads=1'],
  ['tree.wim', 'add more /new', '--config=config.ini', '--unix-data', '--no-acls'],
  ['tree.wim', 'delete /data\n', '--recursive', '--unsafe-compact'],
  ['tree.wim', 'delete /gone', '--force'],
  ['tree.wim', '', '--command=rename "/names/it\'s quoted" /names/x'],
  ['tree.wim', '', '--command', 'delete /data'],
  ['tree.wim', 'add more /Windows/System32', '--config=config.ini'],
  ['tree.wim', 'add more/readme.txt /readme.txt', '--no-replace'],
  ['tree.wim', 'delete /nowhere'],
  ['tree.wim', 'delete /empty\ndelete /nowhere'],
  ['tree.wim', 'rename /empty /data'],
  ['tree.wim', 'delet /empty'],
  ['pipable.wim', 'delete /empty', '1'],
]

/** Directories that an update makes on the way have the time of the update, and XML and metadata with it another size. */
function without(text: string): string {
  return text.replace(
    /^(?:Size: |Creation Time|Last Write Time|Last Access Time|Compressed size|Offset in WIM) .*\n/gm,
    '',
  )
}

t.test('wim update - makes what wimlib-imagex makes of the same script', async t => {
  for (const [original, input, ...words] of UPDATES) {
    for (const name of ['theirs.wim', 'ours.wim']) copyFileSync(join(cwd, original), join(cwd, name))
    const theirs = imagex(['update', 'theirs.wim', ...words], { cwd, input })
    const ours = await stowageWim(['update', 'ours.wim', ...words], { cwd, input })
    t.equal(ours.code === 0, theirs.code === 0, `${words.join(' ')}: ${input}: ${ours.stderr}${theirs.stderr}`)
    t.equal(
      without(told(join(cwd, 'ours.wim'))),
      without(told(join(cwd, 'theirs.wim'))),
      `${words.join(' ')}: ${input}`,
    )
    if (theirs.code !== 0)
      t.ok(readFileSync(join(cwd, 'ours.wim')).equals(readFileSync(join(cwd, original))), 'and leaves it as it was')
  }
})

t.test('wim update - prints what it did, names what it replaces, and adds to a delta WIM', async t => {
  copyFileSync(join(cwd, 'tree.wim'), join(cwd, 'ours.wim'))
  const { stdout, stderr } = await stowageWim(['update', 'ours.wim', '--json', '--verbose'], {
    cwd,
    input: 'add more /\ndelete /empty',
  })
  t.same(JSON.parse(String(stdout)), {
    schema: 'stowage.wim-update/v1',
    path: 'ours.wim',
    image: 1,
    commands: [
      { type: 'add', source: 'more', target: '/' },
      { type: 'delete', path: '/empty' },
    ],
  })
  t.match(stderr, /^Replacing \/readme\.txt$/m)
  imagex(['capture', 'more', 'delta.wim', 'delta', '--delta-from=tree.wim'], { cwd })
  const delta = await stowageWim(['update', 'delta.wim', '--ref=tree.wim', '--command=add tree/bin /bin'], { cwd })
  t.equal(delta.code, 0, delta.stderr)
  t.equal(imagex(['verify', 'delta.wim', '--ref=tree.wim'], { cwd }).code, 0)
})

t.test('wim update - puts in the configuration of WIMBoot, and does nothing where nothing is asked for', async t => {
  for (const name of ['theirs.wim', 'ours.wim']) copyFileSync(join(cwd, 'tree.wim'), join(cwd, name))
  const nothing = await stowageWim(['update', 'ours.wim'], { cwd, input: '# nothing\n' })
  t.equal(String(nothing.stdout), 'ours.wim: nothing to do\n')
  t.ok(readFileSync(join(cwd, 'ours.wim')).equals(readFileSync(join(cwd, 'tree.wim'))))
  imagex(['update', 'theirs.wim', '--wimboot-config=config.ini'], { cwd })
  t.equal((await stowageWim(['update', 'ours.wim', '--wimboot-config=config.ini'], { cwd })).code, 0)
  t.equal(without(told(join(cwd, 'ours.wim'))), without(told(join(cwd, 'theirs.wim'))))
  t.match(String(imagex(['dir', 'ours.wim'], { cwd }).stdout), /^\/Windows\/System32\/WimBootCompress\.ini$/m)
})

t.test('wim update - says what is wrong, before it changes anything', async t => {
  writeFileSync(join(cwd, 'ours.wim'), readFileSync(join(cwd, 'tree.wim')))
  const wrong: readonly (readonly [words: readonly string[], input: string, code: number, message: RegExp])[] = [
    [['ours.wim'], '\nadd a', 2, /^stowage: stdin, line 2: expected add SOURCE DESTINATION but found "a"/],
    [['ours.wim', '--command=add a b c'], '', 2, /^stowage: --command, line 1: /],
    [['ours.wim', '--command=delete /a', '--wimboot-config=config.ini'], '', 2, /cannot be used together/],
    [['ours.wim', '7'], 'delete /empty', 3, /no image "7"/],
    [['ours.wim', 'all'], 'delete /empty', 2, /all images|one image/],
    [['ours.wim'], 'add nowhere /x', 3, /nowhere/],
    [['ours.wim'], 'delete /nowhere', 3, /nowhere/],
    [['ours.wim', '--no-acls', '--strict-acls'], 'delete /empty', 2, /cannot be used together/],
    [['none.wim'], 'delete /empty', 3, /none\.wim/],
  ]
  for (const [words, input, code, message] of wrong) {
    const result = await stowageWim(['update', ...words], { cwd, input })
    t.equal(result.code, code, `${words.join(' ')} ${input}: ${result.stderr}`)
    t.match(result.stderr, message)
  }
  t.ok(readFileSync(join(cwd, 'ours.wim')).equals(readFileSync(join(cwd, 'tree.wim'))))
})
