/** Encrypted files in a WIM, whose content no layer can carry: refused with their paths, or left out and counted. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { stowage } from '../../support/command.js'
import { type MadeFile, makeWim } from '../../support/made-wim.js'
import { pythonEntries } from '../../support/made-layers.js'
import { scratch } from '../../support/scratch.js'
import { ENCRYPTED, installWim } from '../../support/windows-trees.js'

const ALL = ENCRYPTED.map(path => `Files${path} (encrypted)`)

t.test('layer from-wim and pack refuse encrypted files in one error with the first ten paths', async t => {
  const wim = installWim(t, { encrypted: true })
  const cwd = scratch(t)
  for (const words of [
    ['layer', 'from-wim', wim, '--image', '1'],
    ['pack', `wim:${wim}#1`],
  ]) {
    const { code, stderr } = await stowage([...words, '-o', 'out'], { cwd })
    t.equal(code, 1)
    t.ok(stderr.includes(`cannot hold ${ALL.slice(0, 10).join(', ')} and 2 more\n`), stderr)
    t.match(stderr, /^hint: Skip them with --skip-unsupported, which lists all of them/m)
  }
  t.same(readdirSync(cwd), [], 'nothing is left')
  await t.test('--skip-unsupported leaves them out, lists all of them and says how many', async t => {
    const listing = `${ALL.map(path => `left out: ${path}\n`).join('')}left out 12 paths in all\n`
    for (const words of [
      ['layer', 'from-wim', wim, '--image', '1', '-o', 'layer.tar'],
      ['pack', `wim:${wim}#1`, '-o', 'bundle'],
      ['copy', `wim:${wim}#1`, 'oci:layout'],
      ['install', '--wim', wim, '--image', '1', '--to', 'oci:store'],
    ]) {
      const { code, stdout, stderr } = await stowage([...words, '--skip-unsupported'], { cwd })
      t.equal(code, 0, stderr)
      t.ok(stdout.includes(listing), `${words[0]}: ${stdout}`)
    }
    const entries = pythonEntries(join(cwd, 'layer.tar')).filter(({ name }) => name.includes('/Private'))
    t.same(
      entries.map(({ name, pax }) => [name.split('/').at(-1), Number(pax['MSWINDOWS.fileattr'])]),
      [
        ['Private', 0x4010],
        ['plain.txt', 0x20],
      ],
      'the directory, and what is not encrypted',
    )
    t.notMatch((await stowage(['layer', 'check', 'layer.tar'], { cwd })).stdout, /ENCRYPTED/)
  })
})

t.test('encrypted files of Files and of UtilityVM are in one error', async t => {
  const cwd = scratch(t)
  const encrypted = (name: string): MadeFile => ({ name, attributes: 0x4020, content: `raw ${name}` })
  makeWim(join(cwd, 'both.wim'), {
    name: 'Base',
    root: [encrypted('a'), { ...encrypted('b'), linkGroup: 1 }, { ...encrypted('b2'), content: 'raw b', linkGroup: 1 }],
    others: [{ name: 'UtilityVM', root: [{ name: 'EFI', attributes: 0x4010, children: [encrypted('c')] }] }],
  })
  const words = ['layer', 'from-wim', 'both.wim', '-o', 'layer.tar']
  t.match(await stowage(words, { cwd }), {
    code: 1,
    stderr:
      /cannot hold Files\/a \(encrypted\), Files\/b \(encrypted\), Files\/b2 \(encrypted\), UtilityVM\/Files\/EFI\/c \(encrypted\)\n/,
  })
  const { stdout } = await stowage([...words, '--skip-unsupported', '--json'], { cwd })
  t.match(JSON.parse(stdout), { skipped: { length: 4 }, counts: { files: 0, hardLinks: 0 } })
})
