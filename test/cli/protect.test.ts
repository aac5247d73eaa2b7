import { cp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { layeredImage, writeLayout } from '../support/images.js'
import { stowage } from '../support/command.js'
import { flip, overwrite, par2 } from '../support/recovery.js'
import { scratch } from '../support/scratch.js'

const whole = t
const root = scratch(t)
const layout = `oci:${join(root, 'layout')}`
await writeLayout(join(root, 'layout'), { 'shop:1': await layeredImage(3, { size: 2_000_000 }) })

const bundles = new Map<string, string>()

/** A copy of a bundle that was packed with 5 % of recovery data, in a directory of its own. */
async function packed(t: Test, name: string) {
  let made = bundles.get(name)
  if (made === undefined) {
    made = scratch(whole)
    const { code, stdout } = await stowage(['pack', layout, '-o', join(made, name), '--recovery', '5%'])
    const protection = /\nProtected .* with \d+ recovery blocks for 1\d{3} blocks of 4\.1kB \(/
    t.match({ code, stdout }, { code: 0, stdout: protection })
    bundles.set(name, made)
  }
  const directory = scratch(t)
  await cp(made, directory, { recursive: true })
  const bundle = join(directory, name)
  return { directory, bundle, largest: name.endsWith('.tar') ? bundle : await largestIn(bundle) }
}

async function largestIn(bundle: string): Promise<string> {
  const blobs = join(bundle, 'blobs', 'sha256')
  const sized = await Promise.all(
    (await readdir(blobs)).map(async each => ({ each, ...(await stat(join(blobs, each))) })),
  )
  return join(blobs, sized.sort((a, b) => b.size - a.size)[0]?.each ?? '')
}

for (const name of ['site', 'site.tar']) {
  t.test(`stowage verify --repair repairs ${name}, and says how many blocks are too many`, async t => {
    const { directory, bundle, largest } = await packed(t, name)
    const [place, index] = name === 'site' ? [bundle, 'recovery.par2'] : [directory, 'site.tar.par2']
    t.equal(par2(place, 'verify', index), 0, 'par2 finds it whole')
    const sound = await stowage(['verify', '--repair', bundle])
    t.match(sound, { code: 0, stderr: '', stdout: /: OK \(/ }, 'the recovery data is no defect')
    t.notMatch(sound.stdout, 'epaired')
    const before = await readFile(largest)

    await flip(largest, 4000, 1_000_000)
    await overwrite(largest, 300_000, Buffer.alloc(50_000))
    await truncate(largest, before.length - 5000)
    const damaged = await stowage(['verify', bundle])
    t.match(damaged, { code: 4, stderr: `hint: Its recovery data may repair it: stowage verify --repair ${bundle}\n` })
    const repaired = await stowage(['verify', '--repair', bundle])
    t.match(repaired, { code: 0, stdout: /\nRepaired \S+, which had \d+ bytes: \d\d of \d+ blocks\n.*: OK \(/ })
    t.ok(before.equals(await readFile(largest)), 'the bytes are those of before')

    await overwrite(largest, 0, Buffer.alloc(600_000))
    t.equal(par2(place, 'verify', index), 2)
    const short = /^Not repaired: (\d+) blocks are damaged, (\d+) recovery blocks are there: (\d+) more are needed$/m
    const beyond = await stowage(['verify', '--repair', bundle])
    const [, blocks, there, more] = short.exec(beyond.stdout) ?? []
    t.match(beyond, { code: 4, stderr: '' })
    t.equal(Number(blocks), 147)
    t.equal(Number(more), Number(blocks) - Number(there))
    const { code, stdout } = await stowage(['verify', '--repair', bundle, '--json'])
    t.match(JSON.parse(stdout), {
      schema: 'stowage.verify/v1',
      ok: false,
      repair: { outcome: 'short', damagedBlocks: 147, shortBlocks: Number(more), index: join(place, index) },
    })
    t.equal(code, 4)
    t.match(await stowage(['protect', bundle]), {
      code: 4,
      stderr: /is damaged, so it was not protected: .*\nhint: .*--repair/,
    })
  })
}

t.test('stowage protect does nothing twice, and replaces what no longer fits', async t => {
  const { directory, bundle } = await packed(t, 'site.tar')
  const again = await stowage(['protect', bundle])
  t.match(again, { code: 0, stdout: /^Nothing to do: .*site\.tar has \d+ recovery blocks/ })
  const more = await stowage(['protect', bundle, '--recovery', '8', '--json'])
  t.match(JSON.parse(more.stdout), { schema: 'stowage.protect/v1', percent: 8, replaced: true, unchanged: false })
  t.equal(par2(directory, 'verify', 'site.tar.par2'), 0)
  t.equal((await readdir(directory)).length, 3, 'the old files are gone')
  await flip(`${bundle}.par2`, 200)
  t.match(await stowage(['protect', bundle, '--recovery', '8']), { code: 0, stdout: /was replaced|Nothing to do/ })
  t.match(await stowage(['protect', bundle, '--recovery', '0%']), { code: 2, stderr: /expected a percentage/ })
  t.match(await stowage(['protect', '-']), { code: 2, stderr: /a stream has no place/ })
  const other = join(directory, 'other.tar')
  await cp(bundle, other)
  for (const name of await readdir(directory))
    if (name.startsWith('site.tar.')) await cp(join(directory, name), join(directory, name.replace('site', 'other')))
  await flip(other, 5_000)
  t.match(await stowage(['verify', '--repair', other]), { code: 4, stderr: /it is for site\.tar, not for other\.tar/ })
  await rm(other)
})

t.test(
  'stowage verify --repair repairs a bundle whose lists are gone, and names what recovery data cannot help',
  async t => {
    const { bundle } = await packed(t, 'site')
    for (const name of ['bundle.json', 'SHA256SUMS', 'index.json']) await rm(join(bundle, name))
    t.match(await stowage(['verify', bundle]), { code: 4, stderr: /hint/ })
    const repaired = await stowage(['verify', '--repair', bundle])
    t.match(repaired, { code: 0, stdout: /Repaired SHA256SUMS, which was missing: 1 of 1 block\n/ })
    await writeFile(join(bundle, 'extra'), 'x')
    const extra = await stowage(['verify', '--repair', bundle])
    t.match(extra, { code: 4, stdout: /^FILE_EXTRA .*\nNot repaired: what the recovery data covers is as it was/s })
    await rm(join(bundle, 'extra'))
    for (const name of await readdir(bundle)) if (name.startsWith('recovery.')) await rm(join(bundle, name))
    await rm(join(bundle, 'index.json'))
    t.match(await stowage(['verify', '--repair', bundle]), {
      code: 4,
      stdout: /Not repaired: there is no recovery data/,
    })
  },
)

t.test('stowage pack refuses --recovery before it begins where it cannot be', async t => {
  const directory = scratch(t)
  const refused = async (output: string, recovery: string, stderr: RegExp) =>
    t.match(await stowage(['pack', layout, '-o', output, '--recovery', recovery]), { code: 2, stderr, stdout: '' })
  await refused('-', '5%', /standard|stream/)
  await refused(join(directory, 'x.tar'), '5 percent', /expected a percentage but found "5 percent"/)
  await refused(join(directory, 'x.tar'), '200%', /up to 100/)
  t.same(await readdir(directory), [])
  const bundle = join(directory, 'site')
  t.match(await stowage(['pack', layout, '-o', bundle, '--recovery', '5']), { code: 0 })
  t.match(await stowage(['pack', layout, '-o', bundle, '--recovery', '5']), { code: 0, stdout: /Nothing to do/ })
  await writeLayout(join(directory, 'other'), { 'shop:2': await layeredImage(1, { size: 100_000 }) })
  const updated = await stowage(['pack', `oci:${join(directory, 'other')}`, '-o', bundle, '--update'])
  t.match(updated, { code: 0, stderr: /recovery data of the bundle before was removed/ })
  t.match(await stowage(['verify', bundle]), { code: 0, stderr: '' })
})
