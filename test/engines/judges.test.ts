import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { copy } from '../../src/verbs/copy.js'
import { loadBundle } from '../../src/verbs/load.js'
import { digestOf } from '../../src/oci/digest.js'
import { pack } from '../../src/verbs/pack.js'
import { serveBundle } from '../../src/serve/serve.js'
import { verifyBundle } from '../../src/bundle/verify.js'
import { Debian } from '../support/debian.js'
import { layeredImage, multiPlatformImage, writeLayout } from '../support/images.js'
import { startRegistry } from '../support/registry.js'

const judges = await Debian.open('forky')
t.teardown(async () => await judges.remove())
const [ours, theirs, site] = await Promise.all([startRegistry(t), startRegistry(t), startRegistry(t)])
const image = await multiPlatformImage()
const layout = join(judges.work, 'layout')
await writeLayout(layout, { 'shop:2.3': image, 'lab/tools:1': await layeredImage(3) })
const name = `${ours.domain}/team/shop:2.3`
const SIGN = ['sign', '--key', join(judges.work, 'cosign.key'), '--use-signing-config=false', '--tlog-upload=false']
const HTTP = ['--allow-http-registry', '--yes']
const VERIFY = ['verify', '--key', join(judges.work, 'cosign.pub'), '--insecure-ignore-tlog', '--allow-http-registry']

/** What the program says on stdout; its failure fails the test with what it says. */
async function judge(program: string, ...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await judges.run(program, ...words)
  if (code !== 0) throw new Error(`${program} ${words.join(' ')}: ${stderr}`)
  return stdout.trim()
}

t.test('crane and oras find what copy pushed to be whole, under its own digest', async t => {
  await copy(`oci:${layout}:shop:2.3`, `docker://${name}`)
  t.equal(await judge('crane', 'digest', '--insecure', name), image.root.digest)
  t.match(await judge('crane', 'validate', '--insecure', '--remote', name), /PASS/)
  t.match(JSON.parse(await judge('oras', 'manifest', 'fetch', '--plain-http', '--descriptor', name)), {
    digest: image.root.digest,
  })
})

t.test('an image goes from ours to theirs to ours, and stays what it is', async t => {
  await judge('crane', 'copy', '--insecure', name, `${theirs.domain}/team/shop:2.3`)
  await pack([`docker://${theirs.domain}/team/shop:2.3`], join(judges.work, 'bundle'), { names: [name] })
  t.same((await verifyBundle(join(judges.work, 'bundle'))).findings, [])
  await judge(
    'oras',
    'copy',
    '--from-oci-layout',
    '--to-plain-http',
    `${judges.work}/bundle:2.3`,
    `${site.domain}/again/shop:2.3`,
  )
  const back = await copy(`docker://${site.domain}/again/shop:2.3`, `oci:${join(judges.work, 'back')}`)
  t.equal(back.id, image.root.digest)
  await judge('crane', 'pull', '--insecure', '--format=oci', name, join(judges.work, 'pulled'))
  const pulled = await pack([`oci:${join(judges.work, 'pulled')}`], join(judges.work, 'pulled.tar'), {
    names: ['shop:2.3'],
  })
  t.equal(pulled.manifest.images[0]?.root.digest, image.root.digest)
})

t.test('crane and oras read a bundle that is served', async t => {
  await using served = await serveBundle([join(judges.work, 'bundle')], { listen: '127.0.0.1:0' })
  const { host } = new URL(served.address.url)
  t.equal(await judge('crane', 'digest', '--insecure', `${host}/team/shop:2.3`), image.root.digest)
  t.match(await judge('crane', 'validate', '--insecure', '--remote', `${host}/team/shop:2.3`), /PASS/)
  await judge(
    'oras',
    'copy',
    '--from-plain-http',
    '--to-oci-layout',
    `${host}/team/shop:2.3`,
    `${judges.work}/served:2.3`,
  )
  const index = JSON.parse(readFileSync(join(judges.work, 'served', 'index.json'), 'utf8')) as {
    manifests: { digest: string }[]
  }
  t.equal(index.manifests[0]?.digest, image.root.digest)
})

t.test('a signature of cosign and an SBOM of oras travel with the image, and hold at the site', async t => {
  await judge('sh', '-c', `cd ${judges.work} && COSIGN_PASSWORD= cosign generate-key-pair`)
  await judge('env', 'COSIGN_PASSWORD=', 'cosign', ...SIGN, ...HTTP, `${ours.domain}/team/shop@${image.root.digest}`)
  writeFileSync(join(judges.work, 'sbom.json'), '{"spdxVersion":"SPDX-2.3"}')
  await judge(
    'sh',
    '-c',
    `cd ${judges.work} && oras attach --plain-http --artifact-type application/spdx+json ${name} sbom.json:application/spdx+json`,
  )
  const bundle = join(judges.work, 'signed.tar')
  await pack([`docker://${name}`], bundle, { referrers: true })
  t.same((await verifyBundle(bundle)).findings, [])
  const loaded = await loadBundle(bundle, { to: `docker://${site.domain}` })
  t.same(
    loaded.images.filter(({ error }) => error),
    [],
  )
  t.match(await judge('cosign', ...VERIFY, `${site.domain}/team/shop:2.3`), image.root.digest)
  t.match(
    await judge('oras', 'discover', '--plain-http', '--format', 'json', `${site.domain}/team/shop:2.3`),
    /application\/spdx\+json/,
  )
  await using served = await serveBundle([bundle], { listen: '127.0.0.1:0' })
  const { host } = new URL(served.address.url)
  t.match(
    await judge('oras', 'discover', '--plain-http', '--format', 'json', `${host}/team/shop:2.3`),
    /application\/spdx\+json/,
    'served from the bundle too',
  )
  t.match(await judge('cosign', ...VERIFY, `${host}/team/shop:2.3`), image.root.digest)
  t.not(
    (await judges.run('cosign', ...VERIFY, `${theirs.domain}/team/shop:2.3`)).code,
    0,
    'and where it was not carried there is none',
  )
  t.equal(digestOf(readFileSync(join(judges.work, 'sbom.json'))), digestOf(Buffer.from('{"spdxVersion":"SPDX-2.3"}')))
})

t.test('of one platform, the signature of its manifest holds at the site, and that of the index is named', async t => {
  const signed = `${ours.domain}/lab/signed`
  await copy(`oci:${layout}:shop:2.3`, `docker://${signed}:1`)
  await judge('env', 'COSIGN_PASSWORD=', 'cosign', ...SIGN, ...HTTP, '--recursive', `${signed}@${image.root.digest}`)
  const bundle = join(judges.work, 'one-platform')
  const { manifest, undelivered } = await pack(
    [{ image: `docker://${signed}:1`, platforms: ['linux/amd64'] }],
    bundle,
    {
      referrers: true,
    },
  )
  t.same(undelivered, [], 'the original index travels, and so does what describes it')
  const [packed, ...others] = (await loadBundle(bundle, { to: `docker://${site.domain}` })).images
  t.equal(packed?.strippedFrom, image.root.digest, 'this registry refuses an index without its manifests')
  t.same(
    others.flatMap(({ leftOut }) => leftOut ?? []),
    [`it describes ${image.root.digest}, which is not there`],
  )
  const [platform] = manifest.images[0]?.platforms ?? []
  const there = `${site.domain}/lab/signed`
  t.match(await judge('cosign', ...VERIFY, `${there}@${platform?.manifest}`), platform?.manifest)
  t.match(await judge('cosign', ...VERIFY, `${there}:1`), platform?.manifest, 'what has the tag is that manifest')
  t.not((await judges.run('cosign', ...VERIFY, `${there}@${image.root.digest}`)).code, 0)
})
