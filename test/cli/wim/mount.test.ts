import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { imagex, sampleTree, stowageWim, treeState } from '../../support/wim-compare.js'

const cwd = t.testdir({ tree: {}, at: {}, staging: {} })
const at = join(cwd, 'at')
sampleTree(join(cwd, 'tree'))
imagex(['capture', 'tree', 'tree.wim', 'one', '--unix-data'], { cwd })
imagex(['append', 'tree/names', 'tree.wim', 'two'], { cwd })
t.teardown(() => spawnSync('umount', ['-l', at]))

const skip = existsSync('/dev/fuse') ? false : 'there is no /dev/fuse'

t.test('wim mount - shows what wimlib-imagex shows, until it is unmounted', { skip }, async t => {
  const states: unknown[] = []
  for (const run of [imagex, stowageWim]) {
    const mounted = await run(['mount', 'tree.wim', '1', 'at', '--unix-data', '--check', '--streams-interface=xattr'], {
      cwd,
    })
    t.equal(mounted.code, 0, mounted.stderr)
    states.push(treeState(at))
    const unmounted = await run(['unmount', 'at'], { cwd })
    t.equal(unmounted.code, 0, unmounted.stderr)
    t.notMatch(readFileSync('/proc/mounts', 'utf8'), ` ${at} `)
  }
  t.same(states[1], states[0])
  t.ok(Object.keys(states[0] as object).length > 15)
})

t.test('wim mountrw - keeps changes that are committed, as wimlib-imagex does, and no others', { skip }, async t => {
  const change = (): void => {
    writeFileSync(join(at, 'new.txt'), 'new')
    writeFileSync(join(at, 'readme.txt'), 'other')
    rmSync(join(at, 'names'), { recursive: true })
    mkdirSync(join(at, 'hollow', 'sub'))
  }
  const listing = (name: string, image: string): string =>
    String(imagex(['dir', name, image, '--detailed'], { cwd }).stdout).replace(
      /^(?:Creation Time|Last Write Time|Last Access Time|Offset in WIM|Compressed size) .*\n/gm,
      '',
    )
  for (const [name, run] of [
    ['theirs.wim', imagex],
    ['ours.wim', stowageWim],
  ] as const) {
    copyFileSync(join(cwd, 'tree.wim'), join(cwd, name))
    for (const words of [[], ['--commit'], ['--commit', '--new-image', '--check', '--rebuild']]) {
      const mounted = await run(['mountrw', name, 'one', 'at', '--staging-dir=staging', '--unix-data'], { cwd })
      t.equal(mounted.code, 0, mounted.stderr)
      if (!words.includes('--new-image')) change()
      else writeFileSync(join(at, 'again.txt'), 'again')
      const unmounted = await run(['unmount', 'at', ...words], { cwd })
      t.equal(unmounted.code, 0, unmounted.stderr)
    }
  }
  for (const image of ['1', '2', '3'])
    t.equal(listing('ours.wim', image), listing('theirs.wim', image), `image ${image}`)
  t.match(listing('ours.wim', '3'), /again\.txt/)
  t.notMatch(listing('ours.wim', '1'), /again\.txt/)
  t.equal((await stowageWim(['verify', 'ours.wim'], { cwd })).code, 0)
})

t.test('wim mount and unmount - print what they did, and what is wrong', { skip }, async t => {
  const mounted = await stowageWim(['mount', 'tree.wim', 'two', 'at', '--json'], { cwd })
  t.same(JSON.parse(String(mounted.stdout)), {
    schema: 'stowage.wim-mount/v1',
    path: 'tree.wim',
    image: 2,
    directory: 'at',
    readWrite: false,
  })
  const unmounted = await stowageWim(['unmount', 'at', '--json', '--lazy'], { cwd })
  t.same(JSON.parse(String(unmounted.stdout)), { schema: 'stowage.wim-unmount/v1', directory: 'at', committed: false })
  const wrong: readonly (readonly [words: readonly string[], code: number, message: RegExp])[] = [
    [['mount', 'tree.wim', 'at'], 2, /holds 2 images: name one/],
    [['mount', 'tree.wim', '9', 'at'], 3, /no image "9"/],
    [['mount', 'tree.wim', 'all', 'at'], 2, /name one/],
    [['mount', 'none.wim', '1', 'at'], 3, /none\.wim/],
    [['mount', 'tree.wim', '1', 'nowhere'], 3, /nowhere/],
    [['mount', 'tree.wim', '1', 'at', '--streams-interface=foo'], 2, /"foo" is not a valid value/],
    [['unmount', 'at'], 2, /at/],
    [['unmount', 'at', '--new-image'], 2, /requires --commit/],
    [['unmount'], 2, /DIRECTORY is missing: expected stowage wim unmount DIRECTORY/],
  ]
  for (const [words, code, message] of wrong) {
    const result = await stowageWim(words, { cwd })
    t.equal(result.code, code, `${words.join(' ')}: ${result.stderr}`)
    t.match(result.stderr, message)
  }
  t.notMatch(execFileSync('cat', ['/proc/mounts'], { encoding: 'utf8' }), ` ${at} `)
})
