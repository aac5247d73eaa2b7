/**
 * A base image of Server Core and an install.wim, from WIM to layer, check, bundle and back to WIM. Judges that are not
 * ours compare what comes back with what went in.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t, { type Test } from 'tap'
import { stowage } from '../support/command.js'
import { plainHive, readHive } from '../support/hives.js'
import { scratch } from '../support/scratch.js'
import { readStrictWim } from '../support/strict-wim.js'
import type { StrictFile, StrictImage } from '../support/strict-wim-image.js'
import { EDITIONS, HIVES, installWim, serverCoreWim, VERSION } from '../support/windows-trees.js'
import { details, field } from '../support/made-layers.js'
import { wimlib } from '../support/wims.js'

/** Runs `stowage` in `cwd`; gives its standard output. */
async function run(t: Test, cwd: string, ...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await stowage(words, { cwd })
  t.equal(code, 0, `stowage ${words.join(' ')}: ${stderr}`)
  return stdout
}

/** The files of an image; `change` makes of a file what is expected of it later. */
function filesOf(
  image: StrictImage | undefined,
  change: (file: StrictFile) => Partial<StrictFile> = () => ({}),
): ReadonlyMap<string, StrictFile> {
  return new Map([...(image?.files ?? [])].map(([path, file]) => [path, { ...file, ...change(file) }]))
}

/** One assertion with the first paths that differ, because there are thousands. */
function samePaths(
  t: Test,
  found: ReadonlyMap<string, StrictFile | string>,
  wanted: ReadonlyMap<string, StrictFile | string>,
  what: string,
): void {
  const plain = (file: StrictFile | string | undefined): string =>
    JSON.stringify(file, (key, value: unknown) => {
      if (key === 'names' && Array.isArray(value)) return [value.length, value[0]] // says which of the links it is
      return typeof value === 'bigint' ? String(value) : value
    })
  const paths = new Set([...found.keys(), ...wanted.keys()])
  const differing = [...paths].filter(path => plain(found.get(path)) !== plain(wanted.get(path)))
  const shown = differing.slice(0, 3).map(path => [path, plain(found.get(path)), plain(wanted.get(path))])
  t.same(shown, [], `${what}: the same`)
  t.equal(found.size, wanted.size)
}

/** What a layer cannot hold. */
const withoutShortName = (): Partial<StrictFile> => ({ shortName: '' })
/** What wimlib-imagex does not write to NTFS beside it: extended attributes. */
const onNtfs = (): Partial<StrictFile> => ({ shortName: '', items: {} })

/** What `wimlib-imagex dir --detailed` tells of an image, without short names, positions and the numbers of link groups. */
function told(wim: string, image: number): ReadonlyMap<string, string> {
  const numbered = /^\s*(Link Group ID|Short Name|Offset in WIM|Compressed size)\s+=.*\n/gm
  return new Map([...details(wim, image)].map(([path, block]) => [path, block.replace(numbered, '')]))
}

t.test('a base image of Server Core comes back from a bundle as the files that it had', async t => {
  const wim = serverCoreWim(t)
  const cwd = scratch(t)
  const before = readStrictWim(wim)
  const [core, utilityVm] = before.images
  const files = [...(core?.files ?? [])]
  t.ok(files.filter(([path, { names }]) => path !== names[0]).length > 1500, 'hard links by the thousand')
  t.ok(files.some(([path]) => path.length > 1000) && files.some(([path]) => /\/n{255}$/.test(path)), 'long names')

  const made = JSON.parse(await run(t, cwd, 'layer', 'from-wim', wim, '-o', 'layer.tar.gz', '--json'))
  t.match(made, { skipped: [], warnings: [], images: [{ name: 'WindowsServerCore' }, { name: 'UtilityVM' }] })
  t.match(made.counts, { symlinks: 3, streams: 0 })
  const shortNames = before.images
    .flatMap(({ files }) => [...files.values()])
    .filter(({ shortName }) => shortName !== '')
  t.equal(made.lost.shortNames, shortNames.length)
  t.equal(
    Object.values(made.lost as Record<string, number>).reduce((a, b) => a + b),
    shortNames.length,
    'nothing else',
  )
  t.equal(
    Object.values(made.mended as Record<string, number>).reduce((a, b) => a + b),
    0,
    'nothing is mended',
  )
  t.match(
    await run(t, cwd, 'layer', 'check', '--strict', 'layer.tar.gz'),
    /^layer\.tar\.gz: OK \(\d+ entries read\)\n$/,
  )

  const packed = JSON.parse(await run(t, cwd, 'pack', `wim:${wim}`, '-o', 'bundle', '--json'))
  t.match(packed.images, [{ names: [`docker.io/library/windowsservercore:${VERSION}`] }])
  const blob = join(cwd, 'bundle', 'blobs', 'sha256', String(made.digest).slice(7))
  t.ok(readFileSync(blob).equals(readFileSync(join(cwd, 'layer.tar.gz'))), 'the layer in the bundle is the same')
  t.match(await run(t, cwd, 'verify', 'bundle'), /^bundle: OK/m)
  execFileSync('sha256sum', ['-c', '--quiet', 'SHA256SUMS'], { cwd: join(cwd, 'bundle') })

  await run(t, cwd, 'copy', 'bundle:bundle', 'wim:back.wim')
  const back = join(cwd, 'back.wim')
  wimlib('verify', back)
  const after = readStrictWim(back)
  t.equal(after.images.length, 2)
  samePaths(t, filesOf(after.images[0]), filesOf(core, withoutShortName), 'Files')
  samePaths(t, filesOf(after.images[1]), filesOf(utilityVm, withoutShortName), 'UtilityVM')
  t.same([...after.blobs.keys()].sort(), [...before.blobs.keys()].sort(), 'the same contents, each once')
  const [major, minor, build, revision] = VERSION.split('.')
  const version = `<MAJOR>${major}</MAJOR><MINOR>${minor}</MINOR><BUILD>${build}</BUILD><SPBUILD>${revision}</SPBUILD>`
  for (const word of ['<ARCH>9</ARCH>', version]) t.ok(after.xml.includes(word), word)
  for (const image of [1, 2])
    samePaths(t, told(back, image), told(wim, image), `image ${image}, as wimlib-imagex dir --detailed tells it`)

  await t.test('as hivex reads its registry', async t => {
    const config = 'Windows/System32/config'
    const hives = ['SYSTEM', 'SOFTWARE', 'SAM', 'SECURITY', 'DEFAULT'].map(name => `/${config}/${name}`)
    wimlib('extract', back, '1', ...hives, `--dest-dir=${join(cwd, 'hives')}`)
    wimlib('extract', back, '2', '/EFI/Microsoft/Boot/BCD', `--dest-dir=${join(cwd, 'hives')}`)
    for (const [name, key] of Object.entries(HIVES)) t.same(readHive(join(cwd, 'hives', name)), plainHive(key), name)
  })

  await t.test('and as they are on NTFS', async t => {
    const volume = join(cwd, 'volume.ntfs')
    for (const [n, image] of [core, utilityVm].entries()) {
      execFileSync('truncate', ['-s', '128M', volume])
      execFileSync('mkntfs', ['-F', '-Q', '-q', volume], { stdio: 'ignore' })
      wimlib('apply', back, String(n + 1), volume)
      wimlib('capture', volume, `${volume}.wim`, '--norpfix', '--compress=none')
      const [applied] = readStrictWim(`${volume}.wim`).images
      samePaths(t, filesOf(applied), filesOf(image, onNtfs), `image ${n + 1}`)
      execFileSync('rm', [volume, `${volume}.wim`])
    }
  })
})

t.test('every image of an install.wim comes back as it was, if nothing is to be lost', async t => {
  const wim = installWim(t)
  const cwd = scratch(t)
  const before = readStrictWim(wim)
  t.match(await stowage(['pack', `wim:${wim}`, '-o', 'bundle'], { cwd }), { code: 2, stderr: /3 images: name one/ })
  const { code, stderr } = await stowage(
    ['pack', ...EDITIONS.map((_, n) => `wim:${wim}#${n + 1}`), '-o', 'bundle', '--lossless'],
    { cwd },
  )
  t.equal(code, 0, stderr)
  t.equal(stderr.match(/^warning: image \d .* is for installing Windows/gm)?.length, 3)
  t.match(await run(t, cwd, 'verify', 'bundle'), /^bundle: OK/m)
  for (const [n, edition] of EDITIONS.entries()) {
    const name = `windows-server-2022-${edition.toLowerCase()}:${VERSION}`
    const back = join(cwd, `${edition}.wim`)
    await run(t, cwd, 'copy', `bundle:bundle:${name}`, `wim:${basename(back)}`)
    const { images } = readStrictWim(back)
    t.equal(images.length, 1)
    samePaths(t, filesOf(images[0]), filesOf(before.images[n]), edition)
    wimlib('verify', back)
    const info = wimlib('info', back, '1')
    t.match(info, /^Architecture: +x86_64$/m)
  }
})

t.test('a layer of an install.wim has the findings that its streams and its lack of a utility VM deserve', async t => {
  const wim = installWim(t)
  const cwd = scratch(t)
  await run(t, cwd, 'layer', 'from-wim', wim, '--image', '2', '-o', 'layer.tar.zst', '--compression', 'zstd')
  const { layers } = JSON.parse(await run(t, cwd, 'layer', 'check', 'layer.tar.zst', '--json'))
  t.match(layers, [
    {
      ok: true,
      findings: [
        { code: 'STREAM_CIM', grade: 'cim', count: 2 },
        { code: 'UTILITY_VM_MISSING', grade: 'doubtful', count: 1 },
      ],
    },
  ])
  t.equal(layers[0].findings.length, 2)
  await run(t, cwd, 'layer', 'to-wim', 'layer.tar.zst', '-o', 'back.wim')
  const [before, after] = [details(wim, 2), details(join(cwd, 'back.wim'), 1)]
  t.same([...after.keys()].sort(), [...before.keys()].sort(), 'the same paths, as wimlib-imagex shows them')
  for (const path of ['/Users/Public/readme.txt', '/Users/Default User'])
    t.equal(field(after.get(path) ?? '', 'Attributes'), field(before.get(path) ?? '', 'Attributes'))
})
