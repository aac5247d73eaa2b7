import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isReadBack, ReadBack, RegionSum, regionsOf, type WrittenRegion } from '../../src/archive/read-back.js'
import { digestOf } from '../../src/oci/digest.js'
import { pack } from '../../src/verbs/pack.js'
import { stowage } from '../support/command.js'
import { layeredImage, noise, writeLayout } from '../support/images.js'
import { scratch } from '../support/scratch.js'

/** What the addon reads at a time. */
const SLOT = 4 * 1024 * 1024
const whole = (bytes: Uint8Array): readonly WrittenRegion[] => [
  { offset: 0, size: bytes.length, digest: digestOf(bytes) },
]

t.test('ReadBack reads files of any size to their last byte', async t => {
  const directory = scratch(t)
  for (const size of [0, 1, 4095, 4096, 4097, SLOT - 1, SLOT, SLOT + 1, 2 * SLOT + 4097]) {
    const [path, bytes] = [join(directory, `${size}`), noise(size, `${size}`)]
    writeFileSync(path, bytes)
    const reading = new ReadBack(path, {})
    await reading.check([{ path, regions: whole(bytes) }])
    t.same(reading.verified, { files: 1, size, fromMedium: true }, `${size} bytes`)
    if (size === 0) continue
    const other = Buffer.from(bytes)
    other[size - 1]! ^= 1
    await t.rejects(new ReadBack(path, {}).check([{ path, regions: whole(other) }]), {
      code: 'MEDIUM_FAILED',
      message: `${path}: the medium has ${digestOf(bytes)} instead of ${digestOf(other)}, which was written`,
      hint: /^The medium loses data: .*Use another/,
    })
  }
})

t.test('ReadBack names the region that is different, by the name that the file will get', async t => {
  const path = join(scratch(t), 'x.partial')
  const parts = [noise(700, 'head'), noise(SLOT + 300, 'layer'), noise(512, 'tail')] as const
  const [head, layer, tail] = parts
  const bytes = Buffer.concat(parts)
  const regions = regionsOf([
    { bytes: head.subarray(0, 512) },
    { bytes: head.subarray(512) },
    { blob: { digest: digestOf(layer), size: layer.length } },
    { bytes: tail },
  ])
  t.same(
    regions.map(({ offset, size }) => [offset, size]),
    [
      [0, 700],
      [700, SLOT + 300],
      [SLOT + 1000, 512],
    ],
  )
  writeFileSync(path, bytes)
  await new ReadBack('x', {}).check([{ path, regions }])
  bytes[SLOT + 1000]! ^= 1
  writeFileSync(path, bytes)
  await t.rejects(new ReadBack('x', {}).check([{ path, name: 'x.tar', regions }]), {
    code: 'MEDIUM_FAILED',
    message: new RegExp(`^x\\.tar, bytes ${SLOT + 1000} to ${SLOT + 1511}: the medium has sha256:`),
  })
  truncateSync(path, 5000)
  await t.rejects(new ReadBack('x', {}).check([{ path, name: 'x.tar', regions }]), {
    code: 'MEDIUM_FAILED',
    message: `x.tar, bytes 700 to ${SLOT + 999}: the medium has only 4300 of ${SLOT + 300} bytes, which was written`,
  })
  await t.rejects(new ReadBack('x', {}).check([{ path: `${path}.gone`, regions }]), { code: 'FILE_NOT_FOUND' })
})

t.test('RegionSum divides what passes into regions', async t => {
  const path = join(scratch(t), 'x')
  const bytes = Buffer.alloc(40_000_000, 'stream')
  const sum = new RegionSum()
  for (let at = 0; at < bytes.length; at += 999_999) sum.add(bytes.subarray(at, at + 999_999))
  writeFileSync(path, bytes)
  const regions = sum.regions()
  t.equal(regions.length, 3)
  await new ReadBack(path, {}).check([{ path, regions }])
  t.same(new RegionSum().regions(), whole(new Uint8Array()), 'and what is empty is one region')
})

t.test('ReadBack stops when it is told to', async t => {
  const path = join(scratch(t), 'x')
  const bytes = noise(3 * SLOT, 'x')
  writeFileSync(path, bytes)
  const controller = new AbortController()
  const onProgress = (): void => controller.abort()
  await t.rejects(
    new ReadBack(path, { signal: controller.signal, onProgress }).check([{ path, regions: whole(bytes) }]),
    {
      code: 'ABORTED',
    },
  )
})

t.test('isReadBack() does as it is told, and refuses standard output', async t => {
  const output = join(scratch(t), 'new', 'x.tar')
  t.equal(await isReadBack(output, true), true)
  t.equal(await isReadBack(output, false), false)
  t.equal(await isReadBack(output, undefined), false, 'a disk that stays is not read back')
  t.equal(await isReadBack('-', undefined), false)
  await t.rejects(isReadBack('-', true), { code: 'INVALID_ARGUMENT', message: /standard output cannot be read back/ })
})

t.test('pack() reads back every form of a bundle', async t => {
  const root = scratch(t)
  await writeLayout(join(root, 'layout'), { 'shop:1': await layeredImage(2) })
  const from = [`oci:${join(root, 'layout')}`]
  for (const [output, files, volumeSize] of [
    ['site', 10],
    ['site.tar', 1],
    ['site.tar.gz', 1],
    ['cut.tar', 3, 200 * 1024],
  ] as const) {
    const options = { verify: true, volumeSize }
    t.match(await pack(from, join(root, output), options), { verified: { files, fromMedium: true } }, output)
    if (output.endsWith('.gz') || output === 'site.tar') continue
    const again = await pack(from, join(root, output), options)
    t.match(again, { unchanged: true, verified: { files, fromMedium: true } }, `${output}, which is there already`)
  }
  t.equal((await pack(from, join(root, 'other'))).verified, undefined, 'but not on a disk that stays')
})

t.test('stowage pack --verify - says what it has read back, and that the medium may still remember', async t => {
  const root = scratch(t)
  await writeLayout(join(root, 'layout'), { 'shop:1': await layeredImage(2) })
  const words = ['pack', 'oci:layout', '-o', 'site']
  const dry = await stowage([...words, '--dry-run', '--verify'], { cwd: root })
  t.match(dry.stdout, /\nWould read back what is written\n$/)
  const plan = await stowage([...words, '--dry-run', '--json'], { cwd: root })
  t.match(JSON.parse(plan.stdout), { verify: false, room: { removable: false } })
  const hint = 'The medium has a cache of its own: pull it out, plug it in again, and run: stowage verify site'
  const packed = await stowage([...words, '--verify', '--json'], { cwd: root })
  t.match(JSON.parse(packed.stdout), { verified: { files: 10, fromMedium: true, hint } })
  const again = await stowage([...words, '--verify'], { cwd: root })
  t.match(again.stdout, new RegExp(`Nothing new: .*\\nRead back 10 files \\(\\S+\\), all as written\\. ${hint}\\n$`))
  t.notMatch((await stowage([...words, '--no-verify'], { cwd: root })).stdout, /Read back/)
})

t.test('without the addon, what was written is read, and said to be perhaps from the cache', async t => {
  const root = scratch(t)
  await writeLayout(join(root, 'layout'), { 'shop:1': await layeredImage(2) })
  const { code, stdout } = await stowage(['pack', 'oci:layout', '-o', 'site.tar', '--verify'], {
    cwd: root,
    env: { PREBUILDS_ONLY: '1' },
  })
  t.equal(code, 0)
  t.match(stdout, /Read back 1 file \(\S+\), all as written\. It may have come from the system's cache\. The medium/)
})

t.test('what cannot be read back is refused before it is written', async t => {
  const root = scratch(t)
  await writeLayout(join(root, 'layout'), { 'shop:1': await layeredImage(1) })
  const output = join(root, 'out')
  const refusals: readonly (readonly string[])[] = [
    ['pack', 'oci:layout', '-o', '-'],
    ['copy', 'oci:layout', 'docker-archive:-'],
    ['copy', 'oci:layout', 'oci:store'],
    ['pack', 'oci:layout', '-o', 'wim:x.wim'],
  ]
  for (const words of refusals)
    t.match(await stowage([...words, '--verify'], { cwd: root, output }), {
      code: 2,
      stderr: /cannot be read back.*\nhint: Leave out --verify/,
    })
})
