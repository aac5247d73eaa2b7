import { execFileSync } from 'node:child_process'
import { open, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { readImage } from '../../src/blob/closure.js'
import { openBundleWriter } from '../../src/bundle/writer.js'
import { parseReference } from '../../src/oci/reference.js'
import { verifyBundle } from '../../src/bundle/verify.js'
import { stowage } from '../support/command.js'
import { layeredImage, noise, writeLayout } from '../support/images.js'
import { free, mount } from '../support/medium.js'

const image = await layeredImage(4, { size: 3_000_000 })
const layout = join(t.testdir(), 'layout')
await writeLayout(layout, { 'big:1': image })

t.test('what is stored on the way to a layout that is a whole file system is on that file system', async t => {
  const medium = await mount(t, 'ext4', 60_000_000)
  const bundle = join(t.testdir(), 'site.tar.zst')
  t.match(await stowage(['pack', `oci:${layout}`, '-o', bundle]), { code: 0 })
  const loaded = await stowage(['load', bundle, '--to', `oci:${medium}`])
  t.match(loaded, { code: 0, stderr: new RegExp(`storing it in ${medium}/`) })
  t.same((await readdir(medium)).sort(), ['blobs', 'index.json', 'lost+found', 'oci-layout'])
})

for (const type of ['ext4', 'tmpfs'] as const) {
  t.test(`stowage pack says before it begins that ${type} is too small, and leaves it as it was`, async t => {
    const medium = await mount(t, type, 9_000_000)
    const before = await readdir(medium)
    for (const output of [medium, join(medium, 'site'), join(medium, 'site.tar')]) {
      const { code, stderr } = await stowage(['pack', `oci:${layout}`, '-o', output])
      t.equal(code, 7, output)
      t.match(
        stderr,
        /^stowage: .* has [\d.]+[kMG]?B \(\d+ bytes\) free, but [\d.]+[kMG]?B \(\d+ bytes\) is needed: [\d.]+[kMG]?B \(\d+ bytes\) too much\nhint: Free [\d.]+[kMG]?B/,
      )
      t.same(await readdir(medium), before)
      const dry = await stowage(['pack', `oci:${layout}`, '-o', output, '--dry-run'])
      t.match(
        dry,
        {
          code: 7,
          stdout: /Needs up to 12\.\dMB in \S+, which has [789]\.?\d*MB free\n$/,
          stderr: /bytes\) free, but /,
        },
        output,
      )
      t.same(await readdir(medium), before)
    }
    const store = join(medium, 'store')
    const loaded = await stowage(['copy', `oci:${layout}:big:1`, `oci:${store}`, '--dry-run'])
    t.match(loaded, { code: 7, stderr: /has .* free, but .* is needed/ })
  })

  t.test(`stowage pack fills ${type} with a bundle that verifies from the medium itself`, async t => {
    const medium = await mount(t, type, 40_000_000)
    t.match(await stowage(['pack', `oci:${layout}`, '-o', medium]), { code: 0, stderr: '' })
    t.match(await stowage(['verify', medium]), { code: 0 })
    execFileSync('sha256sum', ['--check', '--strict', '--quiet', 'SHA256SUMS'], { cwd: medium })
    t.match(await stowage(['pack', `oci:${layout}`, '-o', medium]), { code: 0 }, 'the same again has nothing to write')
    t.match(
      await stowage(['pack', `oci:${layout}`, '-t', 'other:1', '-o', medium]),
      { code: 1, stderr: /other images|holds other|--update/ },
      'and another is refused',
    )
  })

  t.test(`a disk that fills up in the middle is NO_SPACE on ${type}, and all we wrote is gone`, async t => {
    for (const name of ['site', 'site.tar']) {
      const medium = await mount(t, type, 20_000_000)
      const before = await readdir(medium)
      const content = await readImage(image.blobs, image.root)
      const filler = join(medium, 'filler')
      {
        await using writer = await openBundleWriter(join(medium, name))
        await writer.plan([{ image: content, names: [] }])
        await writeFile(filler, noise((await free(medium)) - 5_000_000, 'filler')) // somebody else was faster
        await t.rejects(
          writer.write(content, image.blobs, [parseReference('big:1')]),
          { code: 'NO_SPACE', hint: /.+/ },
          name,
        )
      }
      await rm(filler)
      t.same(await readdir(medium), before, name)
    }
  })

  t.test(`a born layer that fills ${type} is NO_SPACE, and all we wrote is gone`, async t => {
    for (const name of ['site', 'site.tar']) {
      const medium = await mount(t, type, 9_000_000)
      const before = await readdir(medium)
      {
        await using writer = await openBundleWriter(join(medium, name))
        await writer.plan([], { pendingImages: 1 })
        const produce = async ({ path, offset }: { path: string; offset: number }): Promise<never> => {
          const file = await open(path, 'r+')
          try {
            for (let position = offset; ; position += 1_000_000) {
              await file.write(noise(1_000_000, 'born'), 0, 1_000_000, position)
            }
          } finally {
            await file.close()
          }
        }
        await t.rejects(writer.create(produce), { code: 'NO_SPACE' }, name)
      }
      t.same(await readdir(medium), before, name)
    }
  })
}

t.test('stowage pack resumes on a medium that has room only because blobs are there already', async t => {
  const medium = await mount(t, 'ext4', 16_000_000)
  const content = await readImage(image.blobs, image.root)
  const controller = new AbortController()
  {
    await using writer = await openBundleWriter(medium, { signal: controller.signal })
    await writer.write(content, image.blobs, [])
    controller.abort()
  }
  t.ok((await free(medium)) < 12_000_000)
  t.match(await stowage(['pack', `oci:${layout}`, '-o', medium]), { code: 0, stderr: '' })
  t.same((await verifyBundle(medium)).findings, [])
})

t.test('stowage load to a full layout is NO_SPACE and names nothing', async t => {
  const medium = await mount(t, 'ext4', 9_000_000)
  const root = t.testdir()
  t.match(await stowage(['pack', `oci:${layout}`, '-o', join(root, 'site')]), { code: 0 })
  t.match(await stowage(['load', join(root, 'site'), '--to', `oci:${join(medium, 'store')}`]), {
    code: 7,
    stderr: /no space left/,
  })
  t.notOk((await readdir(join(medium, 'store'))).includes('index.json'))
})

t.test('a medium that cannot be written to is PERMISSION_DENIED', async t => {
  const medium = await mount(t, 'ext4', 9_000_000)
  execFileSync('mount', ['-o', 'remount,ro', medium])
  for (const output of [join(medium, 'site'), join(medium, 'site.tar'), medium]) {
    t.match(
      await stowage(['pack', `oci:${layout}`, '-o', output]),
      { code: 1, stderr: /^stowage: .*read-only/ },
      output,
    )
  }
})
