/** Bundles that can be read only once: compressed, from a pipe, from standard input. */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openBundleReader } from '../../src/bundle/reader.js'
import { verifyBundle } from '../../src/bundle/verify.js'
import { blobPath } from '../../src/oci/layout.js'
import { inspect } from '../../src/verbs/inspect.js'
import { loadBundle } from '../../src/verbs/load.js'
import { pack } from '../../src/verbs/pack.js'
import { writeBundle } from '../support/bundles.js'
import { flipped, layeredImage, type TestImage, windowsImage } from '../support/images.js'
import { scratch } from '../support/scratch.js'

const images: Record<string, TestImage> = { 'shop:1': await layeredImage(3), 'win:1': await windowsImage() }
const pristine = join(t.testdir(), 'site.tar')
await writeBundle(pristine, images)
const layer = blobPath(images['shop:1']!.layers[1]!.digest)
const manifest = blobPath(images['shop:1']!.root.digest)

const TOOLS = { 'tar.gz': 'gzip', 'tar.zst': 'zstd', 'tar.xz': 'xz' } as const

/** The plain tar and what other tools make of it, by form; a pipe is a FIFO that `cat` fills. */
function formsOf(t: Test, tar: string): ReadonlyMap<string, () => string> {
  const root = scratch(t)
  const forms = new Map<string, () => string>()
  for (const [ending, tool] of Object.entries(TOOLS)) {
    const path = join(root, `site.${ending}`)
    writeFileSync(path, execFileSync(tool, ['-c', tar], { maxBuffer: 1 << 28 }))
    forms.set(tool, () => path)
  }
  forms.set('pipe', () => {
    const path = join(root, `pipe${forms.size}-${Math.random()}`)
    execFileSync('mkfifo', [path])
    spawn('sh', ['-c', 'cat "$0" > "$1"', tar, path], { stdio: 'ignore' })
    return path
  })
  return forms
}

/** `pristine` with some of its bytes changed. */
function changed(t: Test, change: (bytes: Buffer) => Uint8Array): string {
  const path = join(scratch(t), 'site.tar')
  writeFileSync(path, change(readFileSync(pristine)))
  return path
}

/** The content of the member `name` replaced with other bytes of the same length. */
function damage(bytes: Buffer, name: string): Buffer {
  let at = bytes.indexOf(name)
  while (at % 512 !== 0) at = bytes.indexOf(name, at + 1) // until it is that of a header
  return Buffer.concat([
    bytes.subarray(0, at + 512),
    flipped(bytes.subarray(at + 512, at + 520)),
    bytes.subarray(at + 520),
  ])
}

/** A report without what differs between the forms: the path. */
async function reportOf(path: string) {
  const { files, size, ok, findings, images } = await verifyBundle(path)
  return { files, size, ok, images, findings: findings.map(({ code, path, message }) => [code, path, message]) }
}

t.test('verifyBundle() says of a compressed bundle and of a pipe what it says of the tar', async t => {
  for (const [name, change] of [
    ['intact', (bytes: Buffer) => bytes],
    ['a damaged layer', (bytes: Buffer) => damage(bytes, layer)],
    ['a damaged manifest', (bytes: Buffer) => damage(bytes, manifest)],
    ['a damaged list', (bytes: Buffer) => damage(bytes, 'SHA256SUMS')],
    ['a damaged document', (bytes: Buffer) => damage(bytes, 'README.txt')],
    ['another name', (bytes: Buffer) => bytes],
  ] as const) {
    const tar = changed(t, change)
    if (name === 'another name') execFileSync('tar', ['--append', '-f', tar, '-C', '/etc', 'hostname'])
    const expected = await reportOf(tar)
    t.equal(expected.ok, name === 'intact', name)
    for (const [form, path] of formsOf(t, tar)) t.same(await reportOf(path()), expected, `${name}, ${form}`)
  }
})

t.test('what is cut short is a finding, and nothing of it is loaded or stays', async t => {
  const whole = readFileSync(pristine)
  for (const length of [0, 100, 512, 5000, whole.length >> 1, whole.length - 1024]) {
    const tar = changed(t, bytes => bytes.subarray(0, length))
    for (const [form, path] of formsOf(t, tar)) {
      if (form === 'pipe') await t.rejects(verifyBundle(path()), { code: 'INVALID_TAR', hint: /run both again/ })
      else
        t.match(await verifyBundle(path()), { ok: false, findings: [{ code: 'INVALID_TAR' }] }, `${form} of ${length}`)
      const store = join(scratch(t), 'store')
      await t.rejects(loadBundle(path(), { to: `oci:${store}` }), { code: 'INVALID_TAR' }, `${form} of ${length}`)
      t.notOk(existsSync(store))
      t.same(readdirSync(join(store, '..')), [], 'and no workspace is left')
    }
  }
  for (const tool of Object.values(TOOLS)) {
    const path = join(scratch(t), `site.tar.${tool}`)
    const packed = execFileSync(tool, ['-c', pristine], { maxBuffer: 1 << 28 })
    writeFileSync(path, packed.subarray(0, packed.length - 3))
    await t.rejects(openBundleReader(path), { code: 'INVALID_TAR', hint: /Copy the file again/ }, tool)
  }
})

t.test(
  'loadBundle() loads what it loads of the tar, says where it is stored meanwhile, and leaves nothing there',
  async t => {
    const plain = join(scratch(t), 'store')
    const expected = await loadBundle(pristine, { to: `oci:${plain}` })
    for (const [form, path] of formsOf(t, pristine)) {
      const root = scratch(t)
      const notices: string[] = []
      const to = `oci:${join(root, 'store')}`
      const loaded = await loadBundle(path(), { to, onNotice: text => notices.push(text) })
      t.same(loaded.images, expected.images, form)
      t.equal(notices.length, 1)
      t.match(notices[0], /: storing it in .*\.stowage-\w+ first; if interrupted, it starts again$/)
      t.ok(notices[0]?.includes(root), 'beside the destination')
      t.same(readdirSync(root), ['store'])
      execFileSync('diff', ['-r', plain, join(root, 'store')])
      const one = await loadBundle(path(), { to: `oci:${join(root, 'one')}`, names: ['win:1'] })
      t.same(one.images, [expected.images[1]])
    }
  },
)

/** Without a place for temporary files: storing anything fails. */
async function withoutStore<T>(t: Test, work: () => Promise<T>): Promise<T> {
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = join(scratch(t), 'absent')
  try {
    return await work()
  } finally {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  }
}

for (const scheme of ['docker-archive', 'oci-archive']) {
  t.test(`loadBundle() writes ${scheme}: while it reads, and stores nothing`, async t => {
    const plain = join(scratch(t), 'site.tar')
    const expected = await loadBundle(pristine, { to: `${scheme}:${plain}` })
    for (const [form, path] of formsOf(t, pristine)) {
      const root = scratch(t)
      mkdirSync(join(root, 'to'))
      const to = join(root, 'to', 'site.tar')
      const notices: string[] = []
      const loaded = await loadBundle(path(), {
        to: `${scheme}:${to}`,
        onNotice: text => notices.push(text),
      })
      t.same(loaded.images, expected.images, form)
      t.equal(notices.length, 1, 'and not that something is stored')
      t.match(notices[0], form === 'pipe' ? /is a stream: if interrupted, it starts again$/ : /is compressed with/)
      t.same(readdirSync(join(root, 'to')), ['site.tar'])
      execFileSync('cmp', [plain, to])
    }
  })
}

t.test('loadBundle() writes no archive of a stream that breaks off or lies at its end', async t => {
  const whole = readFileSync(pristine)
  const inputs: readonly (readonly [string, Buffer, string])[] = [
    ...[100, 5000, whole.length >> 1, whole.length - 1024].map(
      length => [`${length} bytes`, whole.subarray(0, length), 'INVALID_TAR'] as const,
    ),
    ['a damaged bundle.json', damage(whole, 'bundle.json'), 'INVALID_MANIFEST'],
    ['a damaged head', damage(whole, 'manifest.json'), 'DIGEST_MISMATCH'],
    ['a damaged manifest', damage(whole, manifest), 'DIGEST_MISMATCH'],
  ]
  for (const [name, bytes, code] of inputs) {
    const tar = changed(t, () => bytes)
    for (const [form, path] of formsOf(t, tar)) {
      const to = scratch(t)
      await t.rejects(loadBundle(path(), { to: `oci-archive:${to}/a.tar` }), { code }, `${name}, ${form}`)
      t.same(readdirSync(to), [], `${name}, ${form}`)
    }
  }
})

t.test('a stream in another order loads too: what comes too early is stored, and removed', async t => {
  const root = scratch(t)
  execFileSync('tar', ['-x', '-f', pristine, '-C', root])
  const names = execFileSync('tar', ['-t', '-f', pristine], { encoding: 'utf8' }).trim().split('\n')
  const files = names.filter(name => !name.endsWith('/')).reverse()
  const reversed = join(scratch(t), 'reversed.tar')
  execFileSync('tar', ['-c', '-f', reversed, '-C', root, ...files])
  const plain = join(scratch(t), 'a.tar')
  await loadBundle(pristine, { to: `oci-archive:${plain}` })
  for (const [form, path] of formsOf(t, reversed)) {
    const to = scratch(t)
    const loaded = await loadBundle(path(), { to: `oci-archive:${to}/a.tar` })
    t.same(
      loaded.images.map(({ error }) => error),
      [undefined, undefined],
      form,
    )
    t.same(readdirSync(to), ['a.tar'])
    execFileSync('cmp', [plain, join(to, 'a.tar')])
  }
})

t.test('loadBundle() loads no image with a wrong layer, and all others', async t => {
  const tar = changed(t, bytes => damage(bytes, layer))
  for (const [form, path] of formsOf(t, tar)) {
    const { images } = await loadBundle(path(), { to: `oci:${join(scratch(t), 'store')}` })
    t.same(
      images.map(({ error }) => error?.code),
      ['DIGEST_MISMATCH', undefined],
      form,
    )
  }
})

t.test('inspect() reads a compressed bundle and a pipe without storing anything', async t => {
  const expected = await inspect(`bundle:${pristine}`)
  const forms = formsOf(t, pristine)
  await withoutStore(t, async () => {
    for (const [form, path] of forms) t.same((await inspect(`bundle:${path()}`)).images, expected.images, form)
  })
})

t.test('pack() writes a compressed bundle: the tar, as other tools unpack it, and again the same bytes', async t => {
  for (const [ending, tool] of Object.entries(TOOLS)) {
    const root = scratch(t)
    const output = join(root, `site.${ending}`)
    const packed = await pack([`bundle:${pristine}`], output)
    t.match(packed, { path: output, form: 'tar', compression: tool, size: readFileSync(output).length })
    t.ok(execFileSync(tool, ['-dc', output], { maxBuffer: 1 << 28 }).equals(readFileSync(pristine)), tool)
    await pack([`bundle:${output}`], join(root, `again.${ending}`))
    t.ok(readFileSync(join(root, `again.${ending}`)).equals(readFileSync(output)))
    t.same(readdirSync(root).sort(), [`again.${ending}`, `site.${ending}`])
    await t.rejects(pack([`bundle:${pristine}`], output), { code: 'OUTPUT_EXISTS' })
  }
})

t.test('a compressed bundle that fails leaves nothing', async t => {
  const root = scratch(t)
  const bad = changed(t, bytes => damage(bytes, layer))
  await t.rejects(pack([`bundle:${bad}`], join(root, 'x.tar.zst')), { code: 'DIGEST_MISMATCH' })
  const controller = new AbortController()
  controller.abort()
  await t.rejects(pack([`bundle:${pristine}`], join(root, 'x.tar.xz'), { signal: controller.signal }), {
    code: 'ABORTED',
  })
  t.same(readdirSync(root), [])
})

t.test('a compression that is not read is named, with the command that undoes it', async t => {
  const path = join(scratch(t), 'site.tar.bz2')
  writeFileSync(path, Buffer.concat([Buffer.from('BZh91AY&SY'), Buffer.alloc(1000)]))
  await t.rejects(verifyBundle(path), { code: 'UNSUPPORTED', hint: /bzip2 -d/ })
  await t.rejects(openBundleReader(path), { code: 'UNSUPPORTED', hint: /bzip2 -d/ })
})
