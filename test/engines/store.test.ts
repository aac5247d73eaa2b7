import t, { type Test } from 'tap'
import type { TestEngine } from '../support/engine.js'
import { startEngine } from '../support/engine.js'
import { startDebianEngine } from '../support/debian-engine.js'
import { uninstallImages } from '../../src/base-image/uninstall.js'
import { openEngineDestination } from '../../src/transport/engine/destination.js'
import { readImage } from '../../src/blob/closure.js'
import { parseReference } from '../../src/oci/reference.js'
import { stowage } from '../support/command.js'
import { hostPlatform, runnableImage, type TestImage } from '../support/images.js'
import { NANO, type Standing, standingImages } from '../support/stored.js'

const hello = await runnableImage()

t.test('an engine that keeps layers unpacked, which on Linux takes no image of Windows', async t => {
  const engine = await startEngine()
  t.teardown(() => engine.stop())
  await story(t, engine, await standingImages(hostPlatform()), false)
})

t.test("an engine with containerd's store", async t => {
  const engine = await startDebianEngine('trixie', 'containerd')
  t.teardown(() => engine.stop())
  await story(t, engine, await standingImages(), true)
})

/** `windows`: the lowest of `standing` is a base OS image there. */
async function story(t: Test, engine: TestEngine, standing: Standing, windows: boolean): Promise<void> {
  const env = { DOCKER_HOST: engine.host }
  const lines = (text: string): readonly string[] =>
    text
      .split('\n')
      .map(line => line.trimEnd().replace(/ {2,}/g, '   '))
      .filter(line => line !== '')
      .sort()

  async function docker(...words: string[]): Promise<string> {
    const { code, stdout, stderr } = await engine.docker(...words)
    if (code !== 0) throw new Error(`docker ${words.join(' ')}: ${stderr}`)
    return stdout.trim()
  }
  async function ours(...words: string[]): Promise<string> {
    const { code, stdout, stderr } = await stowage(words, { env })
    if (code !== 0) throw new Error(`stowage ${words.join(' ')}: ${stderr}`)
    return stdout
  }
  async function load(image: TestImage, name: string): Promise<string> {
    await using destination = await openEngineDestination({ host: engine.host })
    return (await destination.write(await readImage(image.blobs, image.root), image.blobs, [parseReference(name)])).id
  }

  const ids = {
    nano: await load(standing.nano, 'nanoserver:10.0.14300.1010'),
    app: await load(standing.app, 'registry.example:5000/team/app:1'),
    shop: await load(standing.shop, 'shop:1'),
    hello: await load(hello, 'lab/hello:1'),
  }

  t.test('images - are those that docker lists, in its words', async t => {
    await docker('tag', 'shop:1', 'shop:2')
    const theirs = await docker(
      'images',
      '--no-trunc',
      '--format',
      '{{.Repository}}   {{.Tag}}   {{.ID}}   {{.CreatedSince}}   {{.Size}}',
    )
    t.same(lines((await ours('images', '--no-trunc')).replace(/^.*\n/, '')), lines(theirs))
    t.same(lines(await ours('images', '-q', 'shop')), [...new Set(lines(await docker('images', '-q', 'shop')))])
    for (const filter of [
      'reference=*/team/app',
      'dangling=true',
      'label=tier',
      `before=shop:1`,
      'since=nanoserver:10.0.14300.1010',
    ]) {
      t.same(
        [...new Set(lines(await ours('images', '-q', '--no-trunc', '--filter', filter)))],
        [...new Set(lines(await docker('images', '-q', '--no-trunc', '--filter', filter)))].sort(),
        filter,
      )
    }
    await docker('rmi', 'shop:2')
  })

  t.test('images - tell name, publisher, version and base of each', async t => {
    const { images } = JSON.parse(await ours('images', '--json')) as {
      images: {
        id: string
        base?: { id: string }
        isOSImage: boolean
        name: string
        publisher: string
        version: string
      }[]
    }
    const byId = (id: string) => images.find(image => image.id === id)
    t.match(byId(ids.nano), { ...NANO, isOSImage: windows, base: undefined })
    t.match(byId(ids.app), { isOSImage: false, base: { id: ids.nano } })
    t.match(byId(ids.shop), { base: { id: ids.app } })
    t.match(
      await ours('images', '--wide', 'nanoserver'),
      /nanoserver +10\.0\.14300\.1010 +[0-9a-f]{12} .*NanoServer +CN=Microsoft +10\.0\.14300\.1010 +(True|False) +-\n$/,
    )
  })

  t.test('history - is what docker tells', async t => {
    for (const name of ['registry.example:5000/team/app:1', 'lab/hello:1']) {
      const theirs = await docker(
        'history',
        '--no-trunc',
        '--format',
        '{{.ID}}|{{.CreatedBy}}|{{.Size}}|{{.Comment}}',
        name,
      )
      const { steps } = JSON.parse(await ours('history', '--json', name)) as {
        steps: { id?: string; createdBy: string; size: number; comment: string }[]
      }
      t.same(
        steps.map(({ id = '<missing>', createdBy, comment }) => `${id}|${createdBy}|${comment}`),
        theirs === '' ? [] : theirs.split('\n').map(line => line.replace(/\|[^|]*\|([^|]*)$/, '|$1')),
      )
    }
    t.match(
      await ours('history', '--tree', 'shop:1'),
      /^nanoserver:10.*\n└─ registry\.example:5000\/team\/app:1 .*\n {3}└─ shop:1 .* <\n$/,
    )
  })

  t.test('tag - gives a name that docker knows', async t => {
    await ours('tag', ids.hello.slice(7, 19), 'registry.example:5000/hello:x')
    t.equal(await docker('image', 'inspect', '--format', '{{.Id}}', 'registry.example:5000/hello:x'), ids.hello)
    t.equal(await ours('rmi', 'registry.example:5000/hello:x'), 'Untagged: registry.example:5000/hello:x\n')
    t.match(await stowage(['tag', 'none:1', 'x:1'], { env }), { code: 3, stderr: /has no image "none:1"/ })
  })

  if (windows)
    t.test('uninstall - is refused while an image stands on the base OS image, by any of its names', async t => {
      for (const name of [
        'CN=microsoft_nanoserver_10.0.14300.1010',
        'cn=*nano*',
        'nanoserver:10.0.14300.1010',
        ids.nano,
      ]) {
        t.match(await stowage(['uninstall', name], { env }), {
          code: 1,
          stderr: /2 images are based on nanoserver:10\.0\.14300\.1010: .*shop:1/,
        })
      }
      t.match(await stowage(['uninstall', 'lab/hello:1'], { env }), {
        code: 2,
        stderr: /is not a base OS image\nhint: .*stowage rmi lab\/hello:1/,
      })
      t.match(await stowage(['uninstall', 'CN=Microsoft_Nothing_1'], { env }), {
        code: 3,
        stderr: /hint: It has CN=Microsoft_NanoServer_10\.0\.14300\.1010/,
      })
      t.equal(await docker('image', 'inspect', '--format', '{{.Id}}', 'nanoserver:10.0.14300.1010'), ids.nano)
    })

  t.test(
    'rmi - is refused while a container uses the image, which is named; a stopped one can be overruled',
    async t => {
      await docker('run', '-d', '--name', 'busy', '--network', 'none', 'lab/hello:1', '/bin/busybox', 'sleep', '1000')
      await docker('create', '--name', 'idle', '--network', 'none', 'lab/hello:1')
      for (const words of [['lab/hello:1'], ['--force', 'lab/hello:1'], [ids.hello.slice(7, 19)]]) {
        t.match(await stowage(['rmi', ...words], { env }), {
          code: 1,
          stdout: '',
          stderr: words.includes('--force')
            ? /is used by 2 containers: .*busy \([0-9a-f]{12}, running\).*\nhint: Remove first: docker rm -f busy\./
            : /is used by 2 containers: .*busy \([0-9a-f]{12}, running\).*\nhint: Remove first: docker rm -f busy; docker rm idle\.\n$/,
        })
      }
      await docker('rm', '-f', 'busy')
      t.match(await stowage(['rmi', 'lab/hello:1'], { env }), {
        code: 1,
        stderr:
          /is used by 1 container: idle \([0-9a-f]{12}, created\)\nhint: Remove first: docker rm idle; or use --force\.\n/,
      })
      await ours('tag', 'lab/hello:1', 'lab/hello:2')
      t.equal(await ours('rmi', 'lab/hello:2'), 'Untagged: lab/hello:2\n', "one of its names is nobody's")
      t.match(await ours('rmi', '--force', 'lab/hello:1'), /^Untagged: lab\/hello:1\n/)
      await docker('rm', 'idle')
      await stowage(['rmi', '-f', ids.hello], { env })
      await load(hello, 'lab/hello:1')
    },
  )

  t.test('commit - makes an image of a container, with name, publisher and version', async t => {
    await docker('run', '--name', 'work', '--network', 'none', 'lab/hello:1', '/bin/busybox', 'touch', '/made')
    const id = (
      await ours(
        'commit',
        'work',
        'lab/made:1',
        '-a',
        'Jo <jo@example.com>',
        '-m',
        'touched',
        '-c',
        'CMD ["/bin/busybox","ls","/made"]',
      )
    ).trim()
    t.equal(
      await docker('image', 'inspect', '--format', '{{.Id}}|{{.Author}}|{{.Comment}}', 'lab/made:1'),
      `${id}|Jo <jo@example.com>|touched`,
    )
    t.equal(await docker('run', '--rm', '--network', 'none', 'lab/made:1'), '/made')
    const publisher = 'CN="A $HOME" \\ o\'B, O=Ünï {{x}}'
    await ours('commit', 'work', '--publisher', publisher, '--name', 'Shop', '--version', '2.4')
    t.equal(
      await docker(
        'image',
        'inspect',
        '--format',
        '{{index .Config.Labels "org.opencontainers.image.vendor"}}',
        'shop:2.4',
      ),
      publisher,
    )
    const { images } = JSON.parse(await ours('images', '--json', 'shop:2.4')) as { images: object[] }
    t.match(images, [
      { name: 'Shop', publisher, version: '2.4', isOSImage: false, base: { names: ['docker.io/lab/hello:1'] } },
    ])
    t.match(await stowage(['commit', 'nobody', 'x:1'], { env }), { code: 3, stderr: /has no container nobody/ })
    t.match(await stowage(['commit', 'work', '--name', 'No Name'], { env }), {
      code: 2,
      stderr: /"no name", made from its name and version, is not a valid image name/,
    })
    t.match(await stowage(['commit', 'work', 'x:1', '--publisher', 'a\nb'], { env }), {
      code: 2,
      stderr: /control characters/,
    })
    t.match(await stowage(['rmi', 'lab/hello:1'], { env }), { code: 1, stderr: /is used by 1 container: work/ })
    await docker('rm', 'work')
    t.match(await stowage(['rmi', 'lab/hello:1'], { env }), { code: 1, stderr: /2 images are based on lab\/hello:1: / })
  })

  t.test('rmi - prints what went, and docker has it no more', async t => {
    t.match(await ours('rmi', 'shop:1'), /^Untagged: shop:1\n(Untagged: .*\n)*Deleted: sha256:/)
    t.match(await stowage(['rmi', 'shop:1', 'registry.example:5000/team/app:1'], { env }), {
      code: 3,
      stdout: /^Untagged: registry\.example:5000\/team\/app:1\n/,
    })
    t.notMatch(await docker('images', '-a', '--no-trunc', '-q'), new RegExp(ids.app))
  })

  if (windows)
    t.test('uninstall - removes the base OS image with all its names, once nothing stands on it', async t => {
      await ours('tag', 'nanoserver:10.0.14300.1010', 'nanoserver')
      t.match(
        await ours('uninstall', 'CN=Microsoft_NanoServer_*', '--what-if'),
        /^What if: uninstalling CN=Microsoft_NanoServer_10\.0\.14300\.1010, sha256:.*, with its names nanoserver:(latest|10)/,
      )
      await docker('create', '--name', 'left', '--network', 'none', 'lab/made:1')
      const { images } = await uninstallImages(['CN=Microsoft_NanoServer_10.0.14300.1010'], { host: engine.host })
      t.match(images[0], { fullName: 'CN=Microsoft_NanoServer_10.0.14300.1010', id: ids.nano, error: undefined })
      t.notMatch(await docker('images', '-a', '--no-trunc', '-q'), new RegExp(ids.nano))
      await docker('rm', 'left')
    })
}
