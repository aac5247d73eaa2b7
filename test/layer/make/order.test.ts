import { linkSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { details, make, pythonEntries } from '../../support/made-layers.js'
import { patchMetadata, richWim, splitWim, WIM_FORMS, wimlib } from '../../support/wims.js'

t.test('writeLayerFromWim() in the order of the tree gives every form of a WIM the same diffID', async t => {
  const output = join(t.testdir(), 'layer')
  const options = { compression: { type: 'none' }, force: true } as const
  const [byTree, byBlob] = [new Set<string>(), new Set<string>()]
  for (const wim of [...WIM_FORMS.map(form => richWim(t, form)), splitWim(t)[0] ?? '']) {
    byTree.add((await make(wim, output, { ...options, order: 'tree' })).diffId)
    byBlob.add((await make(wim, output, options)).diffId)
  }
  t.equal(byTree.size, 1)
  t.ok(byBlob.size > 1, 'which the order of the blobs does not')
})

t.test('writeLayerFromWim() in the order of the tree does not care how the WIM orders its dentries', async t => {
  const directory = t.testdir({ tree: { sub: { Beta: 'beta', alpha: 'alpha' }, 'zz-1': 'first', 'zz-2': 'second' } })
  linkSync(join(directory, 'tree/zz-2'), join(directory, 'tree/zz-0'))
  const wim = join(directory, 'x.wim')
  wimlib('capture', join(directory, 'tree'), wim, 'names', '--compress=none')
  const options = { compression: { type: 'none' }, force: true } as const
  const before = [
    await make(wim, join(directory, '1'), { ...options, order: 'tree' }),
    await make(wim, join(directory, '1'), options),
  ]
  patchMetadata(wim, metadata => {
    const at = (name: string): number => metadata.indexOf(Buffer.from(`${name}\0`, 'utf16le')) - 102
    const [a, b, size] = [at('zz-0'), at('zz-2'), 112]
    const first = Buffer.from(metadata.subarray(a, a + size))
    metadata.copy(metadata, a, b, b + size)
    first.copy(metadata, b)
  })
  t.match(wimlib('dir', wim), /zz-0\n\/zz-1\n\/zz-2/, 'still a WIM')
  const after = [
    await make(wim, join(directory, '2'), { ...options, order: 'tree' }),
    await make(wim, join(directory, '2'), options),
  ]
  t.equal(after[0]?.diffId, before[0]?.diffId)
  t.not(after[1]?.diffId, before[1]?.diffId, 'or the dentries were not swapped')
  await make(wim, join(directory, '2'), { ...options, order: 'tree' })
  t.same(
    pythonEntries(join(directory, '2')).map(({ name, linkname }) => [name, linkname].join(' ')),
    [
      'Files ',
      'Files/sub ',
      'Files/sub/alpha ',
      'Files/sub/Beta ',
      'Files/zz-0 ',
      'Files/zz-1 ',
      'Files/zz-2 Files/zz-0',
    ],
  )
})

t.test('writeLayerFromWim() makes a layer of a delta WIM and its base, and says what to name without it', async t => {
  const directory = t.testdir({ old: { same: 'x'.repeat(5000) }, new: { same: 'x'.repeat(5000), fresh: 'y' } })
  const [base, delta] = [join(directory, 'base.wim'), join(directory, 'delta.wim')]
  wimlib('capture', join(directory, 'old'), base, 'old')
  wimlib('capture', join(directory, 'new'), delta, 'new', `--delta-from=${base}`)
  const output = join(directory, 'layer.tar.gz')
  await t.rejects(make(delta, output), { code: 'WIM_CORRUPT', message: /Files\/same/, hint: /--ref/ })
  await make(delta, output, { references: [join(directory, 'ba*.wim')] })
  t.match(
    pythonEntries(output).find(({ name }) => name === 'Files/same'),
    { size: 5000, sha1: /^[0-9a-f]{40}$/ },
  )
  await t.rejects(
    make(delta, base, { references: [base], force: true }),
    { code: 'INVALID_ARGUMENT' },
    'nor is the base overwritten',
  )
  t.ok(details(base, 1).has('/same'))
})

t.test('writeLayerFromWim() warns of what a host will refuse, or was not made for containers', async t => {
  const directory = t.testdir()
  mkdirSync(join(directory, 'tree/Windows/System32/config'), { recursive: true })
  const wim = join(directory, 'x.wim')
  const warnings = async (): Promise<readonly string[]> =>
    (await make(wim, join(directory, 'out'), { force: true })).warnings
  for (const hive of ['SYSTEM', 'SOFTWARE', 'SAM', 'security'])
    writeFileSync(join(directory, 'tree/Windows/System32/config', hive), hive)
  wimlib('capture', join(directory, 'tree'), wim, 'Windows')
  t.match(await warnings(), [/base layer: it has no Files\/Windows\/System32\/config\/DEFAULT$/])
  writeFileSync(join(directory, 'tree/Windows/System32/config/Default'), 'DEFAULT')
  wimlib('capture', join(directory, 'tree'), wim, 'Windows')
  t.same(await warnings(), [])
  wimlib(
    'info',
    wim,
    '1',
    '--image-property=WINDOWS/ARCH=9',
    '--image-property=WINDOWS/EDITIONID=Professional',
    '--image-property=WINDOWS/INSTALLATIONTYPE=Client',
  )
  t.match(await warnings(), [/image 1 \(Professional, Client\).*no UtilityVM/])
  wimlib('append', join(directory, 'tree'), wim, 'UtilityVM')
  t.match(await warnings(), [/it has no UtilityVM\/Files\/EFI\/Microsoft\/Boot\/BCD$/])
  t.same((await make(richWim(t), join(directory, 'out'), { force: true })).warnings, [])
  t.match((await make(richWim(t, 'solid'), join(directory, 'out'), { force: true, order: 'tree' })).warnings, [/solid/])
})
