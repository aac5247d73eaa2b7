/** What fits on a medium is known before the first byte, for every limit that it has. */
import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { mediumAt } from '../../src/archive/medium.js'
import { checkSpace } from '../../src/archive/space.js'
import { commandFile } from '../support/command.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { scratch } from '../support/scratch.js'

t.test('mediumAt() says what stat and df say', async t => {
  for (const path of [scratch(t), '/dev/shm']) {
    const medium = await mediumAt(join(path, 'not', 'there'))
    const type = execFileSync('stat', ['-f', '-c', '%T', path], { encoding: 'utf8' }).trim()
    const known: Readonly<Record<string, string>> = {
      'ext2/ext3': 'ext4',
      overlayfs: 'overlay',
      tmpfs: 'tmpfs',
      xfs: 'XFS',
      btrfs: 'Btrfs',
    }
    t.equal(medium.kind, known[type], type)
    const free = Number(execFileSync('stat', ['-f', '-c', '%a', path], { encoding: 'utf8' }))
    const block = Number(execFileSync('stat', ['-f', '-c', '%S', path], { encoding: 'utf8' }))
    t.ok(Math.abs((medium.free ?? 0) - free * block) < 2 ** 30, 'the free space, but others write too')
  }
})

t.test('checkSpace() names the limit, and how much is too much', async t => {
  const path = scratch(t)
  const { free = 0, inodes } = await mediumAt(path)
  await checkSpace(path, { sizes: [1] })
  await t.rejects(checkSpace(path, { sizes: [free * 2] }, { form: 'tar' }), {
    code: 'NO_SPACE',
    message: /is needed: [\d.]+[kMGT]B \(\d+ bytes\) too much$/,
    hint: /^Free .*or cut the tar into volumes for several media \(--volume-size\)\.$/,
  })
  if (inodes !== undefined && inodes < 2 ** 24) {
    await t.rejects(checkSpace(path, { sizes: new Array<number>(inodes * 2).fill(0) }), {
      code: 'NO_SPACE',
      message: /can hold \d+ more files, but \d+ are needed: \d+ too many/,
    })
  }
})

t.test('a limit of the process counts as one of the medium, before anything is written', async t => {
  const root = scratch(t)
  await writeLayout(join(root, 'layout'), { 'shop:1': await layeredImage(2, { size: 300_000 }) })
  for (const [output, hint] of [
    ['site.tar', /cut the tar into volumes: --volume-size 500000\./],
    ['site', undefined],
  ] as const) {
    const words = ['pack', `oci:${join(root, 'layout')}`, '-o', join(root, output)]
    const { status, stderr } = spawnSync('prlimit', ['--fsize=500000', process.execPath, commandFile(), ...words], {
      encoding: 'utf8',
    })
    t.equal(status, hint ? 7 : 0, output)
    if (hint) t.match(stderr, /can hold files of at most 500kB \(500000 bytes\), but one of \d+kB/)
    if (hint) t.match(stderr, hint)
  }
})
