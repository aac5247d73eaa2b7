import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { incompressible } from '../../../fixtures/make/bytes.js'
import { imagex, sampleTree, stowageWim } from '../../support/wim-compare.js'
import { corruptBlob, flipByte, richWim, splitWim, truncate, WIM_FORMS } from '../../support/wims.js'

const cwd = t.testdir({ tree: {}, more: {} })
sampleTree(join(cwd, 'tree'))
writeFileSync(join(cwd, 'more', 'new.bin'), incompressible('new', 30_000))
writeFileSync(join(cwd, 'more', 'random.bin'), incompressible('sample tree', 70_000))
imagex(['capture', 'tree', 'tree.wim', 'one', '--check'], { cwd })
imagex(['capture', 'more', 'delta.wim', 'delta', '--delta-from=tree.wim'], { cwd })

/** Both programs are of one mind whether the WIM is well. */
async function same(t: Test, well: boolean, ...words: readonly string[]): Promise<string> {
  const [theirs, ours] = [imagex(['verify', ...words], { cwd }), await stowageWim(['verify', ...words], { cwd })]
  t.equal(theirs.code === 0, well, `wimlib-imagex: ${words.join(' ')}: ${theirs.stderr}`)
  t.equal(ours.code, well ? 0 : 4, `${words.join(' ')}: ${ours.stdout}${ours.stderr}`)
  return `${ours.stdout}${ours.stderr}`
}

t.test('wim verify - finds every form of a WIM well, where wimlib-imagex does', async t => {
  for (const form of WIM_FORMS) t.match(await same(t, true, richWim(t, form)), /: OK \(2 images, \d+ blobs, /)
  const [first = ''] = splitWim(t)
  await same(t, true, first, `--ref=${first.replace('.swm', '*.swm')}`)
  t.equal((await stowageWim(['verify', first])).code, 0, 'and finds the parts by itself')
  await same(t, true, 'delta.wim', '--ref=tree.wim')
  t.match(await same(t, false, 'delta.wim'), /^missing-blob: /m)
})

t.test('wim verify - names all that is wrong, where wimlib-imagex ends at the first', async t => {
  copyFileSync(join(cwd, 'tree.wim'), join(cwd, 'damaged.wim'))
  const { sha1, offset } = corruptBlob(join(cwd, 'damaged.wim'))
  t.match(
    await same(t, false, 'damaged.wim'),
    new RegExp(`^integrity: [^]*^blob: .*${sha1}|^blob: .*${sha1}[^]*^integrity: `, 'm'),
  )
  const { stdout } = await stowageWim(['verify', 'damaged.wim', '--nocheck', '--json'], { cwd })
  const document = JSON.parse(String(stdout)) as { ok: boolean; findings: readonly { type: string; sha1: string }[] }
  t.match(document, {
    schema: 'stowage.wim-verify/v1',
    path: 'damaged.wim',
    ok: false,
    images: 1,
    findings: [{ type: 'blob', sha1 }],
  })
  t.equal(document.findings.length, 1, '--nocheck leaves the integrity table alone')
  flipByte(join(cwd, 'damaged.wim'), offset)
  await same(t, true, 'damaged.wim')
})

t.test('wim verify - says what is not a WIM, or only a part of one', async t => {
  for (const size of [100, 300]) {
    copyFileSync(join(cwd, 'tree.wim'), join(cwd, 'short.wim'))
    truncate(join(cwd, 'short.wim'), size)
    await same(t, false, 'short.wim')
  }
  const wrong: readonly (readonly [words: readonly string[], code: number, message: RegExp])[] = [
    [['none.wim'], 3, /does not exist/],
    [['delta.wim', '--ref=none*.wim'], 3, /none\*\.wim/],
    [[], 2, /WIMFILE is missing: expected stowage wim verify WIMFILE/],
    [['tree.wim', '1'], 2, /expected stowage wim verify WIMFILE but also found "1"/],
  ]
  for (const [words, code, message] of wrong) {
    const result = await stowageWim(['verify', ...words], { cwd })
    t.equal(result.code, code, `${words.join(' ')}: ${result.stderr}`)
    t.match(result.stderr, message)
  }
})
