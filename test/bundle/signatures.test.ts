import { execFileSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { appendFile, cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { verifyBundle } from '../../src/bundle/verify.js'
import { StowageError } from '../../src/errors.js'
import { readPrivateKey } from '../../src/signature/private-key.js'
import { readPublicKey } from '../../src/signature/public-key.js'
import type { Trust } from '../../src/signature/trust.js'
import { generateKeys } from '../../src/verbs/keygen.js'
import { loadBundle } from '../../src/verbs/load.js'
import { pack } from '../../src/verbs/pack.js'
import { signBundle } from '../../src/verbs/sign.js'
import { joinVolumes, splitBundle } from '../../src/verbs/volumes.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { scratch } from '../support/scratch.js'

const root = scratch(t)
await writeLayout(join(root, 'layout'), { 'shop:1': await layeredImage(2, { size: 700 }) })
const source = `oci:${join(root, 'layout')}:shop:1`
for (const name of ['plant', 'desk', 'other']) await generateKeys(join(root, name), { passphrase: '' })
const signer = await readPrivateKey(join(root, 'plant.key'))
const key = async (name: string) => await readPublicKey(join(root, `${name}.pub`))
const trusting = async (...names: readonly string[]): Promise<Trust> => ({
  requirements: [{ keys: await Promise.all(names.map(key)), threshold: names.length }],
})
const plant = await trusting('plant')

async function packed(t: Test, name: string, options: { serial?: number; series?: string } = {}): Promise<string> {
  const path = join(scratch(t), name)
  const { serial, series } = options
  const release = serial === undefined ? undefined : { serial, ...(series === undefined ? {} : { series }) }
  await pack([source], path, { signer, release })
  return path
}

/** What `load` says: the code of its error, or nothing. Nothing may be at the destination after one. */
async function refusal(t: Test, path: string, trust: Trust): Promise<string | undefined> {
  const layout = join(scratch(t), 'layout')
  try {
    await loadBundle(path, { to: `oci:${layout}`, trust })
    return undefined
  } catch (error) {
    if (!(error instanceof StowageError)) throw error
    const index = await readFile(join(layout, 'index.json')).catch(() => undefined)
    t.equal(index, undefined, 'nothing was written')
    return error.code
  }
}

const verdict = async (path: string, trust: Trust): Promise<readonly string[]> =>
  (await verifyBundle(path, { trust })).findings.map(({ code }) => code)

for (const name of ['site', 'site.tar', 'site.tar.gz']) {
  t.test(`${name}: verify and load take it by the key that signed it, and by no other`, async t => {
    const path = await packed(t, name)
    t.strictSame(await verdict(path, plant), [])
    t.equal(await refusal(t, path, plant), undefined)
    t.strictSame(await verdict(path, await trusting('other')), ['SIGNATURE_INVALID'])
    t.equal(await refusal(t, path, await trusting('other')), 'SIGNATURE_INVALID')
    t.strictSame(await verdict(path, await trusting('plant', 'desk')), ['SIGNATURE_INVALID'], 'one of two')

    await signBundle(path, await readPrivateKey(join(root, 'desk.key')))
    t.strictSame(await verdict(path, await trusting('plant', 'desk')), [], 'counter-signed by the desk')
    t.match(await signBundle(path, signer), { unchanged: true })
    const plain = await verifyBundle(path)
    t.match(plain, {
      ok: true,
      signatures: { signatures: [{ status: 'unchecked' }, { status: 'unchecked' }], signedBy: [] },
    })
  })
}

t.test('a bundle without a signature is refused where one is asked for', async t => {
  const path = join(scratch(t), 'site')
  await pack([source], path)
  t.strictSame(await verdict(path, plant), ['SIGNATURE_MISSING'])
  t.equal(await refusal(t, path, plant), 'SIGNATURE_MISSING')
})

t.test('a changed bundle.json is refused although all lists agree', async t => {
  const path = await packed(t, 'site')
  // As somebody would who knows the format: another name of the image, and lists that say so
  const bundle = join(path, 'bundle.json')
  const forged = join(scratch(t), 'forged')
  await pack([source], forged, { names: ['shop:2'] })
  for (const name of ['bundle.json', 'SHA256SUMS', 'index.json', 'manifest.json'])
    await cp(join(forged, name), join(path, name))
  t.strictSame((await verifyBundle(path)).findings, [], 'which is sound by itself')
  t.strictSame(await verdict(path, plant), ['SIGNATURE_INVALID'])
  t.equal(await refusal(t, path, plant), 'SIGNATURE_INVALID')
  await rm(`${bundle}.sigstore.json`)
  t.equal(await refusal(t, path, plant), 'SIGNATURE_INVALID', 'and with the plain signature alone')
})

t.test('a changed file ends before anything has a name, as without a signature', async t => {
  const path = await packed(t, 'site')
  const blobs = join(path, 'blobs', 'sha256')
  for (const name of await readdir(blobs)) {
    const file = join(blobs, name)
    const bytes = await readFile(file)
    await writeFile(file, Buffer.concat([bytes.subarray(0, -1), Buffer.from([(bytes.at(-1) ?? 0) ^ 1])]))
    t.strictSame(await verdict(path, plant).then(codes => codes.includes('DIGEST_MISMATCH')), true)
    const layout = join(scratch(t), 'layout')
    const error = await loadBundle(path, { to: `oci:${layout}`, trust: plant }).then(
      ({ images }) => images[0]?.error,
      (thrown: StowageError) => thrown,
    )
    t.match(error?.code, /DIGEST_MISMATCH|BUNDLE_INVALID/)
    t.notMatch(await readFile(join(layout, 'index.json'), 'utf8').catch(() => ''), 'shop:1')
    await writeFile(file, bytes)
  }
})

t.test('a stream is stored first, and taken by a signature that is given with it', async t => {
  const path = await packed(t, 'site.tar.gz')
  const signature = path.replace(/site\.tar\.gz$/, 'site.bundle.json.sigstore.json')
  const away = join(scratch(t), 'mail.sigstore.json')
  await rename(signature, away)
  await rm(path.replace(/site\.tar\.gz$/, 'site.bundle.json.sig'))
  t.equal(await refusal(t, path, plant), 'SIGNATURE_MISSING')
  t.equal(await refusal(t, path, { ...plant, signatures: [away] }), undefined)
})

t.test('signatures go with a bundle that is cut and put together', async t => {
  const directory = scratch(t)
  await pack([source], join(directory, 'big.tar'), { files: [{ from: process.execPath, path: 'node' }], signer })
  await mkdir(join(directory, 'stick'))
  const volume = join(directory, 'stick', 'site.tar')
  await splitBundle(join(directory, 'big.tar'), volume, { volumeSize: 40_000_000 })
  t.ok((await readdir(join(directory, 'stick'))).includes('site.bundle.json.sig'))
  t.strictSame(await verdict(`${volume}.001`, plant), [])
  t.strictSame(await verdict(join(directory, 'stick'), plant), [])
  t.equal(await refusal(t, join(directory, 'stick'), await trusting('other')), 'SIGNATURE_INVALID')
  await joinVolumes([join(directory, 'stick')], join(directory, 'again.tar'))
  t.strictSame(await verdict(join(directory, 'again.tar'), plant), [])
})

t.test('pack --update takes the old signatures away, and signs anew', async t => {
  const path = await packed(t, 'site')
  await pack([source], path, { update: true, names: ['shop:2'], signer })
  t.strictSame(await verdict(path, plant), [])
  await pack([source], path, { update: true, names: ['shop:3'] })
  t.strictSame(await verdict(path, plant), ['SIGNATURE_MISSING'])
})

t.test('an older bundle is refused, although it is signed', async t => {
  const receipts = scratch(t)
  const [old, fresh] = [
    await packed(t, 'old', { serial: 7, series: 'plant' }),
    await packed(t, 'new', { serial: 8, series: 'plant' }),
  ]
  await loadBundle(fresh, { to: `oci:${join(scratch(t), 'layout')}`, trust: plant, receipts })
  const { newestReleases, releaseOf } = await import('../../src/verbs/receipt.js')
  const known = await newestReleases(receipts)
  t.match(known, [{ serial: 8, series: 'plant' }])
  const trust = { ...plant, notOlderThan: known }
  t.strictSame(await verdict(old, trust), ['ROLLBACK'])
  t.equal(await refusal(t, old, trust), 'ROLLBACK')
  t.equal(await refusal(t, fresh, trust), undefined, 'the same again')
  t.equal(await refusal(t, await packed(t, 'none'), trust), 'ROLLBACK', 'one without a number')
  const lab = await packed(t, 'lab', { serial: 1, series: 'lab' })
  t.equal(await refusal(t, lab, trust), undefined, 'one of another series, of which the receipts know nothing')
  const named = { ...plant, notOlderThan: [await releaseOf(fresh)] }
  t.equal(await refusal(t, lab, named), 'ROLLBACK', 'the same, if a bundle is named that it must not be older than')
  t.match(await releaseOf(old), { serial: 7, series: 'plant' })
  await t.rejects(releaseOf(await packed(t, 'none2')), { code: 'INVALID_ARGUMENT' })
})

t.test('a receipt says who signed what was loaded', async t => {
  const receipt = join(scratch(t), 'receipt.json')
  const path = await packed(t, 'site', { serial: 3 })
  await loadBundle(path, { to: `oci:${join(scratch(t), 'layout')}`, trust: plant, receipt })
  const { bundle } = JSON.parse(await readFile(receipt, 'utf8')) as { bundle: { digest: string } }
  const sum = execFileSync('sha256sum', [join(path, 'bundle.json')])
    .toString()
    .slice(0, 64)
  t.strictSame(bundle, { digest: `sha256:${sum}`, release: { serial: 3 }, signedBy: [signer.publicKey.id] })
})

t.test('rubbish where signatures belong hides no signature, and makes none', async t => {
  const path = await packed(t, 'site')
  await writeFile(join(path, 'bundle.json.aaaa.sig'), Buffer.alloc(2000, 7))
  await writeFile(join(path, 'bundle.json.bbbb.sigstore.json'), '{"mediaType":')
  t.strictSame(await verdict(path, plant), [])
  t.strictSame(await verdict(path, await trusting('other')), ['SIGNATURE_INVALID'])
  await writeFile(join(path, 'bundle.json.sig'), Buffer.alloc(2 * 1024 * 1024, 65))
  t.strictSame(await verdict(path, plant), ['FILE_EXTRA'], 'one that is too large is no signature')
  await rm(join(path, 'bundle.json.sigstore.json'))
  t.equal(await refusal(t, path, plant), 'SIGNATURE_INVALID')
})

t.test('a damaged bundle is not signed', async t => {
  const path = await packed(t, 'site')
  await appendFile(join(path, 'README.txt'), 'x')
  await t.rejects(signBundle(path, signer), { code: 'BUNDLE_INVALID', message: /is damaged, so it was not signed/ })
})

t.test('of 2000 changed bytes of a signed tar, none that a list binds is taken', async t => {
  const path = await packed(t, 'site.tar')
  const pristine = await readFile(path)
  const contents = (file: string): string =>
    execFileSync('tar', ['-xOf', file], { maxBuffer: 1 << 26 }).toString('hex') +
    execFileSync('tar', ['-tf', file]).toString()
  const whole = contents(path)
  let refused = 0
  for (let n = 0; n < 2000; n++) {
    const mutant = Buffer.from(pristine)
    const at = randomInt(mutant.length)
    mutant[at] = (mutant[at] ?? 0) ^ (1 << randomInt(8))
    await writeFile(path, mutant)
    const { ok } = await verifyBundle(path, { trust: plant }).catch(() => ({ ok: false }))
    if (ok) t.equal(contents(path), whole, `byte ${at}`)
    else refused++
  }
  t.ok(refused > 1000, `${refused} were refused`)
})
