import { execFileSync } from 'node:child_process'
import { appendFile, cp, mkdir, open, readFile, rename, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { integrityOf } from '../../src/bundle/manifest.js'
import { openBundleReader } from '../../src/bundle/reader.js'
import { digestOf } from '../../src/oci/digest.js'
import { blobPath } from '../../src/oci/layout.js'
import { verifyBundle } from '../../src/bundle/verify.js'
import { sumsAgree, writeBundle } from '../support/bundles.js'
import { flipped, layeredImage, multiPlatformImage, type TestImage, windowsImage } from '../support/images.js'

const images: Record<string, TestImage> = {
  'shop:1': await layeredImage(2),
  'multi:1': await multiPlatformImage(),
  'win:1': await windowsImage(),
}
const layer = blobPath(images['shop:1']!.layers[1]!.digest)
const config = blobPath(images['shop:1']!.config.digest)
const pristine = t.testdir()
await writeBundle(join(pristine, 'dir'), images)
await writeBundle(join(pristine, 'x.tar'), images)

type Damage = (bundle: string) => Promise<unknown>

/** Findings of a copy of the pristine bundle after `damage`, each as "CODE path"; sha256sum must see the same. */
async function findingsOf(t: Tester, damage: Damage, { sums = false } = {}): Promise<string[]> {
  const bundle = join(t.testdir(), 'bundle')
  await cp(join(pristine, 'dir'), bundle, { recursive: true })
  await damage(bundle)
  const { findings, ok } = await verifyBundle(bundle)
  t.equal(ok, findings.length === 0)
  t.equal(sumsAgree(bundle), sums, 'sha256sum -c')
  return findings.map(({ code, path }) => `${code} ${path}`)
}

type Tester = Pick<Test, 'testdir' | 'equal'>

async function flip(path: string): Promise<void> {
  await writeFile(path, flipped(await readFile(path)))
}

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
  execFileSync(
    'sh',
    ['-c', "find . -type f ! -name SHA256SUMS -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum > SHA256SUMS"],
    { cwd: bundle },
  )
}

t.test('verifyBundle() finds nothing wrong with what the writer made', async t => {
  t.same(await findingsOf(t, async () => {}, { sums: true }), [])
  const report = await verifyBundle(join(pristine, 'x.tar'))
  t.same([report.ok, report.findings, report.images.length], [true, [], 3])
})

t.test('verifyBundle() names the file with a flipped byte', async t => {
  t.same(await findingsOf(t, async bundle => await flip(join(bundle, layer))), [`DIGEST_MISMATCH ${layer}`])
  t.same(await findingsOf(t, async bundle => await flip(join(bundle, 'README.txt'))), ['DIGEST_MISMATCH README.txt'])
})

t.test('verifyBundle() names what is missing, and what is too short', async t => {
  t.same(await findingsOf(t, async bundle => await rm(join(bundle, layer))), [`FILE_MISSING ${layer}`])
  t.same(await findingsOf(t, async bundle => await truncate(join(bundle, layer), 5)), [`SIZE_MISMATCH ${layer}`])
  t.same(await findingsOf(t, async bundle => await rm(join(bundle, 'manifest.json'))), ['FILE_MISSING manifest.json'])
})

t.test('verifyBundle() goes on after the first defect', async t => {
  const found = await findingsOf(t, async bundle => {
    await flip(join(bundle, layer))
    await flip(join(bundle, config))
    await rm(join(bundle, 'README.txt'))
    await writeFile(join(bundle, 'extra.txt'), 'x')
  })
  t.same(
    new Set(found),
    new Set([
      `DIGEST_MISMATCH ${layer}`,
      `DIGEST_MISMATCH ${config}`,
      `DIGEST_MISMATCH ${blobPath(images['shop:1']!.root.digest)}`,
      'FILE_MISSING README.txt',
      'FILE_EXTRA extra.txt',
    ]),
    'the image whose config is wrong cannot be read, which is a finding of its root',
  )
})

t.test('verifyBundle() names what is extra, and what is not a regular file', async t => {
  const extra = async (bundle: string) => {
    await mkdir(join(bundle, 'blobs/deep'))
    await writeFile(join(bundle, 'blobs/deep/file'), '')
    await symlink('/etc/passwd', join(bundle, 'link'))
    execFileSync('mkfifo', [join(bundle, 'pipe')])
  }
  t.same(await findingsOf(t, extra, { sums: true }), [
    'FILE_EXTRA blobs/deep/file',
    'NOT_A_FILE link',
    'NOT_A_FILE pipe',
  ])
})

t.test('verifyBundle() does not follow a link that stands for a list', async t => {
  for (const file of ['SHA256SUMS', 'bundle.json']) {
    const found = await findingsOf(
      t,
      async bundle => {
        await rename(join(bundle, file), `${bundle}-${file}`)
        await symlink(`../bundle-${file}`, join(bundle, file))
      },
      { sums: true },
    )
    t.same(found, [`NOT_A_FILE ${file}`])
  }
})

t.test('verifyBundle() names a file whose name is not UTF-8', async t => {
  const name = Buffer.from('caf\xe9.txt', 'latin1')
  const file = async (bundle: string) => await writeFile(Buffer.concat([Buffer.from(`${bundle}/`), name]), 'x')
  t.same(await findingsOf(t, file, { sums: true }), ['NOT_A_FILE caf\ufffd.txt'])
  const directory = async (bundle: string) => await mkdir(Buffer.concat([Buffer.from(`${bundle}/`), name]))
  t.same(await findingsOf(t, directory, { sums: true }), ['NOT_A_FILE caf\ufffd.txt'])
})

t.test('verifyBundle() does not follow a link that stands for a blob', async t => {
  const bundle = join(t.testdir(), 'bundle')
  await cp(join(pristine, 'dir'), bundle, { recursive: true })
  await rename(join(bundle, layer), join(t.testdirName, 'elsewhere'))
  await symlink(join(t.testdirName, 'elsewhere'), join(bundle, layer))
  const { findings } = await verifyBundle(bundle)
  t.match(
    findings.map(({ code, path }) => `${code} ${path}`),
    [`NOT_A_FILE ${layer}`],
  )
  await using reader = await openBundleReader(bundle)
  t.equal(await reader.has(images['shop:1']!.layers[1]!), false)
})

t.test('verifyBundle() compares the two lists', async t => {
  const found = await findingsOf(
    t,
    async bundle => {
      const sums = await readFile(join(bundle, 'SHA256SUMS'), 'utf8')
      await writeFile(
        join(bundle, 'SHA256SUMS'),
        sums
          .split('\n')
          .filter(line => !line.endsWith(layer))
          .join('\n'),
      )
    },
    { sums: true },
  )
  t.same(found, [`LISTS_DIFFER ${layer}`])
  const digest = '0'.repeat(64)
  const wrong = await findingsOf(t, async bundle => {
    const sums = await readFile(join(bundle, 'SHA256SUMS'), 'utf8')
    await writeFile(join(bundle, 'SHA256SUMS'), sums.replace(/^.*README/m, `${digest}  README`))
  })
  t.same(wrong, ['DIGEST_MISMATCH README.txt', 'LISTS_DIFFER README.txt'])
})

t.test('verifyBundle() reads the images, not only the lists', async t => {
  const lost = await findingsOf(
    t,
    async bundle => {
      await edit(bundle, 'index.json', json => json.manifests.splice(0, 1))
      await reseal(bundle, 'index.json')
    },
    { sums: true },
  )
  t.ok(lost.includes('IMAGES_DIFFER bundle.json'))
  t.ok(lost.includes('IMAGES_DIFFER manifest.json'))
  t.ok(lost.includes(`FILE_EXTRA ${blobPath(images['multi:1']!.root.digest)}`), 'its blobs belong to no image now')
  const tags = await findingsOf(
    t,
    async bundle => {
      await edit(bundle, 'manifest.json', json => json[0].RepoTags.push('docker.io/library/evil:1'))
      await reseal(bundle, 'manifest.json')
    },
    { sums: true },
  )
  t.same(tags, ['IMAGES_DIFFER manifest.json'])
  const swapped = await findingsOf(
    t,
    async bundle => {
      await edit(bundle, 'manifest.json', json => json[1].Layers.reverse())
      await reseal(bundle, 'manifest.json')
    },
    { sums: true },
  )
  t.same(swapped, ['IMAGES_DIFFER manifest.json'])
  const platform = await findingsOf(
    t,
    async bundle => {
      await edit(bundle, 'bundle.json', json => (json.images[2].platforms[0].platform.os = 'linux'))
      await reseal(bundle, 'README.txt')
    },
    { sums: true },
  )
  t.same(platform, ['IMAGES_DIFFER bundle.json'])
})

t.test('verifyBundle() names a missing blob that no list speaks of', async t => {
  const found = await findingsOf(
    t,
    async bundle => {
      await rm(join(bundle, layer))
      await edit(
        bundle,
        'bundle.json',
        json => (json.files = json.files.filter(({ path }: { path: string }) => path !== layer)),
      )
      await reseal(bundle, 'README.txt')
    },
    { sums: true },
  )
  t.same(found, [`BLOB_MISSING ${layer}`])
})

t.test('verifyBundle() says what is not JSON or lacks a field, and checks the rest', async t => {
  t.same(await findingsOf(t, async bundle => await writeFile(join(bundle, 'bundle.json'), '{')), [
    'DIGEST_MISMATCH bundle.json',
    'INVALID_MANIFEST bundle.json',
  ])
  t.same(await findingsOf(t, async bundle => await appendFile(join(bundle, 'SHA256SUMS'), 'nonsense\n')), [
    'INVALID_MANIFEST SHA256SUMS',
  ])
})

t.test('verifyBundle() says INCOMPLETE of an unfinished bundle, and refuses what is not a bundle', async t => {
  const marked = await findingsOf(t, async bundle => await writeFile(join(bundle, 'INCOMPLETE'), 'x'), { sums: true })
  t.same(marked, ['INCOMPLETE INCOMPLETE'])
  const root = t.testdir({ empty: {}, file: 'no tar at all' })
  await t.rejects(verifyBundle(join(root, 'empty')), { code: 'NOT_A_BUNDLE' })
  await t.rejects(verifyBundle(join(root, 'absent')), { code: 'FILE_NOT_FOUND' })
  await t.rejects(verifyBundle(join(root, 'file')), { code: 'INVALID_TAR' })
  await t.rejects(verifyBundle('/dev/null'), { code: 'NOT_A_BUNDLE' })
})

t.test('verifyBundle() finds damage inside a tar', async t => {
  const tar = join(t.testdir(), 'x.tar')
  const copy = async () => await cp(join(pristine, 'x.tar'), tar, { force: true })
  const codes = async () => (await verifyBundle(tar)).findings.map(({ code, path }) => `${code} ${path}`)

  await copy()
  const file = await open(tar, 'r+')
  await using reader = await openBundleReader(tar)
  t.ok(reader.files.has(layer))
  const whole = await readFile(tar)
  const at = whole.indexOf(images['shop:1']!.blobs.get(images['shop:1']!.layers[1]!.digest)) + 1000
  await file.write(Buffer.from([(whole[at] ?? 0) ^ 1]), 0, 1, at)
  await file.close()
  t.same(await codes(), [`DIGEST_MISMATCH ${layer}`])

  await copy()
  await truncate(tar, (await stat(tar)).size - 2000)
  t.same(await codes(), [`INVALID_TAR ${tar}`])
  await t.rejects(openBundleReader(tar), { code: 'INVALID_TAR', message: /truncated/ })

  await copy()
  await writeFile(join(t.testdirName, 'extra.txt'), 'x')
  execFileSync('tar', ['-C', t.testdirName, '-rf', tar, 'extra.txt'])
  t.same(await codes(), ['FILE_EXTRA extra.txt'])

  execFileSync('tar', ['-C', join(pristine, 'dir'), '-cf', tar, '.'])
  t.same(await codes(), [], 'what GNU tar makes of the directory is the same bundle')
  execFileSync('tar', ['-C', join(pristine, 'dir'), `--exclude=./${layer}`, '-cf', tar, '.'])
  t.same(await codes(), [`FILE_MISSING ${layer}`])
})

t.test('verifyBundle() stops when it is told to', async t => {
  await t.rejects(verifyBundle(join(pristine, 'dir'), { signal: AbortSignal.abort() }), { code: 'ABORTED' })
})

t.test('verifyBundle() reports progress up to the size of all files', async t => {
  const seen: number[] = []
  let total = 0
  await verifyBundle(join(pristine, 'dir'), {
    onProgress(event) {
      if (event.type === 'bytes') [total] = [event.total ?? 0, seen.push(event.done)]
    },
  })
  t.equal(seen.at(-1), Math.max(...seen))
  t.ok(seen.at(-1)! <= total)
})
