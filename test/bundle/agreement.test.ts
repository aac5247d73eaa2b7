/** The table in docs/load.md: what `verify` finds, and what `load` does with the same bundle. */
import { execFileSync } from 'node:child_process'
import { appendFile, cp, mkdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { FindingCode } from '../../src/bundle/graph.js'
import { integrityOf } from '../../src/bundle/manifest.js'
import { verifyBundle } from '../../src/bundle/verify.js'
import { digestOf } from '../../src/oci/digest.js'
import { blobPath } from '../../src/oci/layout.js'
import { loadBundle, type LoadResult } from '../../src/verbs/load.js'
import { pack } from '../../src/verbs/pack.js'
import { stowage } from '../support/command.js'
import { flipped, layeredImage, makeImage, makeLayer, type TestImage, writeLayout } from '../support/images.js'
import { scratch } from '../support/scratch.js'

const shop = await layeredImage(2)
const greeting = await makeLayer({ greeting: 'hello' })
const wrong = makeImage([{ ...greeting, diffId: digestOf(Buffer.from('another tar')) }])
const [layer, config] = [blobPath(shop.layers[1]!.digest), blobPath(shop.config.digest)]

/** A bundle with one image and a file beside it. */
async function bundleOf(image: TestImage, place: string, volumeSize?: number): Promise<string> {
  const from = join(scratch(t), 'layout')
  await writeLayout(from, { 'docker.io/library/shop:1': image })
  const notes = join(from, 'notes.txt')
  await writeFile(notes, 'read me')
  await pack([`oci:${from}`], place, { files: [{ from: notes, path: 'notes.txt' }], deep: false, volumeSize })
  return place
}

const pristine = await bundleOf(shop, join(scratch(t), 'bundle'))
const tar = await bundleOf(shop, join(scratch(t), 'x.tar'))
const volumes = join(await bundleOf(shop, join(scratch(t), 'x.tar'), 100_000), '..')
const other = await bundleOf(wrong, join(scratch(t), 'bundle'))

const flip = async (path: string): Promise<void> => await writeFile(path, flipped(await readFile(path)))

async function edit(bundle: string, file: string, change: (json: any) => void): Promise<void> {
  const json = JSON.parse(await readFile(join(bundle, file), 'utf8'))
  change(json)
  await writeFile(join(bundle, file), JSON.stringify(json))
}

/** Makes both lists say what the file now is: what one does who can forge everything but a signature. */
async function reseal(bundle: string, file: string): Promise<void> {
  const bytes = await readFile(join(bundle, file))
  await edit(bundle, 'bundle.json', json => {
    const entry = json.files.find(({ path }: { path: string }) => path === file)
    Object.assign(entry, { size: bytes.length, integrity: integrityOf(digestOf(bytes)) })
  })
  await resum(bundle)
}

async function resum(bundle: string): Promise<void> {
  const names = "find . -type f ! -name SHA256SUMS -printf '%P\\n'"
  execFileSync('sh', ['-c', `${names} | LC_ALL=C sort | xargs sha256sum > SHA256SUMS`], { cwd: bundle })
}

interface Mutant {
  readonly what: string
  readonly damage: (bundle: string) => Promise<unknown>
  readonly path: string
  /** `bundle`: it is refused. `image`: its image is. `says`: it is loaded, and the finding said. */
  readonly load: 'bundle' | 'image' | 'says' | 'nothing'
  /** The error of a load that is refused. */
  readonly code?: string
  readonly from?: string
}

const BUNDLE = { load: 'bundle', code: 'BUNDLE_INVALID' } as const
const remove = (file: string) => async (bundle: string) => await rm(join(bundle, file))
const link = (file: string) => async (bundle: string) => {
  const away = join(bundle, '..', 'away')
  await rename(join(bundle, file), away)
  await symlink(away, join(bundle, file))
}

type NotHere = 'UNREADABLE' | 'MEDIUM_FAILED' | 'BASE_MISSING' | 'SIGNATURE_MISSING' | 'SIGNATURE_INVALID' | 'ROLLBACK'

/**
 * Every code but those of a medium that cannot be read (test/faults/failing-medium.test.ts), of what a delta leaves out
 * (test/delta), and of signatures (test/bundle/signatures.test.ts).
 */
const MUTANTS: Readonly<Record<Exclude<FindingCode, NotHere>, readonly Mutant[]>> = {
  INCOMPLETE: [
    { what: 'a marker', damage: async b => await writeFile(join(b, 'INCOMPLETE'), ''), path: 'INCOMPLETE', ...BUNDLE },
  ],
  INVALID_TAR: [
    {
      what: 'a byte in the padding',
      from: tar,
      path: '',
      damage: async file => {
        const bytes = await readFile(file)
        bytes[512 + bytes.indexOf('{"imageLayoutVersion"') - 512 + 40] = 1
        await writeFile(file, bytes)
      },
      load: 'bundle',
      code: 'INVALID_TAR',
    },
    {
      what: 'a byte after the end',
      from: tar,
      path: '',
      damage: async file => await appendFile(file, 'x'),
      load: 'bundle',
      code: 'INVALID_TAR',
    },
  ],
  INVALID_MANIFEST: [
    {
      what: 'a list that is no JSON',
      damage: async b => await writeFile(join(b, 'bundle.json'), '{'),
      path: 'bundle.json',
      load: 'bundle',
      code: 'INVALID_MANIFEST',
    },
    {
      what: 'a layout of another version',
      damage: async b => {
        await writeFile(join(b, 'oci-layout'), '{"imageLayoutVersion":"9"}')
        await reseal(b, 'oci-layout')
      },
      path: 'oci-layout',
      load: 'bundle',
      code: 'INVALID_MANIFEST',
    },
    {
      what: "a list for docker that is none, which load doesn't use",
      damage: async b => {
        await writeFile(join(b, 'manifest.json'), '{}')
        await reseal(b, 'manifest.json')
      },
      path: 'manifest.json',
      load: 'nothing',
    },
  ],
  FILE_MISSING: [
    { what: 'no README', damage: remove('README.txt'), path: 'README.txt', load: 'says' },
    { what: 'no carried file', damage: remove('files/notes.txt'), path: 'files/notes.txt', load: 'says' },
    { what: 'no layer', damage: remove(layer), path: layer, load: 'image', code: 'BLOB_MISSING' },
    { what: 'no SHA256SUMS', damage: remove('SHA256SUMS'), path: 'SHA256SUMS', ...BUNDLE },
  ],
  FILE_EXTRA: [
    { what: 'a file', damage: async b => await writeFile(join(b, 'x.txt'), ''), path: 'x.txt', load: 'says' },
    {
      what: 'a blob',
      damage: async b => await writeFile(join(b, 'blobs', 'sha256', 'x'), ''),
      path: 'blobs/sha256/x',
      load: 'says',
    },
    {
      what: 'a signature of 2 MiB',
      damage: async b => await writeFile(join(b, 'bundle.json.sig'), Buffer.alloc(1 << 21)),
      path: 'bundle.json.sig',
      load: 'says',
    },
  ],
  NOT_A_FILE: [
    { what: 'a link beside', damage: async b => await symlink('/etc/passwd', join(b, 'x')), path: 'x', load: 'says' },
    { what: 'a link as README', damage: link('README.txt'), path: 'README.txt', load: 'says' },
    { what: 'a link as a layer', damage: link(layer), path: layer, load: 'image', code: 'BLOB_MISSING' },
    { what: 'a link as a list', damage: link('index.json'), path: 'index.json', load: 'bundle', code: 'BLOB_MISSING' },
    {
      what: 'a link as a signature',
      damage: async b => await symlink('/etc/passwd', join(b, 'bundle.json.sig')),
      path: 'bundle.json.sig',
      load: 'says',
    },
  ],
  SIZE_MISMATCH: [
    { what: 'README', damage: async b => await truncate(join(b, 'README.txt'), 9), path: 'README.txt', load: 'says' },
    {
      what: 'a carried file',
      damage: async b => await appendFile(join(b, 'files/notes.txt'), 'x'),
      path: 'files/notes.txt',
      load: 'says',
    },
    {
      what: 'a layer',
      damage: async b => await truncate(join(b, layer), 9),
      path: layer,
      load: 'image',
      code: 'SIZE_MISMATCH',
    },
  ],
  DIGEST_MISMATCH: [
    { what: 'README', damage: async b => await flip(join(b, 'README.txt')), path: 'README.txt', load: 'says' },
    {
      what: 'a carried file, which is not read',
      damage: async b => await flip(join(b, 'files/notes.txt')),
      path: 'files/notes.txt',
      load: 'nothing',
    },
    {
      what: 'a layer',
      damage: async b => await flip(join(b, layer)),
      path: layer,
      load: 'image',
      code: 'DIGEST_MISMATCH',
    },
    {
      what: 'a config',
      damage: async b => await flip(join(b, config)),
      path: config,
      load: 'image',
      code: 'DIGEST_MISMATCH',
    },
    {
      what: 'index.json',
      damage: async b => await replaceIn(join(b, 'index.json'), '"', 0),
      path: 'index.json',
      load: 'bundle',
      code: 'DIGEST_MISMATCH',
    },
  ],
  DIFF_ID_MISMATCH: [
    {
      what: 'a layer, which a layout takes as it is',
      from: other,
      damage: async () => undefined,
      path: blobPath(wrong.layers[0]!.digest),
      load: 'nothing',
    },
  ],
  BLOB_MISSING: [
    {
      what: 'a blob that no list names either',
      damage: async b => {
        await rm(join(b, layer))
        await edit(b, 'bundle.json', json => {
          json.files = json.files.filter(({ path }: { path: string }) => path !== layer)
        })
        await resum(b)
      },
      path: layer,
      load: 'image',
      code: 'BLOB_MISSING',
    },
  ],
  LISTS_DIFFER: [
    {
      what: 'about a blob',
      damage: async b => await replaceIn(join(b, 'SHA256SUMS'), layer.slice(-64), 64),
      path: layer,
      ...BUNDLE,
    },
    {
      what: 'about README',
      damage: async b => await replaceIn(join(b, 'SHA256SUMS'), '  README.txt', 0),
      path: 'README.txt',
      load: 'says',
    },
  ],
  IMAGES_DIFFER: [
    {
      what: 'another name',
      damage: async b => {
        await edit(b, 'index.json', json => {
          json.manifests[0].annotations['io.containerd.image.name'] = 'docker.io/library/evil:1'
        })
        await reseal(b, 'index.json')
      },
      path: 'bundle.json',
      ...BUNDLE,
    },
    {
      what: 'an image that only index.json has',
      damage: async b => {
        await edit(b, 'bundle.json', json => {
          json.images = []
        })
        await resum(b)
      },
      path: 'bundle.json',
      ...BUNDLE,
    },
    {
      what: 'a size, of which load knows better',
      damage: async b => {
        await edit(b, 'bundle.json', json => {
          json.images[0].size += 1
        })
        await resum(b)
      },
      path: 'bundle.json',
      load: 'nothing',
    },
  ],
  VOLUME_MISSING: [
    {
      what: 'the second',
      from: volumes,
      damage: async directory => await rm(join(directory, 'x.tar.002')),
      path: 'x.tar.002',
      load: 'bundle',
      code: 'VOLUME_MISSING',
    },
  ],
  VOLUME_WRONG: [
    {
      what: 'cut short',
      from: volumes,
      damage: async directory => await truncate(join(directory, 'x.tar.002'), 100),
      path: 'x.tar.002',
      load: 'bundle',
      code: 'VOLUME_WRONG',
    },
  ],
}

/** Changes the hex digit that is `before` characters before `text`. */
async function replaceIn(path: string, text: string, before: number): Promise<void> {
  const content = await readFile(path, 'utf8')
  const at = content.lastIndexOf(text) - (before || 1) - (before ? 'blobs/sha256/  '.length : 0)
  const digit = content[at] === '0' ? '1' : '0'
  await writeFile(path, content.slice(0, at) + digit + content.slice(at + 1))
}

async function loaded(bundle: string): Promise<{ result?: LoadResult; code?: string; notices: string[] }> {
  const notices: string[] = []
  try {
    const to = `oci:${join(scratch(t), 'store')}`
    const result = await loadBundle(bundle, { to, onNotice: sentence => notices.push(sentence) })
    return { result, notices }
  } catch (error) {
    return { code: (error as { code: string }).code, notices }
  }
}

for (const [code, mutants] of Object.entries(MUTANTS)) {
  t.test(`verify and load agree about ${code}`, async t => {
    for (const { what, damage, path, load, code: expected, from = pristine } of mutants) {
      const copy = join(scratch(t), from === tar ? 'x.tar' : 'bundle')
      await cp(from, copy, { recursive: true })
      await damage(copy)
      const bundle = from === volumes ? join(copy, 'x.tar.001') : copy
      const { findings, ok } = await verifyBundle(bundle)
      t.equal(ok, false, what)
      t.match(
        findings.find(each => each.code === code && each.path.endsWith(path)),
        { code },
        `verify finds it: ${what}`,
      )
      const { result, code: refused, notices } = await loaded(bundle)
      if (load === 'bundle') {
        t.equal(refused, expected, `load refuses the bundle: ${what}`)
        continue
      }
      t.equal(result?.images[0]?.error?.code, expected, `${load}: ${what}`)
      if (load === 'nothing') t.same([result?.doubts, notices], [[], []], what)
      if (load !== 'says') continue
      t.match(result?.doubts, [{ code, path }], `load says it: ${what}`)
      t.match(notices, [new RegExp(`^${code}  ${path}: `), /is not as it was packed: "stowage verify /])
    }
  })
}

t.test('what may stand beside the contents of a bundle is neither found nor said', async t => {
  const copy = join(scratch(t), 'bundle')
  await cp(pristine, copy, { recursive: true })
  const names = [
    'bundle.json.sig',
    'bundle.json.a1-B_2.sig',
    'bundle.json.sigstore.json',
    'bundle.json.k.sigstore.json',
  ]
  for (const name of [...names, 'receipt-2026-11-30.json', 'recovery.par2', 'recovery.vol000+10.par2'])
    await writeFile(join(copy, name), 'x')
  t.match(await verifyBundle(copy), { ok: true })
  t.match(await loaded(copy), { result: { doubts: [] }, notices: [] })
  for (const name of [
    'bundle.json.a b.sig',
    'bundle.json.sig.bak',
    'xreceipt-1.json',
    'receipt-.json',
    'recovery.txt',
  ]) {
    await writeFile(join(copy, name), 'x')
    t.match(await verifyBundle(copy), { findings: [{ code: 'FILE_EXTRA', path: name }] })
    await rm(join(copy, name))
  }
  await mkdir(join(copy, 'files', 'x'))
  await writeFile(join(copy, 'files', 'x', 'bundle.json.sig'), 'x')
  t.match(await verifyBundle(copy), { ok: false }, 'at the top alone')
})

t.test('pack --update removes the signatures of the bundle before, says so, and keeps receipts', async t => {
  const copy = join(scratch(t), 'bundle')
  await cp(pristine, copy, { recursive: true })
  await writeFile(join(copy, 'bundle.json.sig'), 'x')
  await writeFile(join(copy, 'receipt-1.json'), 'x')
  const from = join(scratch(t), 'layout')
  await writeLayout(from, { 'docker.io/library/shop:2': makeImage([greeting]) })
  const { code, stderr } = await stowage(['pack', `oci:${from}`, '-o', copy, '--update'])
  t.equal(code, 0)
  t.match(stderr, 'The bundle before was signed, and the new one is not: bundle.json.sig was removed.')
  t.match(await verifyBundle(copy), { ok: true })
  t.equal(await readFile(join(copy, 'receipt-1.json'), 'utf8'), 'x')
  await t.rejects(readFile(join(copy, 'bundle.json.sig')), { code: 'ENOENT' })
})

t.test('stowage load says on stderr and in its JSON what is wrong beside the images', async t => {
  const copy = join(scratch(t), 'bundle')
  await cp(pristine, copy, { recursive: true })
  for (let n = 0; n < 7; n++) await writeFile(join(copy, `extra-${n}`), '')
  const { code, stdout, stderr } = await stowage(['load', '--json', copy, '--to', `oci:${join(scratch(t), 'store')}`])
  t.equal(code, 0)
  t.equal(JSON.parse(stdout).doubts.length, 7)
  t.match(stderr, 'FILE_EXTRA  extra-0: neither bundle.json nor SHA256SUMS lists the file')
  t.match(stderr, 'and 2 more')
  t.match(await stowage(['verify', copy]), { code: 4 })
  const stream = await stowage(['load', '--json', '-', '--to', `oci-archive:${join(scratch(t), 'y.tar')}`], {
    input: await tarOf(copy),
  })
  t.match([stream.code, JSON.parse(stream.stdout).doubts.length], [0, 7], 'also of a stream')
})

async function tarOf(directory: string): Promise<string> {
  const file = join(scratch(t), 'x.tar')
  execFileSync('tar', ['-cf', file, '-C', directory, '.'])
  return file
}
