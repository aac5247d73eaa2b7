import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { incompressible, text } from '../../../fixtures/make/bytes.js'
import { emptyHive } from '../../../fixtures/make/hive.js'
import {
  type LayerDifference,
  type LayerDifferenceOptions,
  writeLayerDifference,
} from '../../../src/layer/difference/layer-difference.js'
import { openBase } from '../../../src/layer/difference/open-base.js'
import { writeLayerFromWim } from '../../../src/layer/make/from-wim.js'
import { checkLayer } from '../../../src/layer/read/check.js'
import { openLayer } from '../../../src/layer/read/read-layer.js'
import { writeWimFromLayers } from '../../../src/layer/to-wim/wim-from-layers.js'
import { openWim } from '../../../src/wim/wim-file.js'
import {
  directoryEntry,
  fileEntry,
  goodLayer,
  linkEntry,
  type MadeEntry,
  makeTar,
  pythonEntries,
  symlinkEntry,
  windowsRecords,
} from '../../support/layers.js'
import { richWim, wimlib } from '../../support/wims.js'

type Options = Omit<LayerDifferenceOptions, 'base'>

/** The files of a test, in its own directory. */
function files(directory: string) {
  const at = (name: string): string => join(directory, name)
  return {
    at,
    tar(name: string, entries: readonly MadeEntry[]): string {
      writeFileSync(at(name), makeTar(entries))
      return at(name)
    },
    async wim(name: string, ...layers: readonly string[]): Promise<string> {
      await writeWimFromLayers(layers, at(name), { force: true, imageName: 'image', compression: { type: 'none' } })
      return at(name)
    },
    async layer(name: string, wim: string): Promise<string> {
      await using opened = await openWim(wim)
      await writeLayerFromWim(opened, at(name), { image: 1, force: true })
      return at(name)
    },
  }
}

async function difference(
  wim: string,
  base: readonly string[],
  output: string,
  options: Options = {},
): Promise<LayerDifference> {
  await using opened = await openWim(wim)
  await using below = await openBase(base, base[0]?.endsWith('.wim') ? 1 : undefined)
  return await writeLayerDifference(opened, output, { image: 1, ...options, base: below.base, force: true })
}

/** What wimlib tells of each file of all images, without positions, and which names are one file. */
function described(wim: string): readonly unknown[] {
  const count = Number(/^Image Count: +(\d+)/m.exec(wimlib('info', wim))?.[1])
  return Array.from({ length: count }, (_, image) => {
    const blocks = wimlib('dir', wim, String(image + 1), '--detailed').split(/^-{20,}\n/m)
    const groups = new Map<string, string[]>()
    for (const block of blocks) {
      const path = /^Full Path +=(.*)$/m.exec(block)?.[1] ?? ''
      const group = /^Link Group ID += (.*)$/m.exec(block)?.[1] ?? ''
      if (!/^0x0+$/.test(group)) groups.set(group, [...(groups.get(group) ?? []), path])
    }
    const without = /^(?:Offset in WIM|Compressed size|Link Group ID|Part Number|Flags|Reference Count) .*\n/gm
    return { files: blocks.map(block => block.replace(without, '')), links: [...groups.values()].sort() }
  })
}

/** The rules that the layer breaks as one that is not a base layer. */
async function errors(layer: string): Promise<unknown> {
  const { findings } = await checkLayer(await openLayer(layer), { base: false })
  return findings.filter(({ severity }) => severity === 'error')
}

const names = (layer: string): string[] => pythonEntries(layer).map(({ name }) => name)

const PAYLOAD = text('payload', 20_000)

/** A tree with what the next one changes. */
function august(): MadeEntry[] {
  return [
    ...goodLayer(),
    directoryEntry('Files/same'),
    fileEntry('Files/same/file', PAYLOAD),
    directoryEntry('Files/changed'),
    fileEntry('Files/changed/content', 'one'),
    fileEntry('Files/changed/attributes', 'same'),
    fileEntry('Files/changed/time', 'same'),
    fileEntry('Files/changed/access', 'same'),
    fileEntry('Files/changed/Case', 'same'),
    fileEntry('Files/changed/streams', 'same'),
    { name: 'Files/changed/streams:one', content: 'one' },
    symlinkEntry('Files/changed/link', 'C:\\one'),
    directoryEntry('Files/deleted'),
    directoryEntry('Files/deleted/below'),
    fileEntry('Files/deleted/below/file'),
    directoryEntry('Files/type'),
    directoryEntry('Files/type/to-file'),
    fileEntry('Files/type/to-file/inside'),
    fileEntry('Files/type/to-directory'),
    directoryEntry('Files/type/to-link'),
    fileEntry('Files/type/to-link/inside'),
    directoryEntry('Files/links'),
    fileEntry('Files/links/a', 'linked'),
    linkEntry('Files/links/b', 'Files/links/a'),
    fileEntry('Files/links/split-1', 'split'),
    linkEntry('Files/links/split-2', 'Files/links/split-1'),
    fileEntry('Files/links/grown', 'grown'),
    fileEntry('Files/links/one', 'joined'),
    fileEntry('Files/links/two', 'joined'),
    fileEntry('Files/links/left', 'left'),
    linkEntry('Files/links/gone', 'Files/links/left'),
    directoryEntry('UtilityVM/Files/dir'),
    fileEntry('UtilityVM/Files/dir/inside'),
    fileEntry('UtilityVM/Files/gone'),
  ]
}

function september(): MadeEntry[] {
  const dropped =
    /^Files\/(deleted|type\/.*|changed\/Case|links\/.*)|^UtilityVM\/Files\/(gone|dir)|SYSTEM$|Boot\/bootmgfw/
  const kept = august().filter(({ name }) => !dropped.test(name) || name === 'Files/links')
  const config = 'Files/Windows/System32/config'
  return [
    ...kept.map(entry => changedEntry(entry)),
    fileEntry(`${config}/SYSTEM`, emptyHive('other')),
    fileEntry('UtilityVM/Files/EFI/Microsoft/Boot/bootmgfw.efi', 'a newer one'),
    fileEntry('Files/changed/case', 'same'),
    directoryEntry('Files/added'),
    fileEntry('Files/added/ünïcode', incompressible('added', 3000)),
    fileEntry('Files/type/to-file'),
    directoryEntry('Files/type/to-directory'),
    fileEntry('Files/type/to-directory/inside'),
    {
      ...symlinkEntry('Files/type/to-link', 'C:\\x'),
      records: { ...windowsRecords(0x410), 'MSWINDOWS.mountpoint': '1' },
    },
    fileEntry('Files/links/a', 'linked'),
    linkEntry('Files/links/b', 'Files/links/a'),
    fileEntry('Files/links/split-1', 'split'),
    fileEntry('Files/links/split-2', 'split'),
    fileEntry('Files/links/grown', 'grown'),
    linkEntry('Files/links/grown-too', 'Files/links/grown'),
    fileEntry('Files/links/one', 'joined'),
    linkEntry('Files/links/two', 'Files/links/one'),
    fileEntry('Files/links/left', 'left'),
    fileEntry('UtilityVM/Files/dir', 'a file now'),
  ]
}

function changedEntry(entry: MadeEntry): MadeEntry {
  const records = (more: Readonly<Record<string, string>>): MadeEntry => ({
    ...entry,
    records: { ...entry.records, ...more },
  })
  switch (entry.name.replace('Files/changed/', '')) {
    case 'content':
      return { ...entry, content: 'two' }
    case 'attributes':
      return records({ 'MSWINDOWS.fileattr': '33' })
    case 'time':
      return records({ mtime: '1464264001.25' })
    case 'access':
      return records({ atime: '1464264007' })
    case 'streams:one':
      return { ...entry, content: 'two' }
    case 'link':
      return { ...entry, linkname: 'C:\\two' }
    default:
      return entry
  }
}

t.test('writeLayerDifference() makes a layer that, on its base, gives the whole image', async t => {
  const { at, tar, wim, layer } = files(t.testdir())
  const [oldTar, newTar] = [tar('august.tar', august()), tar('september.tar', september())]
  const [before, after] = [await wim('august.wim', oldTar), await wim('september.wim', newTar)]
  const base = await layer('august.tar.gz', before)
  const whole = described(after)

  for (const [form, below] of Object.entries({ layer: [base], tar: [oldTar], wim: [before] })) {
    const output = at(`${form}.tar.gz`)
    const made = await difference(after, below, output)
    t.same(described(await wim('applied.wim', base, output)), whole, `based on a ${form}: the same image`)
    t.same(await errors(output), [], `based on a ${form}: no rule of a layer on others is broken`)
    t.same(made.difference.hives, ['Files/Windows/System32/config/SYSTEM'])
    t.match(made.warnings, [/registry hives as whole files: SYSTEM/])
    t.equal(made.diffId, `sha256:${sha256(execFileSync('gzip', ['-dc', output], { maxBuffer: 1 << 26 }))}`)
  }
  const one = readFileSync(at('layer.tar.gz'))
  t.ok(one.equals(readFileSync(at('wim.tar.gz'))), 'a base gives the same bytes as a layer and as a WIM')

  const found = names(at('layer.tar.gz'))
  t.equal(found[0], 'Hives')
  t.notOk(found.includes('Files/same'), 'an unchanged directory has no entry')
  t.notOk(found.includes('Files/same/file'), 'nor has an unchanged file')
  t.notOk(found.includes('Files/links/a'), 'nor has an unchanged file of several names')
  t.notOk(found.includes('Files/links/left'), 'a file that loses a name stays in the base')
  t.same(
    found.filter(name => name.includes('.wh.')).sort(),
    ['Files/.wh.deleted', 'Files/links/.wh.gone', 'UtilityVM/Files/.wh.dir', 'UtilityVM/Files/.wh.gone'],
    'a deleted directory is one whiteout; a case-only change is none; UtilityVM deletes a directory before the file',
  )
  const place = (name: string): number => found.indexOf(name)
  t.ok(place('UtilityVM/Files/.wh.dir') < place('UtilityVM/Files/dir'))
  t.ok(place('Files/links') < place('Files/links/.wh.gone'), 'a whiteout comes after its directory')
})

t.test('writeLayerDifference() ignores times only on request', async t => {
  const { at, tar, wim } = files(t.testdir())
  const before = await wim('a.wim', tar('a.tar', august()))
  const after = await wim(
    'b.wim',
    tar(
      'b.tar',
      august().map(entry => (/changed\/(time|access)$/.test(entry.name) ? changedEntry(entry) : entry)),
    ),
  )
  const changed = async (ignore: Options['ignore']): Promise<string[]> => {
    await difference(after, [before], at('d.tar'), { ignore, compression: { type: 'none' } })
    return names(at('d.tar')).filter(name => /changed\//.test(name))
  }
  t.same((await changed([])).sort(), ['Files/changed/access', 'Files/changed/time'])
  t.same(await changed(['atime']), ['Files/changed/time'])
  t.same(await changed(['times']), [])
  t.same(names(at('d.tar')), ['Hives', 'Files'], 'an empty difference is a valid layer')
  t.same(await errors(at('d.tar')), [])
})

t.test('writeLayerDifference() compares with several layers as they apply', async t => {
  const { at, tar, wim } = files(t.testdir())
  const base = tar('1.tar', august())
  const patch = tar('2.tar', [
    directoryEntry('Files'),
    directoryEntry('Files/deleted'),
    { name: 'Files/deleted/.wh.below' },
    fileEntry('Files/patch'),
  ])
  const after = await wim('after.wim', tar('after.tar', september()))
  const made = await difference(after, [base, patch], at('d.tar.gz'))
  t.same(described(await wim('applied.wim', base, patch, at('d.tar.gz'))), described(after))
  t.equal(made.difference.base.length, 2)
  const found = names(at('d.tar.gz'))
  t.ok(found.includes('Files/.wh.patch'))
  t.ok(found.includes('Files/.wh.deleted'))
})

t.test('writeLayerDifference() of a WIM that wimlib-imagex changed', async t => {
  const { at, wim, layer } = files(t.testdir())
  const before = richWim(t)
  const after = at('after.wim')
  execFileSync('cp', [before, after])
  writeFileSync(at('added'), incompressible('update', 50_000))
  const update = [
    `add ${at('added')} /added.bin`,
    'delete --recursive /streams',
    'delete /links/c',
    'rename /contents/text-1m /contents/renamed',
    'rename "/names/UPPER" /names/upper',
    `add ${at('added')} "/names/100% #1"`,
    'delete --recursive "/attributes/hidden directory"',
  ].join('\n')
  const { status, stderr } = spawnSync('wimlib-imagex', ['update', after, '1'], { input: update, encoding: 'utf8' })
  t.equal(status, 0, stderr)
  const base = await layer('base.tar.gz', before)
  const whole = await wim('whole.wim', await layer('whole.tar.gz', after))
  for (const below of [base, before]) {
    const made = await difference(after, [below], at('d.tar.gz'))
    t.same(described(await wim('applied.wim', base, at('d.tar.gz'))), described(whole))
    t.same(await errors(at('d.tar.gz')), [])
    t.equal(made.difference.added, 2)
    t.ok(statSync(at('d.tar.gz')).size < statSync(base).size / 5)
  }
})

t.test('writeLayerDifference() refuses a base that no layer can become', async t => {
  const { at, tar, wim } = files(t.testdir())
  const whole = tar('whole.tar', goodLayer())
  const plain = tar(
    'plain.tar',
    goodLayer().filter(({ name }) => !name.startsWith('UtilityVM')),
  )
  const alone = await wim('alone.wim', plain)
  await t.rejects(difference(alone, [whole], at('d.tar')), {
    code: 'LAYER_UNSUPPORTED',
    message: `the base has UtilityVM/Files, but ${alone} has no image for it, and no layer can delete it`,
  })
  const both = await wim('both.wim', whole)
  t.match((await difference(both, [plain], at('d.tar'))).warnings, [/has UtilityVM\/Files, which must already be/])
  await t.rejects(openBase([alone, whole]), { code: 'INVALID_ARGUMENT' })
  await t.rejects(openBase([whole], 1), { code: 'INVALID_ARGUMENT' })
  await t.rejects(openBase(['-']), { code: 'INVALID_ARGUMENT' })
  await t.rejects(openBase([at('nothing')]), { code: 'FILE_NOT_FOUND' })
  await t.rejects(difference(both, [tar('linux.tar', [fileEntry('etc/passwd')])], at('d.tar')), {
    code: 'LAYER_UNSUPPORTED',
  })
})

t.test('writeLayerDifference() of random trees', async t => {
  const { at, tar, wim } = files(t.testdir())
  for (let seed = 1; seed <= 25; seed += 1) {
    const random = randomOf(seed)
    const base = tar('base.tar', randomTree(random))
    const [before, after] = [
      await wim('before.wim', base),
      await wim('after.wim', tar('after.tar', randomTree(random))),
    ]
    await difference(after, [seed % 2 === 0 ? base : before], at('d.tar'), { compression: { type: 'none' } })
    t.same(described(await wim('applied.wim', base, at('d.tar'))), described(after), `seed ${seed}`)
    t.same(await errors(at('d.tar')), [], `seed ${seed}: no rule is broken`)
  }
})

function randomOf(seed: number): (limit: number) => number {
  let state = seed
  return limit => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state >>> 8) % limit
  }
}

/** A small tree over few names, so that two of them have much in common. */
function randomTree(random: (limit: number) => number): MadeEntry[] {
  const entries: MadeEntry[] = []
  const linkable: string[] = []
  fill('Files', 0)
  return [directoryEntry('Files'), ...entries]

  function fill(directory: string, depth: number): void {
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      const path = `${directory}/${random(4) === 0 ? name.toUpperCase() : name}`
      const kind = random(8)
      const target = linkable[random(linkable.length || 1)]
      if (kind === 0) continue
      if (kind <= 2 && depth < 2) {
        entries.push(directoryEntry(path))
        fill(path, depth + 1)
      } else if (kind === 3) {
        entries.push(symlinkEntry(path, random(2) === 0 ? 'C:\\x' : 'C:\\y'))
      } else if (kind <= 5 && target !== undefined) {
        entries.push(linkEntry(path, target))
      } else {
        entries.push(fileEntry(path, random(3) === 0 ? 'other' : 'content'))
        linkable.push(path)
        if (random(5) === 0) entries.push({ name: `${path}:stream`, content: String(random(2)) })
      }
    }
  }
}

function sha256(bytes: Uint8Array): string {
  return execFileSync('sha256sum', { input: bytes, encoding: 'utf8' }).slice(0, 64)
}
