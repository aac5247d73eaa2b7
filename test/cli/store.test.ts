import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { blobPath, INDEX_FILE } from '../../src/oci/layout.js'
import { listImages } from '../../src/verbs/images.js'
import { stowage } from '../support/command.js'
import { writeLayout } from '../support/images.js'
import { held, reached, standingImages } from '../support/stored.js'

const { nano, app, shop, other } = await standingImages()
const named = {
  'nanoserver:10.0.14300.1010': nano,
  'registry.example:5000/team/app:1': app,
  'shop:1': shop,
  'other:1': other,
}
/** No engine answers there. */
const env = { DOCKER_HOST: '', DOCKER_CONTEXT: '', DOCKER_CONFIG: '/nothing' }

t.test("stowage images prints docker's table, and with --wide who each image is", async t => {
  const cwd = t.testdir()
  await writeLayout(join(cwd, 'layout'), named)
  const all = ['images', '--store', 'oci:layout']
  t.match(await stowage(all, { cwd }), {
    code: 0,
    stderr: '',
    stdout:
      /^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE\nother +1 +[0-9a-f]{12} +\d+ (year|month)s ago +\d+B\nshop +1 .*\nregistry\.example:5000\/team\/app +1 .*\nnanoserver +10\.0\.14300\.1010 .*\n$/,
  })
  t.match(
    (await stowage([...all, '--wide', 'shop', 'nanoserver'], { cwd })).stdout,
    /NAME +PUBLISHER +VERSION +ISOSIMAGE +BASE\nshop .* shop +- +1 +False +registry\.example:5000\/team\/app:1\nnanoserver .* NanoServer +CN=Microsoft +10\.0\.14300\.1010 +True +-\n/,
  )
  t.equal((await stowage([...all, '-q', '--no-trunc', 'shop'], { cwd })).stdout, `${shop.root.digest}\n`)
  t.match(
    (await stowage([...all, '--digests', 'shop:1'], { cwd })).stdout,
    new RegExp(`DIGEST .*\nshop +1 +${shop.root.digest} `),
  )
  t.match(JSON.parse((await stowage([...all, '--format', 'json', 'shop'], { cwd })).stdout), {
    Repository: 'shop',
    Tag: '1',
    ID: shop.root.digest.slice(7, 19),
  })
  t.match(JSON.parse((await stowage([...all, '--json', 'shop'], { cwd })).stdout), {
    schema: 'stowage.images/v1',
    store: 'oci:layout',
    images: [{ id: shop.root.digest, base: { id: app.root.digest, names: ['registry.example:5000/team/app:1'] } }],
  })
  for (const filter of ['x=1', 'dangling=maybe', 'label='])
    t.match(await stowage([...all, '--filter', filter], { cwd }), { code: 2, stderr: /is not a filter/ })
})

t.test('stowage history, tag, rmi and uninstall say what docker says, and say no with who is in the way', async t => {
  const cwd = t.testdir()
  const layout = join(cwd, 'layout')
  await writeLayout(layout, named)
  const run = async (...words: string[]) => await stowage([...words, '--store', 'oci:layout'], { cwd })
  const history = (await run('history', 'registry.example:5000/team/app:1')).stdout
  t.match(
    history,
    /^IMAGE +CREATED +CREATED BY +SIZE +COMMENT\n[0-9a-f]{12} .* CMD \["app\.exe"\] +0B\n<missing> .* cmd \/S \/C install\.cmd with a command that is… +\d+B +by hand\n<missing> .*Apply image 10\.0\.14300\.1010 +\d+B\n$/,
  )
  t.match(
    (await run('history', 'registry.example:5000/team/app:1', '--no-trunc', '--human=false')).stdout,
    /2017-01-01T00:00:00Z +cmd \/S \/C install\.cmd with a command that is longer than it is shown +\d+ +by hand/,
  )
  t.match(
    (await run('history', '--tree', 'registry.example:5000/team/app:1')).stdout,
    /^nanoserver:10\S* \S+ \S+ CN=Microsoft_NanoServer_10\.0\.14300\.1010\n└─ registry\.example:5000\/team\/app:1 \S+ \S+ <\n {3}└─ shop:1 \S+ \S+\n$/,
  )
  t.match(await run('tag', 'shop:1', 'shop:2'), { code: 0, stdout: '', stderr: '' })
  t.match(await run('rmi', 'shop:1'), { code: 0, stdout: 'Untagged: shop:1\n' })
  t.match(await run('uninstall', 'CN=MICROSOFT_*'), {
    code: 1,
    stdout: '',
    stderr:
      /2 images are based on nanoserver:10\.0\.14300\.1010: shop:2, registry\.example:5000\/team\/app:1\nhint: Remove first: stowage rmi shop:2 registry\.example:5000\/team\/app:1 --store oci:\S+; or use --force, which leaves images intact\./,
  })
  t.match(await run('uninstall', 'CN=Microsoft_NanoServer_10.0.14300.1010', '--force', '--what-if'), {
    code: 0,
    stdout:
      /^What if: uninstalling CN=Microsoft_NanoServer_10\.0\.14300\.1010, sha256:\S+, with its names nanoserver:10\.0\.14300\.1010\n$/,
  })
  t.match(await run('uninstall', 'shop:2'), { code: 2, stderr: /shop:2 is not a base OS image/ })
  t.match(await run('rmi', 'shop:2', 'registry.example:5000/team/app:1'), {
    code: 0,
    stdout: /^Untagged: shop:2\nDeleted: sha256:[^]*Untagged: registry\.example:5000\/team\/app:1\nDeleted: /,
  })
  t.match(await run('uninstall', 'cn=microsoft_nanoserver_10.0.14300.1010'), {
    code: 0,
    stdout: new RegExp(
      `^Untagged: nanoserver:10\\.0\\.14300\\.1010\nDeleted: ${nano.root.digest}\n[^]*Uninstalled CN=Microsoft_NanoServer_10\\.0\\.14300\\.1010\n$`,
    ),
  })
  t.same(held(layout), reached(layout))
  t.match(await run('commit', 'web', 'x:1'), { code: 1, stderr: /only an engine has them/ })
})

t.test('stowage uninstall names all that a pattern fits, where it fits several', async t => {
  const cwd = t.testdir()
  const config = JSON.parse(Buffer.from(nano.blobs.get(nano.config.digest)).toString()) as { created: string }
  const manifest = JSON.parse(Buffer.from(nano.blobs.get(nano.root.digest)).toString()) as { config: object }
  const made = nano.blobs.add(
    nano.config.mediaType,
    Buffer.from(JSON.stringify({ ...config, created: '2016-02-01T00:00:00Z' })),
  )
  const root = nano.blobs.add(nano.root.mediaType, Buffer.from(JSON.stringify({ ...manifest, config: made })))
  await writeLayout(join(cwd, 'two'), { 'nanoserver:1': nano, 'nanoserver:2': { ...nano, root } })
  const { code, stderr } = await stowage(
    ['uninstall', 'CN=Microsoft_NanoServer_10.0.14300.1010', '--store', 'oci:two'],
    { cwd },
  )
  t.equal(code, 2)
  t.match(
    stderr,
    new RegExp(`2 base OS images in oci:two match .*${nano.root.digest.slice(7, 19)}.*${root.digest.slice(7, 19)}`),
  )
})

t.test('without an engine the default store is meant, which may not be there yet', async t => {
  const cwd = t.testdir()
  const own = { ...env, STOWAGE_STORE: join(cwd, 'store'), HOME: cwd }
  const reachable = await stowage(['images'], { cwd, env: { ...own, DOCKER_HOST: `unix://${cwd}/none.sock` } })
  t.match(reachable, { code: 6, stderr: /no Docker Engine answers/ }, 'an engine that was named is meant')
  t.match(await stowage(['images', '--store', 'oci:'], { cwd, env: own }), {
    code: 0,
    stdout: 'REPOSITORY   TAG   IMAGE ID   CREATED   SIZE\n',
    stderr: '',
  })
  mkdirSync(join(cwd, 'store'))
  writeFileSync(join(cwd, 'store/oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  t.match(
    await stowage(['images', '-q', '--store', 'oci:'], { cwd, env: own }),
    { code: 0, stdout: '' },
    'nor have an index yet',
  )
  t.match(await stowage(['rmi', 'x:1', '--store', 'oci:'], { cwd, env: own }), {
    code: 3,
    stderr: /has no image "x:1"\nhint: It has no images/,
  })
})

t.test('what a hostile layout calls its images does not reach the terminal', async t => {
  const cwd = t.testdir()
  const layout = join(cwd, 'layout')
  await writeLayout(layout, { 'other:1': other, 'shop:1': shop })
  const path = join(layout, INDEX_FILE)
  const index = JSON.parse(readFileSync(path, 'utf8')) as {
    manifests: { annotations: Record<string, string>; digest: `sha256:${string}`; size: number }[]
  }
  index.manifests[0]!.annotations = { 'org.opencontainers.image.ref.name': 'v1\u001b]0;x\u0007\nshop   2\u009b' }
  const cycle = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [{ mediaType: 'application/vnd.oci.image.index.v1+json', digest: shop.root.digest, size: 2 }],
    }),
  )
  const digest = `sha256:${createHash('sha256').update(cycle).digest('hex')}` as const
  writeFileSync(join(layout, blobPath(digest)), cycle)
  index.manifests.push({
    mediaType: 'application/vnd.oci.image.index.v1+json',
    digest,
    size: cycle.length,
    annotations: {},
  } as never)
  index.manifests.push({
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: `sha256:${'0'.repeat(64)}`,
    size: 1e15,
    annotations: {},
  } as never)
  writeFileSync(path, JSON.stringify(index))
  for (const words of [
    ['images'],
    ['images', '--wide', '-a'],
    ['images', '--json'],
    ['images', '--format', 'json'],
    ['history', shop.root.digest, '--tree'],
    ['rmi', 'nothing'],
  ]) {
    const { stdout, stderr } = await stowage([...words, '--store', 'oci:layout'], { cwd })
    t.notMatch(stdout + stderr, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/, words.join(' '))
    t.ok(stdout + stderr)
  }
  t.match(await stowage(['images', '--store', 'oci:layout'], { cwd }), {
    code: 0,
    stderr: /warning: sha256:\S+ cannot be read: [^]*warning: /,
  })
  t.match(await stowage(['rmi', 'shop:1', '--store', 'oci:layout'], { cwd }), {
    code: 4,
    stderr: /nothing was removed/,
  })
})

t.test('2,000 images are listed in two seconds of processor time; five times that is too much', async t => {
  const cwd = t.testdir()
  const layout = join(cwd, 'layout')
  mkdirSync(join(layout, 'blobs/sha256'), { recursive: true })
  const add = (mediaType: string, value: object): object => {
    const bytes = Buffer.from(JSON.stringify(value))
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}` as const
    writeFileSync(join(layout, blobPath(digest)), bytes)
    return { mediaType, digest, size: bytes.length }
  }
  const hex = (n: number): string => `sha256:${n.toString(16).padStart(64, '0')}`
  const manifests = Array.from({ length: 2000 }, (_, n) => {
    const depth = 1 + (n % 20)
    const diff_ids = Array.from({ length: depth }, (_, at) => hex(at * 100 + Math.floor(n / 20)))
    const config = add('application/vnd.oci.image.config.v1+json', {
      os: 'linux',
      architecture: 'amd64',
      rootfs: { type: 'layers', diff_ids },
      n,
    })
    const layers = diff_ids.map(digest => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: 1 }))
    const root = add('application/vnd.oci.image.manifest.v1+json', { schemaVersion: 2, config, layers })
    return { ...root, annotations: { 'io.containerd.image.name': `docker.io/lab/i${n}:1` } }
  })
  writeFileSync(join(layout, INDEX_FILE), JSON.stringify({ schemaVersion: 2, manifests }))
  writeFileSync(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  const before = process.cpuUsage()
  const { images } = await listImages({ store: `oci:${layout}` })
  const { user, system } = process.cpuUsage(before)
  t.equal(images.length, 2000)
  t.equal(images.filter(({ base }) => base === undefined).length, 100, 'each stands on the next one below')
  t.ok(user + system < 10_000_000, `${(user + system) / 1000} ms of processor time`)
  t.comment(`${(user + system) / 1000} ms of processor time`)
})

t.test('skopeo reads what is left, and what has a new name', async t => {
  const cwd = t.testdir()
  await writeLayout(join(cwd, 'layout'), named)
  await stowage(['tag', 'other:1', 'localhost:5000/lab/x:y', '--store', 'oci:layout'], { cwd })
  await stowage(['rmi', 'other:1', 'shop:1', '--store', 'oci:layout'], { cwd })
  execFileSync('skopeo', ['copy', '-q', 'oci:layout:y', 'oci:copied:y'], { cwd })
  t.match(readFileSync(join(cwd, 'copied/index.json'), 'utf8'), other.root.digest)
})
