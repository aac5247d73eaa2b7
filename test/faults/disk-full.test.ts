import { execFileSync } from 'node:child_process'
import { statfsSync } from 'node:fs'
import { open, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { readImage } from '../../src/blob/closure.js'
import { openBundleWriter } from '../../src/bundle/writer.js'
import { parseReference } from '../../src/oci/reference.js'
import { verifyBundle } from '../../src/bundle/verify.js'
import { pack } from '../../src/verbs/pack.js'
import { planPack } from '../../src/verbs/pack-plan.js'
import { stowage } from '../support/command.js'
import { layeredImage, multiPlatformImage, noise, writeLayout } from '../support/images.js'
import { free, mount, plugInStick } from '../support/medium.js'

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
          stdout:
            /Makes a .* 12MB \(\d+ bytes\)[^]*\nNeeds up to 12(\.\d+)?MB in \S+ \(\w+\), which has [789]\.?\d*MB free\n$/,
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

t.test('stowage load and copy to what is too small are refused before the first byte', async t => {
  const medium = await mount(t, 'ext4', 9_000_000)
  const root = t.testdir()
  t.match(await stowage(['pack', `oci:${layout}`, '-o', join(root, 'site')]), { code: 0 })
  const before = await readdir(medium)
  for (const to of ['oci:MEDIUM/store', 'oci-archive:MEDIUM/x.tar', 'docker-archive:MEDIUM/x.tar']) {
    const location = to.replace('MEDIUM', medium)
    for (const words of [
      ['load', join(root, 'site'), '--to', location],
      ['copy', `oci:${layout}:big:1`, location],
    ])
      t.match(await stowage(words), { code: 7, stderr: /has .* free, but .* is needed: .* too much\nhint: Free / }, to)
    t.same(await readdir(medium), before, to)
  }
})

for (const type of ['ext4', 'tmpfs', 'exfat'] as const) {
  t.test(`what fits ${type} is written, and with a few blocks less it is refused`, async t => {
    const directory = type === 'exfat' ? (await plugInStick(t, 64_000_000)).directory : await mount(t, type, 40_000_000)
    // Directories and a file in many pieces take blocks of their own on some
    const few = 8 * statfsSync(directory).bsize
    for (const name of ['site', 'site.tar']) {
      const output = join(directory, name)
      const filler = join(directory, 'filler')
      const options = { recovery: 5, epoch: 0 }
      const { room } = await planPack([`oci:${layout}`], output, options)
      t.equal(room?.kind, { ext4: 'ext4', tmpfs: 'tmpfs', exfat: 'exFAT' }[type])
      await fillUp(filler, directory, (room?.needed ?? 0) - few)
      const refused = await planPack([`oci:${layout}`], output, options)
      t.match(refused.room?.error, { code: 'NO_SPACE', message: / \(\d+ bytes\) too much$/ })
      await t.rejects(pack([`oci:${layout}`], output, options), { code: 'NO_SPACE', message: /too much$/ })
      await rm(filler)
      await fillUp(filler, directory, (room?.needed ?? 0) + (type === 'ext4' ? few : 0))
      await pack([`oci:${layout}`], output, options)
      t.same((await verifyBundle(output)).findings, [], `${name}, with ${await free(directory)} left`)
      await rm(filler)
      for (const each of await readdir(directory))
        if (each.startsWith('site')) await rm(join(directory, each), { recursive: true })
    }
  })
}

/** Leaves `left` bytes free: to the block, or a few more where a file takes blocks of its own. */
async function fillUp(filler: string, directory: string, left: number): Promise<void> {
  const { bsize } = statfsSync(directory)
  for (let size = (await free(directory)) - left; ; size -= bsize) {
    await writeFile(filler, noise(size, 'filler'), { flush: true })
    if ((await free(directory)) >= left) return
    await rm(filler)
  }
}

t.test('what would fit is said: fewer platforms, volumes, another file system', async t => {
  const medium = await mount(t, 'tmpfs', 40_960)
  const several = join(t.testdir(), 'several')
  await writeLayout(several, { 'multi:1': await multiPlatformImage() })
  for (const [output, hint] of [
    ['site', /-o FILE\.tar --volume-size SIZE/],
    ['site.tar', /cut the tar into volumes for several media \(--volume-size\)/],
  ] as const) {
    const words = ['pack', `oci:${several}`, '-o', join(medium, output)]
    const { code, stderr } = await stowage(words)
    t.equal(code, 7)
    t.match(stderr, hint)
    const [, platform = '', bytes] =
      /fewer platforms \(--platform\): without (\S+) it is \S+ \((\d+) bytes\) less; without/.exec(stderr) ?? []
    const dry = await stowage([...words, '--dry-run', '--json'])
    const { room, output: whole } = JSON.parse(dry.stdout)
    t.match(stderr, room.error.hint.split(', or take')[1], 'the dry run says the same')
    const others = ['linux/amd64', 'linux/s390x', 'linux/arm/v7'].filter(each => each !== platform)
    const rest = await stowage([...words, '--dry-run', '--json', ...others.flatMap(each => ['--platform', each])])
    const saved = whole.size - JSON.parse(rest.stdout).output.size
    t.ok(Math.abs(saved - Number(bytes)) < 4096, `${saved} is ${bytes}, but for the lists`)
  }
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
