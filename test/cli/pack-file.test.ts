import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { stowage } from '../support/command.js'
import { dockerArchive } from '../support/archives.js'
import { readTree } from '../support/bundles.js'
import { layeredImage, multiPlatformImage, writeLayout } from '../support/images.js'
import { pushWithSkopeo, startFaultyProxy, startRegistry } from '../support/registry.js'

const WIM = join(import.meta.dirname, '../../fixtures/nanoserver-sample.wim')

interface Packed {
  readonly images: readonly { readonly names: readonly string[]; readonly root: { readonly digest: string } }[]
}

const namesOf = (directory: string) =>
  (JSON.parse(readFileSync(join(directory, 'bundle.json'), 'utf8')) as Packed).images.flatMap(({ names }) => names)
const lockOf = (path: string) =>
  JSON.parse(readFileSync(path, 'utf8')) as {
    images: { request: unknown; images: { location: string; digest: string; names: string[] }[] }[]
    wims: { files: unknown[] }[]
  }

t.test(
  'pack -f - packs tags by list and by rule, layouts and WIMs, asks for the tags once, and locks them',
  async t => {
    const cwd = t.testdir()
    const registry = await startRegistry(t)
    const images = await Promise.all(['a', 'b', 'c', 'd'].map(seed => layeredImage(1, { size: 1000, seed })))
    for (const [n, tag] of ['1.26.0', '1.27.0', '1.27.10', '2.0.0-rc.1'].entries())
      await pushWithSkopeo(t, registry, `team/shop:${tag}`, images[n] ?? (t.fail() as never))
    const proxy = await startFaultyProxy(t, registry, () => undefined)
    mkdirSync(join(cwd, 'site'))
    await writeLayout(join(cwd, 'site', 'layout'), { 'monitor:1.4': images[0] ?? (t.fail() as never) })
    copyFileSync(WIM, join(cwd, 'site', 'Nano.wim'))
    writeFileSync(
      join(cwd, 'site', 'images.yaml'),
      `version: 1
images:
  - image: ${proxy.domain}/team/shop
    tags: {semver: ">=1.26.5 <3", newest: 1}
  - image: ${proxy.domain}/team/shop
    tags: [1.26.0, 1.27.0]
    name: site.example/shop
  - oci:layout
wims:
  - {file: Nano.wim, name: "nano:1"}
`,
    )
    const dry = await stowage(['pack', '-f', 'site/images.yaml', '--dry-run', '--json'], { cwd })
    t.equal(dry.code, 0, dry.stderr)
    t.match(JSON.parse(dry.stdout), {
      schema: 'stowage.pack-plan/v1',
      images: [
        { names: [`${proxy.domain}/team/shop:1.27.10`], digest: images[2]?.root.digest },
        { names: ['site.example/shop:1.26.0'], digest: images[0]?.root.digest },
        { names: ['site.example/shop:1.27.0'], digest: images[1]?.root.digest },
        { names: ['docker.io/library/monitor:1.4'], digest: images[0]?.root.digest },
        { names: ['docker.io/library/nano:1'], digest: undefined, platforms: ['windows/amd64:10.0.14300.1010'] },
      ],
    })
    t.notOk(existsSync(join(cwd, 'site', 'images.lock')), 'a dry run writes no lock')
    t.equal(
      proxy.requests.filter(({ line }) => line.includes('/blobs/') && line.startsWith('GET')).length,
      3,
      'configs alone',
    )
    const before = proxy.requests.length
    const { stderr, code } = await stowage(['pack', '-f', 'site/images.yaml', '-o', 'bundle'], { cwd })
    t.equal(code, 0, stderr)
    t.match(stderr, /locked in site\/images\.lock/)
    t.equal(proxy.requests.slice(before).filter(({ line }) => line.includes('/tags/list')).length, 1)
    t.equal((await stowage(['verify', 'bundle'], { cwd })).code, 0)
    t.same(
      namesOf(join(cwd, 'bundle')).sort(),
      [
        `${proxy.domain}/team/shop:1.27.10`,
        'docker.io/library/monitor:1.4',
        'docker.io/library/nano:1',
        'site.example/shop:1.26.0',
        'site.example/shop:1.27.0',
      ].sort(),
    )
    const lock = lockOf(join(cwd, 'site', 'images.lock'))
    t.match(
      lock.images.flatMap(entry => entry.images).find(({ location }) => location.endsWith(':1.27.10')),
      {
        location: `docker://${proxy.domain}/team/shop:1.27.10`,
        tag: '1.27.10',
        digest: images[2]?.root.digest,
        names: [`${proxy.domain}/team/shop:1.27.10`],
      },
    )
    t.match(lock.wims[0]?.files, [
      { path: 'Nano.wim', digest: `sha256:${execFileSync('sha256sum', [WIM], { encoding: 'utf8' }).slice(0, 64)}` },
    ])
    t.notOk(readFileSync(join(cwd, 'site', 'images.lock'), 'utf8').includes(cwd), 'no path of this machine')
  },
)

t.test('pack -f - a name without a tag takes the tag of the image, also of one in a layout or a bundle', async t => {
  const cwd = t.testdir()
  await writeLayout(join(cwd, 'layout'), { 'monitor:1.4': await layeredImage(1, { size: 1000 }) })
  t.equal((await stowage(['pack', 'oci:layout', '-o', 'bundle'], { cwd })).code, 0)
  writeFileSync(
    join(cwd, 'images.yaml'),
    'version: 1\nimages: [{image: "oci:layout:1.4", name: site.example/a}, {image: "bundle:bundle", names: [site.example/b, site.example/c:2]}]\n',
  )
  const { code, stderr } = await stowage(['pack', '-f', 'images.yaml', '-o', 'site'], { cwd })
  t.equal(code, 0, stderr)
  t.same(namesOf(join(cwd, 'site')).sort(), ['site.example/a:1.4', 'site.example/b:1.4', 'site.example/c:2'])
})

t.test('pack -f --locked - gives the same bytes after a tag has moved, and asks for no tag', async t => {
  const cwd = t.testdir()
  const registry = await startRegistry(t)
  const [old, young] = [
    await layeredImage(1, { size: 1000, seed: 'old' }),
    await layeredImage(1, { size: 1000, seed: 'young' }),
  ]
  await pushWithSkopeo(t, registry, 'team/shop:1.0', old)
  const proxy = await startFaultyProxy(t, registry, () => undefined)
  writeFileSync(
    join(cwd, 'images.yaml'),
    `version: 1\nimages: ["${proxy.domain}/team/shop:1.0", {image: "${proxy.domain}/team/shop", tags: {semver: "^1"}, name: copy}]\nwims: [{file: ${WIM}, name: nano}]\n`,
  )
  t.equal((await stowage(['pack', '-f', 'images.yaml', '-o', 'one'], { cwd })).code, 0)
  const lock = readFileSync(join(cwd, 'images.lock'))
  await pushWithSkopeo(t, registry, 'team/shop:1.0', young)
  await pushWithSkopeo(t, registry, 'team/shop:1.1', young)
  const before = proxy.requests.length
  const again = await stowage(['pack', '-f', 'images.yaml', '--locked', '-o', 'two'], { cwd })
  t.equal(again.code, 0, again.stderr)
  t.same(await readTree(join(cwd, 'two')), await readTree(join(cwd, 'one')))
  t.same(
    proxy.requests.slice(before).filter(({ line }) => /\/tags\/|\/manifests\/(?!sha256:)/.test(line)),
    [],
  )
  t.same(readFileSync(join(cwd, 'images.lock')), lock, 'the lock stays')
  t.equal((await stowage(['pack', '-f', 'images.yaml', '-o', 'three'], { cwd })).code, 0)
  t.notSame(readFileSync(join(cwd, 'images.lock')), lock, 'without it, the tag is followed')
  t.same(
    namesOf(join(cwd, 'three')).sort(),
    [
      `${proxy.domain}/team/shop:1.0`,
      'docker.io/library/copy:1.0',
      'docker.io/library/copy:1.1',
      'docker.io/library/nano:latest',
    ].sort(),
  )
})

t.test('pack -f --locked - refuses what is not as it was locked, and leaves no bundle', async t => {
  const cwd = t.testdir()
  const registry = await startRegistry(t)
  const image = await layeredImage(1, { size: 1000 })
  await pushWithSkopeo(t, registry, 'team/shop:1.0', image)
  copyFileSync(WIM, join(cwd, 'Nano.wim'))
  const file = `version: 1\nimages:\n  - ${registry.domain}/team/shop:1.0\nwims: [Nano.wim]\n`
  writeFileSync(join(cwd, 'images.yaml'), file)
  const none = await stowage(['pack', '-f', 'images.yaml', '--locked', '-o', 'b'], { cwd })
  t.equal(none.code, 3)
  t.match(none.stderr, /images\.lock does not exist[^]*Pack once without --locked/)
  t.equal((await stowage(['pack', '-f', 'images.yaml', '-o', 'first'], { cwd })).code, 0)
  writeFileSync(join(cwd, 'images.yaml'), `${file}files: [images.yaml]\n`)
  const more = await stowage(['pack', '-f', 'images.yaml', '--locked', '-o', 'b'], { cwd })
  t.equal(more.code, 1)
  t.match(more.stderr, /images\.yaml:5:9: images\.lock does not have this entry: .*images\.yaml/)
  writeFileSync(join(cwd, 'images.yaml'), 'version: 1\nwims: [Nano.wim]\n')
  t.match(
    (await stowage(['pack', '-f', 'images.yaml', '--locked', '-o', 'b'], { cwd })).stderr,
    /images\.lock has an entry that images\.yaml does not: .*team\/shop:1\.0/,
  )
  writeFileSync(join(cwd, 'images.yaml'), file)
  writeFileSync(join(cwd, 'Nano.wim'), Buffer.concat([readFileSync(WIM), Buffer.alloc(1)]))
  t.match(
    (await stowage(['pack', '-f', 'images.yaml', '--locked', '-o', 'b'], { cwd })).stderr,
    /images\.yaml:4:8: Nano\.wim is sha256:.* does not match the lock/,
  )
  copyFileSync(WIM, join(cwd, 'Nano.wim'))
  const said = execFileSync(
    'curl',
    [
      '-s',
      '-X',
      'DELETE',
      '-w',
      '%{http_code}',
      `http://${registry.domain}/v2/team/shop/manifests/${image.root.digest}`,
    ],
    { encoding: 'utf8' },
  )
  t.equal(said, '202')
  const gone = await stowage(['pack', '-f', 'images.yaml', '--locked', '-o', 'b'], { cwd })
  t.equal(gone.code, 3)
  t.match(
    gone.stderr,
    new RegExp(
      `images\\.yaml:3:5: .*team/shop:1\\.0 was ${image.root.digest}, as recorded in images\\.lock, which no longer exists`,
    ),
  )
  t.notOk(existsSync(join(cwd, 'b')))
})

t.test('pack -f - tells of every entry that is not there, with what is nearest, and packs nothing', async t => {
  const cwd = t.testdir()
  const registry = await startRegistry(t)
  for (const tag of ['1.0.0', '1.1.0', '2.0.0-rc.1'])
    await pushWithSkopeo(t, registry, `team/shop:${tag}`, await layeredImage(1, { size: 100 }))
  writeFileSync(
    join(cwd, 'images.yaml'),
    `version: 1
images:
  - image: ${registry.domain}/team/shop
    tags: {semver: ">=2"}
  - ${registry.domain}/team/shop:1.0.1
  - ${registry.domain}/team/none
  - image: ${registry.domain}/team/shop
    tags: {match: "^(1+)+$"}
wims: [none.wim]
files: [none]
`,
  )
  const { stderr, code } = await stowage(['pack', '-f', 'images.yaml', '-o', 'b'], { cwd })
  t.equal(code, 2)
  t.match(
    stderr,
    /images\.yaml:4:11: none of the 3 tags of .*team\/shop is a version in >=2; the nearest are 1\.0\.0, 1\.1\.0, 2\.0\.0-rc\.1/,
  )
  t.match(stderr, /images\.yaml:5:5: .* has no image .*team\/shop:1\.0\.1; the nearest tags are 1\.0\.0, 1\.1\.0/)
  t.match(stderr, /images\.yaml:6:5: .* has no image .*team\/none:latest/)
  t.match(stderr, /images\.yaml:8:11: none of the 3 tags/)
  t.match(stderr, /images\.yaml:9:8: none\.wim does not exist/)
  t.match(stderr, /images\.yaml:10:9: none does not exist/)
  t.same(readdirSync(cwd), ['images.yaml'])
})

t.test('pack -f - one name for two images is refused with both places', async t => {
  const cwd = t.testdir()
  const registry = await startRegistry(t)
  await pushWithSkopeo(t, registry, 'team/shop:1.0', await layeredImage(1, { size: 100 }))
  writeFileSync(
    join(cwd, 'images.yaml'),
    `version: 1\nimages:\n  - ${registry.domain}/team/shop:1.0\n  - {image: "${registry.domain}/team/shop", tags: {match: "^1"}}\n`,
  )
  const { stderr, code } = await stowage(['pack', '-f', 'images.yaml', '-o', 'b'], { cwd })
  t.equal(code, 2)
  t.match(stderr, /images\.yaml:4:13: an image is named .*team\/shop:1\.0 here, and so does line 3, column 5/)
})

t.test('pack -f - takes images beside it, and platforms of its own', async t => {
  const cwd = t.testdir()
  await writeLayout(join(cwd, 'layout'), { 'shop:1': await multiPlatformImage() })
  await writeLayout(join(cwd, 'other'), { 'monitor:1': await layeredImage(1, { size: 100 }) })
  writeFileSync(join(cwd, 'images.yaml'), 'version: 1\nimages: [{image: "oci:layout", platforms: [linux/s390x]}]\n')
  const { stdout, stderr, code } = await stowage(
    ['pack', 'oci:other', '-f', 'images.yaml', '-o', 'b', '--lock', 'other.lock', '--json'],
    { cwd },
  )
  t.equal(code, 0, stderr)
  t.match(JSON.parse(stdout), {
    schema: 'stowage.pack/v1',
    images: [
      { names: ['docker.io/library/monitor:1'] },
      { names: ['docker.io/library/shop:1'], platforms: [{ platform: { architecture: 's390x' } }] },
    ],
  })
  t.equal(lockOf(join(cwd, 'other.lock')).images.length, 1)
  const again = await stowage(
    ['pack', 'oci:other', '-f', 'images.yaml', '-o', 'c', '--lock', 'other.lock', '--locked'],
    { cwd },
  )
  t.equal(again.code, 0, again.stderr)
  t.same(await readTree(join(cwd, 'c')), await readTree(join(cwd, 'b')))
  await writeLayout(join(cwd, 'layout'), { 'shop:1': await layeredImage(1, { size: 100 }) })
  const gone = await stowage(['pack', '-f', 'images.yaml', '-o', 'd', '--lock', 'other.lock', '--locked'], { cwd })
  t.equal(gone.code, 3)
  t.match(gone.stderr, /images\.yaml:2:18: oci:layout was sha256:.* which no longer exists/)
  t.notOk(existsSync(join(cwd, 'images.lock')))
})

t.test('pack -f - carries files and WIMs along, and locks them', async t => {
  const cwd = t.testdir({ docs: { 'read.me': 'hello', more: { 'x.txt': 'x' } }, 'setup.sh': '#!/bin/sh' })
  await writeLayout(join(cwd, 'layout'), { 'shop:1': await layeredImage(1, { size: 100 }) })
  copyFileSync(WIM, join(cwd, 'Nano.wim'))
  writeFileSync(
    join(cwd, 'images.yaml'),
    'version: 1\nimages: ["oci:layout"]\nwims: [{file: Nano.wim, carry: only}]\nfiles: [{from: docs, to: manual}, setup.sh]\n',
  )
  const { stderr, code } = await stowage(['pack', '-f', 'images.yaml', '-o', 'b'], { cwd })
  t.equal(code, 0, stderr)
  const tree = await readTree(join(cwd, 'b'))
  t.same(
    [...tree.keys()].filter(path => path.startsWith('files/')),
    ['files/manual/more/x.txt', 'files/manual/read.me', 'files/setup.sh', 'files/wims/Nano.wim'],
  )
  t.same(tree.get('files/wims/Nano.wim'), readFileSync(WIM))
  t.equal((await stowage(['verify', 'b'], { cwd })).code, 0)
  writeFileSync(join(cwd, 'docs', 'read.me'), 'changed')
  const changed = await stowage(['pack', '-f', 'images.yaml', '-o', 'c', '--locked'], { cwd })
  t.equal(changed.code, 1)
  t.match(changed.stderr, /images\.yaml:4:16: docs\/read\.me is sha256:.* does not match the lock/)
})

t.test('pack -f - takes every transport, and its dry run and its lock too', async t => {
  const cwd = t.testdir({ site: { tree: { hello: 'world' } } })
  const image = await layeredImage(1, { size: 1000 })
  await writeLayout(join(cwd, 'site', 'layout'), { 'shop:1': image })
  writeFileSync(join(cwd, 'site', 'saved.tar'), await dockerArchive([{ image, tags: ['shop:1'] }]))
  execFileSync('gzip', ['--keep', 'saved.tar'], { cwd: join(cwd, 'site') })
  execFileSync('tar', ['-cf', '../oci.tar', '.'], { cwd: join(cwd, 'site', 'layout') })
  execFileSync('skopeo', ['copy', '--quiet', 'oci:layout', 'dir:skopeo'], { cwd: join(cwd, 'site') })
  const places = [
    'oci:layout',
    'oci-archive:oci.tar',
    'docker-archive:saved.tar',
    'docker-archive:saved.tar.gz:shop:1',
    'dir:skopeo',
    'dir:tree',
  ]
  writeFileSync(
    join(cwd, 'site', 'images.yaml'),
    JSON.stringify({ version: 1, images: places.map((place, n) => ({ image: place, name: `x${n}:1` })) }),
  )
  const dry = await stowage(['pack', '-f', 'site/images.yaml', '--dry-run', '--json'], { cwd })
  t.equal(dry.code, 0, dry.stderr)
  const plan = JSON.parse(dry.stdout) as { images: { names: string[]; digest?: string; platforms: string[] }[] }
  t.equal(plan.images.length, places.length)
  for (const [n, { names, digest, platforms }] of plan.images.entries()) {
    t.same(names, [`docker.io/library/x${n}:1`])
    t.equal(digest === undefined, places[n] === 'dir:tree', String(n))
    t.equal(platforms.length, 1)
  }
  t.same(readdirSync(cwd), ['site'], 'a dry run leaves nothing')
  for (const [output, words] of [
    ['one', []],
    ['two', ['--locked']],
  ] as const) {
    const { code, stderr } = await stowage(['pack', '-f', 'site/images.yaml', '-o', output, ...words], { cwd })
    t.equal(code, 0, stderr)
  }
  t.same(await readTree(join(cwd, 'two')), await readTree(join(cwd, 'one')))
  t.same(
    namesOf(join(cwd, 'one')).sort(),
    places.map((_, n) => `docker.io/library/x${n}:1`),
  )
})

t.test(
  'pack -f --locked - refuses a lock that says less, or speaks of another repository, and names what is not a lock',
  async t => {
    const cwd = t.testdir()
    const registry = await startRegistry(t)
    await pushWithSkopeo(t, registry, 'team/shop:1.0', await layeredImage(1, { size: 100 }))
    await pushWithSkopeo(t, registry, 'other/shop:1.0', await layeredImage(1, { size: 100 }))
    writeFileSync(
      join(cwd, 'images.yaml'),
      `version: 1\nimages:\n  - ${registry.domain}/team/shop:1.0\nwims: [${WIM}]\n`,
    )
    t.equal((await stowage(['pack', '-f', 'images.yaml', '-o', 'b'], { cwd })).code, 0)
    const lock = readFileSync(join(cwd, 'images.lock'), 'utf8')
    const edits: readonly (readonly [string, (lock: any) => void, number, RegExp])[] = [
      [
        'no image',
        lock => (lock.images[0].images = []),
        1,
        /images\.yaml:3:5: images\.lock has no image for this entry/,
      ],
      [
        'no image of a WIM',
        lock => delete lock.wims[0].images,
        1,
        /images\.yaml:4:8: images\.lock has no image for this entry/,
      ],
      [
        'another repository',
        lock => (lock.images[0].images[0].location = `docker://${registry.domain}/other/shop:1.0`),
        1,
        /images\.yaml:3:5: images\.lock has docker:\/\/.*other\/shop:1\.0 for this entry, which is another repository/,
      ],
      ['another tag in a longer name', lock => (lock.images[0].images[0].location += '/more'), 0, /as locked/],
      [
        'a name that is none',
        lock => (lock.images[0].images[0].names = ['a b']),
        4,
        /images\.lock\.images\[0\]\.images\[0\]\.names\[0\]: expected a name of an image but found "a b"/,
      ],
      [
        'a name that is a number',
        lock => (lock.images[0].images[0].names = [1]),
        4,
        /names\[0\]: expected a name of an image but found 1/,
      ],
    ]
    for (const [n, [what, edit, code, said]] of edits.entries()) {
      const edited = JSON.parse(lock) as unknown
      edit(edited)
      writeFileSync(join(cwd, 'images.lock'), JSON.stringify(edited))
      const found = await stowage(['pack', '-f', 'images.yaml', '--locked', '-o', `c${n}`], { cwd })
      t.equal(found.code, code, what)
      t.match(found.stderr, said, what)
      t.equal(existsSync(join(cwd, `c${n}`)), code === 0, what)
    }
  },
)

t.test(
  'pack -f --locked - leaves a bundle that stands as it is, where what is made is not what was locked',
  async t => {
    const cwd = t.testdir()
    writeFileSync(join(cwd, 'images.yaml'), `version: 1\nwims: [{file: ${WIM}, name: nano}]\n`)
    t.equal((await stowage(['pack', '-f', 'images.yaml', '-o', 'b'], { cwd })).code, 0)
    const stood = await readTree(join(cwd, 'b'))
    const lock = lockOf(join(cwd, 'images.lock')) as unknown as { wims: { images: { digest: string }[] }[] }
    for (const image of lock.wims[0]?.images ?? []) image.digest = `sha256:${'0'.repeat(64)}`
    writeFileSync(join(cwd, 'images.lock'), JSON.stringify(lock))
    for (const words of [
      ['-o', 'b', '--update'],
      ['-o', 'new'],
      ['-o', 'new.tar'],
    ]) {
      const { code, stderr } = await stowage(['pack', '-f', 'images.yaml', '--locked', ...words], { cwd })
      t.equal(code, 1, words.join(' '))
      t.match(stderr, /images\.yaml:2:15: wim:.* is sha256:0+ in images\.lock, but was packed as sha256:/)
    }
    t.same(await readTree(join(cwd, 'b')), stood)
    t.same(readdirSync(cwd).sort(), ['b', 'images.lock', 'images.yaml'])
  },
)

t.test('pack -f - says a place once, and a path that no bundle can have before anything is copied', async t => {
  const cwd = t.testdir({ 'notes.txt': 'hello' })
  const registry = await startRegistry(t)
  await pushWithSkopeo(t, registry, 'team/shop:1.0', await layeredImage(1, { size: 100 }))
  const proxy = await startFaultyProxy(t, registry, () => undefined)
  const gone = await startFaultyProxy(t, registry, (_request, response) => (response.writeHead(401).end(), 'answered'))
  writeFileSync(join(cwd, 'images.yaml'), `version: 1\nimages:\n  - ${gone.domain}/team/shop:1.0\n`)
  t.match(
    (await stowage(['pack', '-f', 'images.yaml', '-o', 'b'], { cwd })).stderr,
    /^stowage: images\.yaml:3:5: (?!images)/,
  )
  writeFileSync(
    join(cwd, 'images.yaml'),
    `version: 1\nimages: ["${proxy.domain}/team/shop:1.0"]\nfiles: [{from: notes.txt, to: aux}]\n`,
  )
  const { code, stderr } = await stowage(['pack', '-f', 'images.yaml', '-o', 'b'], { cwd })
  t.equal(code, 2)
  t.match(stderr, /"aux" is not a valid path for a file in a bundle/)
  t.notOk(
    proxy.requests.some(({ line }) => line.includes('/blobs/')),
    'nothing was fetched',
  )
  t.same(readdirSync(cwd).sort(), ['images.yaml', 'notes.txt'])
})

t.test(
  'pack -f - of files alone is a bundle too, whole to verify and sha256sum, and load says that it has no image',
  async t => {
    const cwd = t.testdir({ 'notes.txt': 'hello' })
    copyFileSync(WIM, join(cwd, 'Nano.wim'))
    writeFileSync(join(cwd, 'images.yaml'), 'version: 1\nwims: [{file: Nano.wim, carry: only}]\nfiles: [notes.txt]\n')
    for (const output of ['b', 'b.tar']) {
      const { stdout, stderr, code } = await stowage(['pack', '-f', 'images.yaml', '-o', output], { cwd })
      t.equal(code, 0, stderr)
      t.match(stdout, /^Packed 2 files into b/)
      t.equal((await stowage(['verify', output], { cwd })).code, 0)
      const load = await stowage(['load', output, '--to', 'oci:store'], { cwd })
      t.equal(load.code, 3)
      t.match(load.stderr, /holds no image\nhint: It contains only files/)
      const copy = await stowage(['copy', `bundle:${output}`, 'oci:store'], { cwd })
      t.equal(copy.code, 3)
      t.match(copy.stderr, /holds no image/)
    }
    execFileSync('sha256sum', ['--quiet', '-c', 'SHA256SUMS'], { cwd: join(cwd, 'b') })
    t.same((await readTree(join(cwd, 'b'))).get('files/notes.txt'), Buffer.from('hello'))
    t.equal((await stowage(['pack', '-f', 'images.yaml', '-o', 'again', '--locked'], { cwd })).code, 0)
  },
)

t.test('pack - options of a list go with one, and something must be named', async t => {
  for (const words of [
    ['--locked', 'x', '-o', 'b'],
    ['--dry-run'],
    ['--lock', 'l', 'x', '-o', 'b'],
    ['-o', 'b'],
    ['x'],
    ['-f', 'images.yaml', '-o', 'wim:x.wim'],
    ['-f', 'a', '-f', 'b', '-o', 'c'],
  ]) {
    t.equal((await stowage(['pack', ...words], { cwd: t.testdir() })).code, 2, words.join(' '))
  }
  const { stdout } = await stowage(['schema'])
  t.match(JSON.parse(stdout), { title: /images\.yaml/, required: ['version'] })
})
