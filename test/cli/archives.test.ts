import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { dockerArchive } from '../support/archives.js'
import { writeBundle } from '../support/bundles.js'
import { stowage } from '../support/command.js'
import { layeredImage, makeImage, makeLayer, multiPlatformImage, noise, writeLayout } from '../support/images.js'

const one = await makeLayer({ one: noise(50_000, 'one') }, 'none')
const two = await makeLayer({ two: noise(90_000, 'two') }, 'none')

t.test('pack - takes every image of archives, or the one that is named, and a tree of files', async t => {
  const cwd = t.testdir({ tree: { etc: { motd: 'hello' } } })
  const images = [
    { image: makeImage([one, two]), tags: ['team/shop:2.3'] },
    { image: makeImage([one]), tags: ['lab/base:1'] },
  ]
  writeFileSync(join(cwd, 'saved.tar'), await dockerArchive(images))
  execFileSync('gzip', ['-k', 'saved.tar'], { cwd })
  await writeLayout(join(cwd, 'layout'), { 'multi:1': await multiPlatformImage() })
  execFileSync('tar', ['-cf', 'oci.tar', '-C', 'layout', '.'], { cwd })
  const words = ['pack', 'docker-archive:saved.tar', 'oci-archive:oci.tar', 'dir:tree', '--json', '-o']
  for (const output of ['bundle', 'bundle.tar']) {
    const { stdout, stderr, code } = await stowage([...words, output], { cwd })
    t.equal(code, 0, stderr)
    t.same(
      JSON.parse(stdout).images.map(({ names }: { names: string[] }) => names),
      [
        ['docker.io/lab/base:1'],
        ['docker.io/library/multi:1'],
        ['docker.io/library/tree:latest'],
        ['docker.io/team/shop:2.3'],
      ],
    )
    t.equal((await stowage(['verify', output], { cwd })).code, 0)
  }
  for (const output of ['zipped', 'zipped.tar']) {
    const { code, stderr } = await stowage(
      ['pack', 'docker-archive:saved.tar.gz:lab/base:1', '-o', output, '-t', 'renamed:1'],
      { cwd },
    )
    t.equal(code, 0, stderr)
    t.equal((await stowage(['verify', output], { cwd })).code, 0, 'what was spooled and is not needed is gone')
  }
  const both = ['docker-archive:saved.tar.gz:lab/base:1', 'docker-archive:saved.tar.gz:team/shop:2.3']
  t.equal((await stowage(['pack', ...both, '-o', 'both.tar'], { cwd })).code, 0, 'spooled at a time')
  t.same(readdirSync(cwd).sort(), [
    'both.tar',
    'bundle',
    'bundle.tar',
    'layout',
    'oci.tar',
    'saved.tar',
    'saved.tar.gz',
    'tree',
    'zipped',
    'zipped.tar',
  ])
  const arm = await stowage(['copy', 'dir:tree', 'oci:arm', '--platform', 'linux/arm64', '--json'], { cwd })
  t.same(JSON.parse(arm.stdout).platforms, ['linux/arm64'], 'a tree is for the platform that was asked for')
})

t.test('pack - refuses a bundle in the tree that it is made of, and leaves nothing', async t => {
  const cwd = t.testdir({ file: 'x' })
  for (const output of ['bundle', 'bundle.tar']) {
    const { code, stderr } = await stowage(['pack', 'dir:.', '-t', 'me:1', '-o', output], { cwd })
    t.equal(code, 2)
    t.match(stderr, /part of itself/)
    t.same(readdirSync(cwd), ['file'])
  }
})

t.test('copy - goes from an archive to an archive, and says what it took', async t => {
  const cwd = t.testdir()
  await writeLayout(join(cwd, 'layout'), { 'team/shop:2.3': await multiPlatformImage() })
  const run = async (...words: string[]) => {
    const { stdout, stderr, code } = await stowage(['copy', ...words, '--json'], {
      cwd,
      env: { SOURCE_DATE_EPOCH: '1700000000' },
    })
    t.equal(code, 0, stderr)
    return JSON.parse(stdout)
  }
  const first = await run('oci:layout', 'oci-archive:x.tar')
  t.match(first, { schema: 'stowage.copy/v1', to: 'oci-archive:x.tar', names: ['docker.io/team/shop:2.3'] })
  t.equal(first.platforms.length, 3)
  const docker = await run('oci-archive:x.tar', 'docker-archive:d.tar:mirror.example/shop:1')
  t.match(docker, {
    to: 'docker-archive:d.tar:mirror.example/shop:1',
    names: ['mirror.example/shop:1'],
    platforms: ['linux/amd64'],
  })
  t.match(await run('docker-archive:d.tar', 'oci:again'), { id: docker.id, names: ['mirror.example/shop:1'] })
  t.match((await stowage(['copy', 'oci:layout', 'docker-archive:e.tar'], { cwd })).stdout, /platforms +linux\/amd64\n/)
  t.match(execFileSync('tar', ['-tvf', 'd.tar'], { cwd, encoding: 'utf8' }), /2023-11-14/)
  t.same(readdirSync(cwd).sort(), ['again', 'd.tar', 'e.tar', 'layout', 'x.tar'])
})

t.test('copy - names the images of an archive of several, and leaves nothing', async t => {
  const cwd = t.testdir()
  writeFileSync(
    join(cwd, 'saved.tar'),
    await dockerArchive([
      { image: makeImage([one]), tags: ['a:1'] },
      { image: makeImage([two]), tags: ['b:1'] },
    ]),
  )
  const several = await stowage(['copy', 'docker-archive:saved.tar', 'oci-archive:x.tar'], { cwd })
  t.match(several.stderr, /2 images.*\n.*docker-archive:PATH:REF/)
  t.equal(several.code, 2)
  const unknown = await stowage(['copy', 'docker-archive:saved.tar:c:1', 'oci-archive:x.tar'], { cwd })
  t.equal(unknown.code, 3)
  t.match(unknown.stderr, /a:1, b:1/)
  t.equal(
    (await stowage(['copy', 'docker-archive:saved.tar:b:1', 'docker-archive:saved.tar'], { cwd })).code,
    1,
    'which exists',
  )
  t.same(readdirSync(cwd), ['saved.tar'])
})

t.test('load - writes the images of a bundle into one archive, with a layer that is made on the way', async t => {
  const cwd = t.testdir()
  await writeBundle(join(cwd, 'bundle'), {
    'team/shop:2.3': await layeredImage(2),
    'multi:1': await multiPlatformImage(),
  })
  for (const type of ['docker-archive', 'oci-archive']) {
    const { stdout, stderr, code } = await stowage(['load', 'bundle', '--to', `${type}:${type}.tar`], { cwd })
    t.equal(code, 0, stderr)
    t.match(stdout, /Loaded 2 images into/)
    t.equal((await stowage(['pack', `${type}:${type}.tar`, '-o', `${type}-again`], { cwd })).code, 0)
    t.equal((await stowage(['load', 'bundle', '--to', `${type}:${type}.tar`], { cwd })).code, 1, 'never a second time')
  }
  mkdirSync(join(cwd, 'tree'))
  t.equal((await stowage(['copy', 'dir:tree', 'docker-archive:tree.tar'], { cwd })).code, 0)
  t.same(
    readdirSync(cwd).filter(name => name.startsWith('.') || name.endsWith('.partial')),
    [],
  )
})

t.test('load - of an archive that is not a bundle says how it is named', async t => {
  const cwd = t.testdir()
  await writeLayout(join(cwd, 'layout'), { 'shop:1': await layeredImage(1, { size: 100 }) })
  t.equal((await stowage(['copy', 'oci:layout', 'oci-archive:images.tar'], { cwd })).code, 0)
  for (const [path, name] of [
    ['images.tar', 'oci-archive:images.tar'],
    ['layout', 'oci:layout'],
  ] as const) {
    const { code, stderr } = await stowage(['load', path, '--to', 'oci:store'], { cwd })
    t.equal(code, 4)
    t.match(stderr, new RegExp(`hint: It is .*, not a bundle\\. Copy it: stowage copy ${name} TO;`))
  }
})
