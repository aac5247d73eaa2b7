import { execFileSync } from 'node:child_process'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { stowage } from '../support/command.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { free, mount } from '../support/medium.js'
import { overwrite, par2 } from '../support/recovery.js'
import { scratch } from '../support/scratch.js'

const root = scratch(t)
const layout = `oci:${join(root, 'layout')}`
await writeLayout(join(root, 'layout'), { 'shop:1': await layeredImage(3, { size: 2_000_000 }) })

async function largestIn(bundle: string): Promise<string> {
  const blobs = join(bundle, 'blobs', 'sha256')
  const sized = await Promise.all(
    (await readdir(blobs)).map(async each => ({ each, ...(await stat(join(blobs, each))) })),
  )
  return join(blobs, sized.sort((a, b) => b.size - a.size)[0]?.each ?? '')
}

t.test('protect and verify --repair that are killed make nothing worse, and go through the next time', async t => {
  const directory = scratch(t)
  const bundle = join(directory, 'site')
  t.match(await stowage(['pack', layout, '-o', bundle, '--recovery', '5%']), { code: 0 })
  const largest = await largestIn(bundle)
  const before = await readFile(largest)
  // After the work that is meant has begun: verifying comes before it
  const killed = async (words: readonly string[], stage: string, after: number) => {
    const { code } = await stowage([...words, '--progress', 'json'], {
      onStderr(child, text) {
        if (text.includes(`"stage":"${stage}"`)) setTimeout(() => child.kill('SIGKILL'), after)
      },
    })
    return code
  }
  const delays = [0, 3, 10, 30]
  const codes: number[] = []
  for (const [n, after] of delays.entries()) {
    codes.push(await killed(['protect', bundle, '--recovery', `${10 + n * 20}%`], 'protect', after))
    t.match(await stowage(['verify', bundle]), { code: 0, stderr: '' }, `protect, ${after} ms`)
  }
  t.match(await stowage(['protect', bundle]), { code: 0 })
  t.equal(par2(bundle, 'verify', 'recovery.par2'), 0)
  t.same(await readdir(directory), ['site'], 'and nothing is left')
  for (const after of delays) {
    await overwrite(largest, 400_000, Buffer.alloc(200_000))
    codes.push(await killed(['verify', '--repair', bundle], 'repair', after))
    t.match(await stowage(['verify', '--repair', bundle]), { code: 0 }, `repair, ${after} ms`)
    t.ok(before.equals(await readFile(largest)), `the bytes of before, ${after} ms`)
  }
  t.same(await readdir(directory), ['site'], 'and nothing is left')
  t.equal(par2(bundle, 'verify', 'recovery.par2'), 0)
  t.ok(codes.slice(0, 4).includes(-1) && codes.slice(4).includes(-1), `some were killed: ${codes.join(' ')}`)
})

t.test(
  'a medium that is too small for recovery data is refused before a byte, and a full one can be repaired',
  async t => {
    const medium = await mount(t, 'ext4', 14_000_000)
    const bundle = join(medium, 'site.tar')
    t.match(await stowage(['pack', layout, '-o', bundle]), { code: 0 })
    const before = await readdir(medium)
    const refused = await stowage(['protect', bundle, '--recovery', '100%'])
    t.match(refused, { code: 7, stderr: /has .* free, but .* is needed/ })
    t.same(await readdir(medium), before)

    t.match(await stowage(['protect', bundle]), { code: 0 })
    const whole = await readFile(bundle)
    await overwrite(bundle, 1_000_000, Buffer.alloc(200_000))
    await writeFile(join(medium, 'filler'), Buffer.alloc((await free(medium)) - 50_000))
    t.match(await stowage(['verify', '--repair', bundle]), { code: 0, stdout: /Repaired site\.tar: 49 of/ })
    t.ok(whole.equals(await readFile(bundle)))
    execFileSync('rm', [join(medium, 'filler')])
    t.equal(par2(medium, 'verify', 'site.tar.par2'), 0)
  },
)
