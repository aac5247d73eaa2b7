import { execFileSync } from 'node:child_process'
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { readTree } from '../support/bundles.js'
import { stowage } from '../support/command.js'
import { layeredImage, multiPlatformImage, writeLayout } from '../support/images.js'
import { flawedWim } from '../support/wims.js'

const SAMPLE_WIM = fileURLToPath(new URL('../../fixtures/nanoserver-sample.wim', import.meta.url))
const imagex = (...words: readonly string[]) =>
  execFileSync('wimlib-imagex', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })

/**
 * `wimlib-imagex dir --detailed`, but for where blobs stand, and the 8.3 names, which a tar has no place for. Names of one
 * file share a number that says nothing else: they are counted anew.
 */
function detailed(wim: string, image: string): readonly string[] {
  const groups = new Map<string, number>()
  return imagex('dir', wim, image, '--detailed')
    .split('\n')
    .flatMap(line => {
      if (/^(Compressed size|Offset in WIM|Short Name)/.test(line)) return []
      const group = /^Link Group ID +=.*/.exec(line)?.[0]
      if (group === undefined) return [line]
      groups.set(group, groups.get(group) ?? groups.size)
      return [`Link Group ${groups.get(group)}`]
    })
}

t.test('copy - takes a WIM to an image and back to a WIM, by any way, and leaves nothing else', async t => {
  const cwd = t.testdir()
  copyFileSync(SAMPLE_WIM, join(cwd, 'base.wim'))
  for (const [from, to] of [
    ['wim:base.wim', 'oci:layout'],
    ['oci:layout', 'wim:again.wim'],
    ['wim:base.wim', 'wim:direct.wim#Renamed'],
  ] as const) {
    const { code, stderr } = await stowage(['copy', from, to], { cwd })
    t.equal(code, 0, `${from} ${to} ${stderr}`)
  }
  t.equal((await stowage(['pack', 'oci:layout', '-o', 'wim:packed.wim'], { cwd })).code, 0)
  for (const wim of ['again.wim', 'direct.wim', 'packed.wim']) {
    imagex('verify', join(cwd, wim))
    for (const image of ['1', '2'])
      t.same(detailed(join(cwd, wim), image), detailed(join(cwd, 'base.wim'), image), `${wim} ${image}`)
  }
  t.match(imagex('info', join(cwd, 'direct.wim'), '1'), /Name: +Renamed/)
  t.match(imagex('info', join(cwd, 'again.wim'), '1'), /Architecture: +x86_64[^]*Build: +14300/)
  t.same(readdirSync(cwd).sort(), ['again.wim', 'base.wim', 'direct.wim', 'layout', 'packed.wim'])
})

t.test('copy - says in JSON what it did, under the name it was told', async t => {
  const cwd = t.testdir()
  const image = await layeredImage(2)
  await writeLayout(join(cwd, 'from'), { 'docker.io/team/shop:2.3': image })
  const { stdout } = await stowage(['copy', 'oci:from', 'oci:to', '--tag', 'mirror.example/shop:3', '--json'], { cwd })
  t.match(JSON.parse(stdout), {
    schema: 'stowage.copy/v1',
    from: 'oci:from',
    to: 'oci:to',
    id: image.root.digest,
    names: ['mirror.example/shop:3'],
    skipped: 0,
  })
  const { manifests } = JSON.parse(readFileSync(join(cwd, 'to', 'index.json'), 'utf8')) as {
    manifests: [{ digest: string }]
  }
  t.equal(manifests[0].digest, image.root.digest, 'and the bytes are the same')
})

t.test('copy - into a WIM refuses what it cannot be made of, and leaves nothing', async t => {
  const cwd = t.testdir({ 'there.wim': 'something' })
  const image = await layeredImage(2)
  await writeLayout(join(cwd, 'linux'), { 'shop:1': await multiPlatformImage() })
  await writeLayout(join(cwd, 'two'), { 'shop:1': image, 'other:1': await layeredImage(1) })
  await writeLayout(join(cwd, 'damaged'), { 'shop:1': image })
  const blob = join(cwd, 'damaged', 'blobs', 'sha256', image.layers[1]!.digest.slice(7))
  writeFileSync(blob, Buffer.from(readFileSync(blob)).fill(7, 100, 120))
  const before = readdirSync(cwd)
  for (const [words, code, message] of [
    [['oci:linux', 'wim:x.wim'], 2, /is \d images, but a WIM holds one/],
    [['oci:two', 'wim:x.wim'], 3, /2 images/],
    [['oci:damaged', 'wim:x.wim'], 4, /expected sha256:/],
    [['oci:damaged', 'wim:there.wim'], 1, /there\.wim exists already\nhint: Choose another name, or remove it first/],
    [['oci:damaged', 'wim:nowhere/x.wim'], 3, /nowhere does not exist/],
    [['wim:there.wim', 'wim:x.wim'], 4, /is not a WIM/],
    [['oci:linux', 'bundle:x:1'], 2, /cannot write images to bundle:x:1/],
    [
      ['oci:damaged', 'wim:x.wim', '--tag', `shop@${image.root.digest}`],
      2,
      /has a digest, which cannot be part of a new name/,
    ],
  ] as const) {
    const { code: found, stderr } = await stowage(['copy', ...words], { cwd })
    t.equal(found, code, `${words.join(' ')}: ${stderr}`)
    t.match(stderr, message)
    t.same(readdirSync(cwd), before, words.join(' '))
  }
  const several = await stowage(['pack', 'oci:linux', 'oci:damaged', '-o', 'wim:x.wim'], { cwd })
  t.equal(several.code, 2)
  t.match(several.stderr, /takes one image, not 2/)
})

t.test('copy - of a WIM writes nothing where there is no place for its layer', async t => {
  const cwd = t.testdir({ 'file.txt': 'text', other: { 'file.txt': 'text' } })
  copyFileSync(SAMPLE_WIM, join(cwd, 'base.wim'))
  t.equal((await stowage(['pack', 'wim:base.wim', '-o', 'bundle', '--compression', 'none'], { cwd })).code, 0)
  const before = readdirSync(cwd, { recursive: true })
  for (const [to, code, message] of [
    ['oci:bundle', 1, /bundle is a bundle/],
    ['oci:other', 4, /other holds file\.txt/],
    ['oci:file.txt', 1, /file\.txt exists already/],
    ['docker-daemon:', 6, /no Docker Engine answers/],
  ] as const) {
    const { code: found, stderr } = await stowage(['copy', 'wim:base.wim', to, '--host', 'unix:///nowhere'], { cwd })
    t.equal(found, code, `${to}: ${stderr}`)
    t.match(stderr, message)
    t.same(readdirSync(cwd, { recursive: true }), before, to)
  }
  t.equal((await stowage(['verify', 'bundle'], { cwd })).code, 0)
})

t.test('copy and pack to a WIM - tell what they left out of a WIM, and what is doubtful', async t => {
  const cwd = t.testdir()
  const wim = flawedWim(t, 'unknown-reparse')
  const left = 'Files/odd/unknown (reparse tag 0x80005707)'
  const { code, stdout, stderr } = await stowage(['copy', `wim:${wim}`, 'oci:a', '--skip-unsupported'], { cwd })
  t.equal(code, 0, stderr)
  t.ok(stdout.endsWith(`\nleft out: ${left}\n`), stdout)
  t.match(
    JSON.parse((await stowage(['copy', `wim:${wim}`, 'oci:b', '--skip-unsupported', '--json'], { cwd })).stdout),
    { leftOut: [left], warnings: [] },
  )
  t.match(
    JSON.parse(
      (await stowage(['pack', `wim:${wim}`, '-o', 'wim:c.wim', '--skip-unsupported', '--json'], { cwd })).stdout,
    ),
    { leftOut: [left] },
  )
  const lacking = flawedWim(t, 'no-hives')
  const told = await stowage(['copy', `wim:${lacking}`, 'oci:d', '--json'], { cwd })
  t.match(told, { code: 0, stderr: /^warning: a host will reject this as a base layer/m })
  t.match(JSON.parse(told.stdout), { leftOut: [], warnings: [/as a base layer/] })
  t.match(await stowage(['pack', `wim:${lacking}`, '-o', 'wim:e.wim'], { cwd }), {
    code: 0,
    stderr: /^warning: a host will reject this as a base layer/m,
  })
})

t.test(
  'copy - to a bundle makes what pack makes, from a WIM too, and never another over one that is there',
  async t => {
    const cwd = t.testdir()
    await writeLayout(join(cwd, 'layout'), { 'shop:2.3': await multiPlatformImage() })
    copyFileSync(SAMPLE_WIM, join(cwd, 'base.wim'))
    for (const [n, words] of [['oci:layout'], ['oci:layout', '-t', 'other:1'], ['wim:base.wim']].entries()) {
      for (const ending of ['', '.tar']) {
        const [copied, packed] = [`copied${n}${ending}`, `packed${n}${ending}`]
        const { code, stderr } = await stowage(['copy', words[0] ?? '', `bundle:${copied}`, ...words.slice(1)], { cwd })
        t.equal(code, 0, stderr)
        t.equal((await stowage(['pack', ...words, '-o', packed], { cwd })).code, 0)
        t.equal((await stowage(['verify', copied], { cwd })).code, 0)
        if (ending === '') t.same(await readTree(join(cwd, copied)), await readTree(join(cwd, packed)))
        const again = await stowage(['copy', 'oci:layout', `bundle:${copied}`, '-t', 'else:9'], { cwd })
        t.not(again.code, 0)
        t.match(again.stderr, /is a bundle already, which|exists already/)
      }
    }
    t.same(
      readdirSync(cwd).filter(name => name.startsWith('.') || name.endsWith('.partial')),
      [],
    )
    const loaded = await stowage(['load', 'copied0', '--to', 'bundle:x'], { cwd })
    t.equal(loaded.code, 2)
    t.match(loaded.stderr, /hint: Pack it: stowage pack bundle:copied0 -o x\./)
  },
)
