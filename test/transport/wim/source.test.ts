import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readImage } from '../../../src/blob/closure.js'
import { BlobDirectory } from '../../../src/blob/directory.js'
import { formatReference, parseReference } from '../../../src/oci/reference.js'
import { pack } from '../../../src/verbs/pack.js'
import { openWimSource } from '../../../src/transport/wim/source.js'
import { verifyBundle } from '../../../src/bundle/verify.js'
import { stowage } from '../../support/command.js'
import { corruptBlob, directoryWim, flawedWim, richWim, wimlib } from '../../support/wims.js'

const json = (bytes: Uint8Array | undefined): unknown => JSON.parse(Buffer.from(bytes ?? []).toString())

t.test('openWimSource() makes an image of what the XML says', async t => {
  const stage = new BlobDirectory(t.testdir())
  await using source = await openWimSource(richWim(t), { stage })
  const [image, ...others] = await source.images()
  t.same(others, [])
  if (!image) return
  t.same(image.names.map(formatReference), ['docker.io/library/nanoserver:10.0.14300.1010'])
  t.same(image.root.platform, { os: 'windows', architecture: 'amd64', 'os.version': '10.0.14300.1010' })
  const content = await readImage(source, image.root)
  t.equal(content.platforms.length, 1)
  const layer = content.layers[0]
  t.ok(layer && (await stage.has(layer)), 'the layer stands in the stage')
  t.match(json(content.configs[0]?.bytes), {
    os: 'windows',
    architecture: 'amd64',
    'os.version': '10.0.14300.1010',
    created: '2016-05-26T12:00:00Z',
    rootfs: { type: 'layers', diff_ids: [/^sha256:/] },
    history: [{ created: '2016-05-26T12:00:00Z', created_by: /10\.0\.14300\.1010/ }],
  })
  const again = await openWimSource(richWim(t, 'xpress'), { stage, name: parseReference('base:1') })
  t.same((await again.images())[0]?.names.map(formatReference), ['docker.io/library/base:1'])
  await again[Symbol.asyncDispose]()
})

t.test('openWimSource() refuses a WIM that does not say what it runs on, before it makes the layer', async t => {
  const stage = t.testdir()
  const wim = directoryWim(t)
  await using source = await openWimSource(wim, { stage: new BlobDirectory(stage) })
  await t.rejects(source.images(), { code: 'UNSUPPORTED', hint: /WINDOWS\/ARCH/ })
  wimlib('info', wim, '1', '--image-property=WINDOWS/ARCH=12', '--image-property=NAME=!!!')
  await using nameless = await openWimSource(wim, { stage: new BlobDirectory(stage) })
  await t.rejects(nameless.images(), { code: 'INVALID_REFERENCE', hint: /--tag/ })
  await using named = await openWimSource(wim, { stage: new BlobDirectory(stage), name: parseReference('x') })
  t.match((await named.images())[0]?.root.platform, { architecture: 'arm64' })
})

t.test('pack() of a WIM gives a bundle that skopeo reads, equal every time, in a directory and in a tar', async t => {
  const directory = t.testdir()
  const wim = richWim(t)
  for (const name of ['a', 'b', 'a.tar', 'b.tar']) await pack([`wim:${wim}`], join(directory, name))
  t.equal(execFileSync('diff', ['-r', join(directory, 'a'), join(directory, 'b')], { encoding: 'utf8' }), '')
  execFileSync('cmp', [join(directory, 'a.tar'), join(directory, 'b.tar')])
  t.match(await verifyBundle(join(directory, 'a.tar')), { ok: true, findings: [] })
  for (const place of [`oci:${join(directory, 'a')}`, `oci-archive:${join(directory, 'a.tar')}`]) {
    const told = execFileSync('skopeo', ['--override-os', 'windows', 'inspect', '--config', place], {
      encoding: 'utf8',
    })
    t.match(JSON.parse(told), { os: 'windows', 'os.version': '10.0.14300.1010' }, place)
  }
  const archive = `docker-archive:${join(directory, 'a.tar')}`
  t.match(JSON.parse(execFileSync('skopeo', ['--override-os', 'windows', 'inspect', archive], { encoding: 'utf8' })), {
    Os: 'windows',
  })
})

t.test('pack() of a damaged WIM leaves nothing', async t => {
  const directory = t.testdir()
  const wim = richWim(t, 'none')
  corruptBlob(wim)
  for (const name of ['a', 'a.tar'])
    await t.rejects(pack([`wim:${wim}`], join(directory, name)), { code: 'WIM_CORRUPT' })
  t.same(readdirSync(directory), [])
  t.ok(readFileSync(wim).length > 0)
})

t.test('pack() says what it leaves out of a WIM, and compresses as it is told', async t => {
  const directory = t.testdir()
  const wim = flawedWim(t, 'unknown-reparse')
  await t.rejects(pack([`wim:${wim}`], join(directory, 'a')), { code: 'LAYER_UNSUPPORTED', hint: /--skip-unsupported/ })
  const layer = { skipUnsupported: true, compression: { type: 'none' } } as const
  const { skipped, manifest } = await pack([`wim:${wim}`], join(directory, 'a'), { layer })
  t.match(skipped, [/^Files\/odd\/unknown \(reparse tag/])
  const [made] = manifest.images[0]?.platforms[0]?.layers ?? []
  t.equal(made?.digest, made?.diffId, 'not compressed')
  const told = await stowage(['pack', `wim:${wim}`, '-o', 'b', '--skip-unsupported', '--compression', 'gzip:9'], {
    cwd: directory,
  })
  t.match(told, { code: 0, stdout: /^left out: Files\/odd\/unknown/m })
  t.match(await stowage(['pack', `wim:${wim}`, '-o', 'c', '--compression', 'lzma'], { cwd: directory }), { code: 2 })
})
