import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { incompressible } from '../../fixtures/make/bytes.js'
import { stowage } from '../support/command.js'
import { linkData, makeWim } from '../support/made-wim.js'
import { directoryWim, richWim, truncate, wimlib } from '../support/wims.js'

t.test('stowage layer from-wim prints diffID, digest and sizes, and the same as JSON', async t => {
  const cwd = t.testdir()
  const wim = richWim(t)
  const { code, stdout, stderr } = await stowage(['layer', 'from-wim', wim, '-o', 'layer.tar.gz'], { cwd })
  t.equal(code, 0, stderr)
  const digest = `sha256:${createHash('sha256')
    .update(readFileSync(join(cwd, 'layer.tar.gz')))
    .digest('hex')}`
  t.match(stdout, new RegExp(`^digest +${digest}$`, 'm'))
  t.match(stdout, /^UtilityVM\/Files +image 2, UtilityVM$/m)
  const json = await stowage(['layer', 'from-wim', wim, '-o', 'again.tar.gz', '--json'], { cwd })
  t.match(JSON.parse(json.stdout), {
    schema: 'stowage.layer/v1',
    digest,
    counts: { symlinks: 8 },
    skipped: [],
    warnings: [],
    lost: { shortNames: 3, objectIds: 1 },
    images: [
      { index: 1, name: 'NanoServer' },
      { index: 2, name: 'UtilityVM' },
    ],
  })
  t.match(stdout, new RegExp(JSON.parse(json.stdout).diffId))
  t.match(stdout, /^not kept +3 short names, 1 object id,/m)
  t.equal(stderr, '')
})

t.test('stowage layer from-wim counts what it mends', async t => {
  const cwd = t.testdir()
  const reparse = { flags: 0, ...linkData('junction', '\\??\\D:\\a', 'D:\\a') }
  const root = [
    { name: 'junction', reparse },
    { name: 'temporary', attributes: 0x100, times: [0n, 0n, 0n], children: [] },
  ] as const
  makeWim(join(cwd, 'made.wim'), { rpfix: true, root })
  const words = ['layer', 'from-wim', 'made.wim', '-o']
  const { stdout } = await stowage([...words, 'layer.tar'], { cwd })
  t.match(stdout, /^not kept +times of 1 entry$/m)
  t.match(stdout, /^mended +drive of 1 link, attributes of 2 entries$/m)
  const json = await stowage([...words, 'again.tar', '--json'], { cwd })
  t.match(JSON.parse(json.stdout), { lost: { times: 1 }, mended: { linkDrives: 1, attributes: 2, hardLinks: 0 } })
  const lossless = await stowage([...words, 'kept.tar', '--lossless'], { cwd })
  t.notMatch(lossless.stdout, /not kept/)
})

t.test('stowage layer from-wim takes an order, zstd, what is lost otherwise, and the base of a delta WIM', async t => {
  const cwd = t.testdir({ old: { same: 'x'.repeat(5000) }, new: { same: 'x'.repeat(5000), fresh: 'y' } })
  wimlib('capture', join(cwd, 'old'), join(cwd, 'base.wim'), 'old')
  wimlib('capture', join(cwd, 'new'), join(cwd, 'delta.wim'), 'new', `--delta-from=${join(cwd, 'base.wim')}`)
  const words = [
    'layer',
    'from-wim',
    'delta.wim',
    '-o',
    'layer.tar.zst',
    '--compression',
    'zstd:5',
    '--order',
    'tree',
    '--lossless',
    '--json',
  ]
  t.match(await stowage(words, { cwd }), { code: 4, stderr: /Files\/same[^]*hint: .*--ref/ })
  const { code, stdout, stderr } = await stowage([...words, '--ref', 'ba*.wim', '--ref', 'none*'], { cwd })
  t.equal(code, 3, `a pattern of nothing: ${stderr}${stdout}`)
  const made = await stowage([...words, '--ref', 'ba*.wim'], { cwd })
  t.match(made, { code: 0, stderr: /^warning: a host will reject this as a base layer: it has no Files\/Windows/ })
  t.match(JSON.parse(made.stdout), { warnings: [/base layer/], mediaType: /zstd$/, lost: { shortNames: 0 } })
  t.equal((await stowage([...words.slice(0, 3), '-o', 'quiet', '--ref', 'base.wim', '-q'], { cwd })).stderr, '')
})

t.test('stowage layer from-wim ends with the code of what went wrong, one sentence and a hint', async t => {
  const cwd = t.testdir({ 'no.wim': 'x'.repeat(300), 'there.tar.gz': '' })
  const wim = richWim(t)
  const short = directoryWim(t)
  truncate(short, 3000)
  const cases: [words: string[], code: number, stderr: RegExp][] = [
    [['no.wim'], 4, /no\.wim is not a WIM/],
    [[short], 4, /it should end at \d+ \+ \d+ but the file has 3000 bytes\nhint: .*copy it again/],
    [['none.wim'], 3, /none\.wim does not exist/],
    [[wim, '--image', 'Nano'], 3, /no image "Nano"\nhint: It has: 1 "NanoServer", 2 "UtilityVM"/],
    [[wim, '--compression', 'xz'], 2, /"xz" is not a layer compression\nhint: /],
    [[wim, '--compression', 'gzip:13'], 2, /levels 1 to 12, not 13/],
    [[wim, '--threads', 'many'], 2, /threads/],
    [[wim, '--thread', '2'], 2, /--thread is not an option of stowage layer from-wim\nhint: Did you mean --threads\?/],
  ]
  for (const [words, expected, text] of cases) {
    const { code, stdout, stderr } = await stowage(['layer', 'from-wim', ...words, '-o', 'out.tar.gz'], { cwd })
    t.equal(code, expected, words.join(' '))
    t.match(stderr, text)
    t.match(stderr, /^stowage: [^\n]+\n(hint: [^\n]+\n)?$/, 'one readable error, no stack')
    t.equal(stdout, '')
  }
  t.match(await stowage(['layer', 'from-wim', wim, '-o', 'there.tar.gz'], { cwd }), {
    code: 1,
    stderr: /exists already\nhint: .*--force/,
  })
  t.match(await stowage(['layer', 'from-wim', wim], { cwd }), { code: 2, stderr: /-o\/--output is missing/ })
  t.match(await stowage(['layer'], { cwd }), { code: 0, stdout: /^stowage layer COMMAND\n/ })
  t.same(readdirSync(cwd).sort(), ['no.wim', 'there.tar.gz'])
  t.match(await stowage(['layer', 'from-wim', '--help'], { cwd }), {
    code: 0,
    stdout: /Examples:[^]*stowage layer from-wim NanoServer\.wim/,
  })
})

t.test('stowage layer from-wim stops at SIGINT, leaves nothing, and succeeds the next time', async t => {
  const cwd = t.testdir()
  const wim = directoryWim(t, { files: { big: incompressible('big', 120_000_000) }, args: ['--compress=none'] })
  const words = ['layer', 'from-wim', wim, '-o', 'layer.tar.gz', '--compression', 'gzip:12', '--progress', 'json']
  let sent = false
  const { code, stderr } = await stowage(words, {
    cwd,
    onStderr(child, text) {
      if (sent || !/"done":[1-9]/.test(text)) return
      sent = true
      child.kill('SIGINT')
    },
  })
  t.equal(code, 130)
  t.match(stderr, /stowage: interrupted/)
  t.same(readdirSync(cwd), [])
  t.match(await stowage([...words.slice(0, 5), '--compression', 'none'], { cwd }), { code: 0 })
  writeFileSync(wim, '')
})

t.test('stowage layer from-wim --base makes a layer of what differs, and says what it holds', async t => {
  const cwd = t.testdir({
    old: { same: 'x'.repeat(5000), gone: 'gone', Windows: { System32: { config: { SYSTEM: 'one' } } } },
    new: { same: 'x'.repeat(5000), fresh: 'fresh', Windows: { System32: { config: { SYSTEM: 'two' } } } },
  })
  wimlib('capture', join(cwd, 'old'), join(cwd, 'old.wim'), 'old')
  wimlib('capture', join(cwd, 'new'), join(cwd, 'new.wim'), 'new')
  const from = (...words: string[]) => stowage(['layer', 'from-wim', ...words], { cwd })
  t.match(await from('old.wim', '-o', 'old.tar.gz'), { code: 0 })
  const { code, stdout, stderr } = await from('new.wim', '--base', 'old.tar.gz', '-o', 'd.tar.gz', '--ignore', 'times')
  t.equal(code, 0, stderr)
  t.match(stdout, /^base +old.tar.gz$/m)
  t.match(stdout, /^difference +1 added, 1 changed, 1 deleted$/m)
  t.match(stdout, /^whole hives +Files\/Windows\/System32\/config\/SYSTEM$/m)
  t.match(stderr, /^warning: the layer has these registry hives as whole files: SYSTEM/m)
  const json = await from('new.wim', '--base', 'old.wim', '--base-image', '1', '-o', 'e.tar.gz', '--json')
  t.match(JSON.parse(json.stdout), {
    schema: 'stowage.layer/v1',
    difference: { added: 1, deleted: 1, hives: ['Files/Windows/System32/config/SYSTEM'], base: [{ path: 'old.wim' }] },
  })
  t.match(await from('new.wim', '--ignore', 'times', '-o', 'f'), { code: 2, stderr: /--ignore needs --base/ })
  t.match(await from('new.wim', '--base', 'old.wim', '--unix-data', '-o', 'f'), { code: 2, stderr: /Linux layer/ })
  t.match(await from('new.wim', '--base', 'old.wim', '--base', 'old.tar.gz', '-o', 'f'), { code: 2, stderr: /one WIM/ })
  t.match(await from('new.wim', '--base', 'old.tar.gz', '--base-image', '1', '-o', 'f'), { code: 2 })
  t.match(await from('new.wim', '--base', 'old.wim', '-o', 'old.wim', '--force'), { code: 2, stderr: /an input file/ })
})
