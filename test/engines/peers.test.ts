/** The table of the README that compares Stowage with docker and skopeo: every cell of it is what happens here. */
import { readFileSync } from 'node:fs'
import { copyFile, open, stat } from 'node:fs/promises'
import { createServer, connect } from 'node:net'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { stowage } from '../support/command.js'
import { startDebianEngine } from '../support/debian-engine.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { readPage } from '../support/page.js'
import { scratch } from '../support/scratch.js'

const engine = await startDebianEngine('trixie', 'containerd')
t.teardown(() => engine.stop())
const work = scratch(t)
/** Two images that share all but one of their layers. */
const SIZE = 3_000_000
await writeLayout(join(work, 'lay'), {
  'shop:1': await layeredImage(3, { size: SIZE }),
  'shop:2': await layeredImage(4, { size: SIZE }),
})
const version = (await engine.docker('version', '--format', '{{.Server.Version}}')).stdout.trim()

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
const names = async (): Promise<readonly string[]> =>
  (await engine.docker('images', '--format', '{{.Repository}}:{{.Tag}}')).stdout.split('\n').filter(Boolean).sort()
async function empty(): Promise<void> {
  for (const name of await names()) await engine.docker('rmi', '--force', name)
}

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

await ours(['pack', 'oci:lay', '-o', 'both.tar'])
await ours(['pack', 'oci:lay:shop:1', '-o', 'one.tar'])
await ours(['pack', 'oci:lay:shop:2', '-o', 'two.tar'])

t.test('the versions that the table names are these', async t => {
  const [, named] = /Docker (\S+) with the containerd image store/.exec(readPage('README.md')) ?? []
  t.equal(named, version)
  const skopeo = await run('skopeo', '--version')
  t.match(skopeo.output, new RegExp(`version ${/skopeo (\d[\d.]+\d)/.exec(readPage('README.md'))?.[1] ?? 'none'}`))
})

t.test('a changed byte of a layer', async t => {
  await copyFile(join(work, 'one.tar'), join(work, 'bad.tar'))
  const file = await open(join(work, 'bad.tar'), 'r+')
  const { size } = await stat(join(work, 'bad.tar'))
  const at = Math.floor(size / 2)
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at)
  await file.write(Buffer.from([buffer[0]! ^ 1]), 0, 1, at)
  await file.close()
  const outcome = async ({ code }: Ran): Promise<string> => {
    const named = (await names()).length > 0
    await empty()
    return code === 0 ? (named ? 'no' : 'told nothing') : named ? 'no' : 'yes'
  }
  await empty()
  const loaded = await outcome(await docker(engine.host, 'load', '-i', 'bad.tar'))
  const copied = await outcome(
    await run(
      'skopeo',
      '--insecure-policy',
      'copy',
      `oci-archive:bad.tar:1`,
      'docker-daemon:shop:1',
      '--dest-daemon-host',
      engine.host,
    ),
  )
  const ourOwn = await outcome(await ours(['load', 'bad.tar']))
  t.same([loaded, copied, ourOwn], row('A changed byte'))
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
  const first = await run('skopeo', '--insecure-policy', 'copy', 'oci:lay:shop:1', 'docker-archive:s.tar:shop:1')
  t.equal(first.code, 0, first.output)
  const second = await run('skopeo', '--insecure-policy', 'copy', 'oci:lay:shop:2', 'docker-archive:s.tar:shop:2')
  t.not(second.code, 0, 'skopeo adds nothing to an archive')
  await empty()
  t.equal((await ours(['load', 'both.tar'])).code, 0)
  t.same(await names(), ['shop:1', 'shop:2'])
  t.same(['yes', 'no', 'yes'], row('Several images'))
})

t.test('a check of the medium without the program that wrote it', async t => {
  await ours(['pack', 'oci:lay', '-o', 'site'])
  t.equal((await run('sh', '-c', 'cd site && sha256sum -c --quiet SHA256SUMS')).code, 0)
  const listed = (await run('tar', '-tf', 'saved.tar')).output
  t.notMatch(listed, /sum/i, 'docker save writes no checksums')
  t.equal((await run('skopeo', '--insecure-policy', 'copy', 'oci:lay:shop:1', 'oci:theirs:shop:1')).code, 0)
  t.notMatch((await run('find', 'theirs')).output, /sum/i, 'nor does skopeo')
  t.same(['no', 'no', 'yes'], row('Checked without'))
})

t.test('a Windows base image that comes as a WIM', async t => {
  const wim = new URL('../../fixtures/nanoserver-sample.wim', import.meta.url).pathname
  t.not((await docker(engine.host, 'load', '-i', wim)).code, 0)
  const formats =
    (await run('skopeo', 'copy', '--help')).output + readFileSync('/usr/share/man/man1/skopeo.1.gz').toString('latin1')
  t.notMatch(formats, /\bwim:/)
  await empty()
  t.equal((await ours(['copy', `wim:${wim}`, 'docker-daemon:nanoserver:1'])).code, 0)
  t.same(await names(), ['nanoserver:1'])
  t.same(['no', 'no', 'yes'], row('Windows base images'))
})
