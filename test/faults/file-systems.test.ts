/** FAT32 and NTFS through FUSE: their kind, and their largest file. Needs root. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { checkSpace } from '../../src/archive/space.js'
import { mediumAt } from '../../src/archive/medium.js'
import { stowage } from '../support/command.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { scratch } from '../support/scratch.js'

const GIB = 2 ** 30
const root = scratch(t)
await writeLayout(join(root, 'layout'), { 'shop:1': await layeredImage(2, { size: 1_500_000 }) })

/** A file system in an image, which has holes, so it takes no room; unmounted when the test ends. */
function mountImage(t: Test, name: string, make: readonly string[], program: readonly string[]): string {
  const at = scratch(t)
  const [image, directory] = [join(at, name), join(at, 'medium')]
  mkdirSync(directory)
  writeFileSync(image, '')
  truncateSync(image, 6 * GIB)
  const [maker = '', ...words] = make
  execFileSync(maker, [...words, image], { stdio: 'ignore' })
  const [mounter = '', ...options] = program
  execFileSync(mounter, [...options, image, directory], { stdio: 'ignore' })
  t.teardown(() => execFileSync('umount', [directory]))
  return directory
}

t.test('FAT32 holds no file of 4 GiB, which is said before the first byte', async t => {
  // one thread: with several, fusefat now and then does not find what it has just made
  const medium = mountImage(t, 'stick.img', ['mkfs.vfat', '-F', '32'], ['fusefat', '-s', '-o', 'rw+'])
  t.match(await mediumAt(medium), { kind: 'FAT32', largestFile: 4 * GIB - 1 })
  await checkSpace(medium, { sizes: [4 * GIB - 1] })
  await t.rejects(checkSpace(medium, { sizes: [4 * GIB] }, { form: 'tar' }), {
    code: 'NO_SPACE',
    message: /FAT32.* at most 4\.29GB \(4294967295 bytes\).*: 1B \(1 bytes\) too much/,
    hint: /as exFAT, or cut the tar into volumes: --volume-size fat32/,
  })
  await t.rejects(checkSpace(medium, { sizes: [3 * GIB, 3 * GIB] }), { code: 'NO_SPACE', message: /too much/ })
  // fusefat cannot lengthen a file without writing, as a tar needs it
  const site = join(medium, 'site')
  t.match(await stowage(['pack', `oci:${root}/layout`, '-o', site]), { code: 0, stderr: '' })
  t.match(await stowage(['verify', site]), { code: 0 })
})

t.test('NTFS has no such limit, whatever the name of its image', async t => {
  const medium = mountImage(t, 'exfat-or-fat.img', ['mkntfs', '-Q', '-F'], ['ntfs-3g'])
  const found = await mediumAt(medium)
  t.match(found, { kind: 'NTFS' })
  t.equal(found.largestFile, undefined)
  await checkSpace(medium, { sizes: [5 * GIB] })
  await t.rejects(checkSpace(medium, { sizes: [7 * GIB] }), { code: 'NO_SPACE', message: /NTFS/ })
  const tar = join(medium, 'site.tar')
  t.match(await stowage(['pack', `oci:${root}/layout`, '-o', tar]), { code: 0 })
  t.match(await stowage(['verify', tar]), { code: 0 })
  t.match(await stowage(['load', tar, '--to', `oci:${medium}/store`]), { code: 0 })
})
