/** The table of the README that compares Stowage with docker and skopeo: every cell of it is what happens here. */
import { readFileSync } from 'node:fs'
import { copyFile, open, writeFile } from 'node:fs/promises'
import { createServer, connect } from 'node:net'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { stowage } from '../support/command.js'
import { startDebianEngine } from '../support/debian-engine.js'
import { startEngine, type TestEngine } from '../support/engine.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { readPage } from '../support/page.js'
import { scratch } from '../support/scratch.js'

const engine = await startEngine()
t.teardown(() => engine.stop())
const work = scratch(t)
/** Two images that share all but one of their layers. */
const SIZE = 3_000_000
await writeLayout(join(work, 'lay'), {
  'shop:1': await layeredImage(3, { size: SIZE }),
  'shop:2': await layeredImage(4, { size: SIZE }),
})
interface Ran {
  readonly code: number
  readonly output: string
}

async function run(file: string, ...words: readonly string[]): Promise<Ran> {
  return await new Promise(resolve =>
    execFile(file, words, { cwd: work }, (error, stdout, stderr) => {
      const code = error ? (typeof error.code === 'number' ? error.code : -1) : 0
      resolve({ code, output: stdout + stderr })
    }),
  )
}
const docker = async (host: string, ...words: readonly string[]): Promise<Ran> =>
  await run('/usr/bin/docker', '--host', host, ...words)
const ours = async (words: readonly string[], host = engine.host): Promise<Ran> => {
  const { code, stdout, stderr } = await stowage(words, { cwd: work, env: { DOCKER_HOST: host } })
  return { code, output: stdout + stderr }
}
const names = async (of: TestEngine = engine): Promise<readonly string[]> =>
  (await of.docker('images', '--format', '{{.Repository}}:{{.Tag}}')).stdout.split('\n').filter(Boolean).sort()
async function empty(): Promise<void> {
  for (const name of await names()) await engine.docker('rmi', '--force', name)
}
const versionOf = async (of: TestEngine): Promise<string> =>
  (await of.docker('version', '--format', '{{.Server.Version}}')).stdout.trim().replace(/\+.*/, '')

/** Counts what is sent to the engine through a socket of its own. */
async function counted(t: Test, file: string): Promise<{ readonly host: string; sent(): number }> {
  let sent = 0
  const server = createServer(socket => {
    const there = connect(engine.host.replace('unix://', ''))
    socket.on('data', piece => (sent += piece.length))
    socket.pipe(there).pipe(socket)
    for (const end of [socket, there]) end.on('error', () => [socket, there].forEach(each => each.destroy()))
  })
  const path = join(work, file)
  await new Promise<void>(done => server.listen(path, done))
  t.teardown(() => server.close())
  return { host: `unix://${path}`, sent: () => sent }
}

/** The cells of a row of the table: docker, skopeo, Stowage. */
function row(title: string): readonly string[] {
  const line = readPage('README.md')
    .split('\n')
    .find(each => each.startsWith(`| ${title}`))
  if (!line) throw new Error(`the README has no row ${title}`)
  return line
    .split('|')
    .slice(2, 5)
    .map(cell => cell.trim().split(/[,:;]/)[0] ?? '')
}

await ours(['pack', 'oci:lay:shop:1', 'oci:lay:shop:2', '-o', 'both.tar'])
await ours(['pack', 'oci:lay:shop:1', '-o', 'one.tar'])
await ours(['pack', 'oci:lay:shop:2', '-o', 'two.tar'])

t.test('a changed byte of a layer', async t => {
  const newest = await startDebianEngine('forky', 'containerd')
  t.teardown(() => newest.stop())
  const page = readPage('README.md')
  const { output: skopeo } = await run('skopeo', '--version')
  for (const version of [
    `Docker ${await versionOf(engine)}`,
    `Docker ${await versionOf(newest)}`,
    skopeo.trim().replace(' version', ''),
  ])
    t.ok(page.includes(version), `the README names ${version}`)
  await copyFile(join(work, 'one.tar'), join(work, 'bad.tar'))
  const file = await open(join(work, 'bad.tar'), 'r+')
  const at = Math.floor((await file.stat()).size / 2)
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at)
  await file.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, at)
  await file.close()
  /** Whether it is refused, and no image named; the whole archive is not. */
  const refuses = async (send: (archive: string) => Promise<Ran>, where = engine): Promise<string> => {
    for (const name of await names(where)) await where.docker('rmi', '--force', name)
    const whole = await send('one.tar')
    t.equal(whole.code, 0, whole.output)
    t.same(await names(where), ['shop:1'])
    await where.docker('rmi', '--force', 'shop:1')
    const { code } = await send('bad.tar')
    return code !== 0 && (await names(where)).length === 0 ? 'yes' : 'no'
  }
  t.equal(await refuses(async archive => await docker(engine.host, 'load', '-i', archive)), 'yes', 'Docker 20.10')
  const copied = await refuses(
    async archive =>
      await run(
        ...(['skopeo', '--insecure-policy', 'copy', `oci-archive:${archive}:1`, 'docker-daemon:shop:1'] as const),
        ...['--dest-daemon-host', engine.host],
      ),
  )
  const loaded = await refuses(async archive => await docker(newest.host, 'load', '-i', archive), newest)
  t.equal(await refuses(async archive => await ours(['load', archive], newest.host), newest), 'yes')
  t.same([loaded, copied, await refuses(async archive => await ours(['load', archive]))], row('A changed byte'))
})

t.test('what is sent of an image whose layers are there but for one', async t => {
  const sentBy = async (name: string, send: (host: string) => Promise<Ran>): Promise<string> => {
    await empty()
    t.equal((await docker(engine.host, 'load', '-i', 'one.tar')).code, 0)
    const { host, sent } = await counted(t, `${name}.sock`)
    const { code, output } = await send(host)
    t.equal(code, 0, output)
    return sent() < 2 * SIZE ? 'yes' : 'no'
  }
  const loaded = await sentBy('docker', async host => await docker(host, 'load', '-i', 'two.tar'))
  const copied = await sentBy(
    'skopeo',
    async host =>
      await run(
        'skopeo',
        '--insecure-policy',
        'copy',
        'oci-archive:two.tar:2',
        'docker-daemon:shop:2',
        '--dest-daemon-host',
        host,
      ),
  )
  const ourOwn = await sentBy('stowage', async host => await ours(['load', 'two.tar'], host))
  t.same([loaded, copied, ourOwn], row('Only the layers'))
})

t.test('several images in one file', async t => {
  await empty()
  t.equal((await docker(engine.host, 'load', '-i', 'both.tar')).code, 0)
  t.same(await names(), ['shop:1', 'shop:2'])
  t.equal((await docker(engine.host, 'save', '-o', 'saved.tar', 'shop:1', 'shop:2')).code, 0)
  const first = await run('skopeo', '--insecure-policy', 'copy', 'oci-archive:one.tar:1', 'docker-archive:s.tar:shop:1')
  t.equal(first.code, 0, first.output)
  const second = await run(
    'skopeo',
    '--insecure-policy',
    'copy',
    'oci-archive:two.tar:2',
    'docker-archive:s.tar:shop:2',
  )
  t.not(second.code, 0, 'skopeo adds nothing to an archive')
  await empty()
  t.equal((await ours(['load', 'both.tar'])).code, 0)
  t.same(await names(), ['shop:1', 'shop:2'])
  t.same(['yes', 'no', 'yes'], row('Several images'))
})

t.test('a check of the medium without the program that wrote it', async t => {
  await ours(['pack', 'oci:lay:shop:1', '-o', 'site'])
  const checked = await run('sh', '-c', 'cd site && sha256sum -c --quiet SHA256SUMS')
  t.equal(checked.code, 0, checked.output)
  const listed = (await run('tar', '-tf', 'saved.tar')).output
  t.notMatch(listed, /sum/i, 'docker save writes no checksums')
  t.equal((await run('skopeo', '--insecure-policy', 'copy', 'oci-archive:one.tar:1', 'oci:theirs:shop:1')).code, 0)
  t.notMatch((await run('find', 'theirs')).output, /sum/i, 'nor does skopeo')
  t.same(['no', 'no', 'yes'], row('Checked without'))
})

t.test('a file that only a trusted key makes good', async t => {
  for (const name of ['desk', 'other']) await run('openssl', 'genpkey', '-algorithm', 'ed25519', '-out', `${name}.key`)
  for (const name of ['desk', 'other'])
    await run('openssl', 'pkey', '-in', `${name}.key`, '-pubout', '-out', `${name}.pub`)
  await ours(['sign', 'one.tar', '--key', 'other.key'])
  await empty()
  t.match(await ours(['load', 'one.tar', '--key', 'desk.pub']), { code: 9 })
  t.same(await names(), [])
  await ours(['sign', 'one.tar', '--key', 'desk.key'])
  t.match(await ours(['load', 'one.tar', '--key', 'desk.pub']), { code: 0 })
  t.same(await names(), ['shop:1'])
  // docker checks none, whatever it is told; skopeo's policy knows signatures of images, and an archive has no place for one
  t.notMatch((await docker(engine.host, 'load', '--help')).output, /\bkey|\bsign/i)
  await writeFile(
    join(work, 'policy.json'),
    JSON.stringify({ default: [{ type: 'signedBy', keyType: 'GPGKeys', keyPath: join(work, 'desk.pub') }] }),
  )
  const copied = await run('skopeo', '--policy', 'policy.json', 'copy', 'oci-archive:one.tar:1', 'oci:signed:shop:1')
  t.match(copied, { code: 1, output: /signature/i }, 'whoever has signed it')
  t.same(['no', 'no', 'yes'], row('Refused at the site unless'))
})

t.test('a Windows base image that comes as a WIM', async t => {
  const wim = new URL('../../fixtures/nanoserver-sample.wim', import.meta.url).pathname
  t.not((await docker(engine.host, 'load', '-i', wim)).code, 0)
  const formats =
    (await run('skopeo', 'copy', '--help')).output + readFileSync('/usr/share/man/man1/skopeo.1.gz').toString('latin1')
  t.notMatch(formats, /\bwim:/)
  t.equal((await ours(['pack', `wim:${wim}`, '-o', 'windows'])).code, 0)
  const { code, output } = await run('skopeo', 'inspect', '--config', 'oci:windows')
  t.equal(code, 0, output)
  t.match(output, /"os": *"windows"/)
  t.same(['no', 'no', 'yes'], row('Windows base images'))
})
