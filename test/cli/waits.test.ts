import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { appendFileSync, cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createSocket } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { ProgressEvent } from '../../src/progress.js'
import { commandFile, stowage } from '../support/command.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { startServer } from '../support/registry.js'
import { scratch } from '../support/scratch.js'
import { drawnLines, inTerminal, type TerminalRun } from '../support/terminal.js'

/** Within this, a wait must be seen: half a second of waiting, and the start of Node.js on a busy machine. */
const SEEN = 10_000

/** Whoever runs the tests has no engine, no credentials and no sources here. */
function home(t: Test): { cwd: string; env: Record<string, string> } {
  const cwd = scratch(t)
  const own = {
    HOME: cwd,
    DOCKER_CONFIG: cwd,
    XDG_CONFIG_HOME: cwd,
    STOWAGE_CONFIG: cwd,
    STOWAGE_STORE: join(cwd, 'store'),
  }
  return { cwd, env: { ...own, DOCKER_HOST: '' } }
}

/** A fake that is too slow for any real server: it accepts connections, on a port or a socket, and says nothing. */
async function muteServer(t: Test, path?: string): Promise<number> {
  const sockets = new Set<{ destroy(): void }>()
  const server = createSocket(socket => {
    sockets.add(socket)
    socket.on('error', () => undefined)
  })
  await new Promise<void>(resolve => (path ? server.listen(path, resolve) : server.listen(0, resolve)))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return path ? 0 : (server.address() as AddressInfo).port
}

/** The command showed `line` in time, and was interrupted then. */
function shows(t: Test, run: TerminalRun, line: RegExp, name: string): void {
  t.ok(
    drawnLines(run.at(SEEN)).some(each => line.test(each)),
    `${name}: ${JSON.stringify(run.text)}`,
  )
  t.equal(run.code, 130, name)
}

t.test('whoever waits for a mute registry, source or engine sees it', async t => {
  const { cwd, env } = home(t)
  await writeLayout(join(cwd, 'layout'), { 'shop:1': await layeredImage(1) })
  const domain = `127.0.0.1:${await muteServer(t)}`
  const socket = join(cwd, 'docker.sock')
  await muteServer(t, socket)
  writeFileSync(join(cwd, 'list.yaml'), `{version: 1, images: ["${domain}/x:1"]}`)
  await stowage(['pack', 'oci:layout', '-o', 'site'], { cwd, env })
  await stowage(['source', 'add', 'slow', `http://${domain}/index.json`], { cwd, env })
  const [registry, engine] = [/^(connect|wait) +127\.0\.0\.1:\d+( \d+ s)?$/, /^wait +unix:\S+docker\.sock( \d+ s)?$/]
  const at = ['--host', `unix://${socket}`]
  for (const [words, line] of [
    [['pack', `docker://${domain}/x:1`, '-o', 'out'], registry],
    [['pack', '--file', 'list.yaml', '-o', 'listed'], registry],
    [['pack', `docker://${domain}/x:1`, '--dry-run'], registry],
    [['copy', 'oci:layout', `docker://${domain}/x:1`], registry],
    [['load', 'site', '--to', `docker://${domain}/x`], registry],
    [['pull', `${domain}/x:1`, '--to', 'oci:to'], registry],
    [['push', `${domain}/x:1`, '--from', 'oci:layout', '--dry-run'], /./],
    [['inspect', `docker://${domain}/x:1`], registry],
    [['tags', `${domain}/x`], registry],
    [['repositories', domain], registry],
    [['search', `${domain}/x`], registry],
    [['login', domain, '-u', 'a', '-p', 'b'], registry],
    [['find'], registry],
    [['load', 'site', ...at], engine],
    [['pack', 'docker-daemon:x', '-o', 'out', ...at], engine],
    [['inspect', 'docker-daemon:x', ...at], engine],
    [['images', ...at], engine],
    [['history', 'x', ...at], engine],
    [['rmi', 'x', ...at], engine],
    [['tag', 'x', 'y', ...at], engine],
    [['commit', 'web', 'shop:1', ...at], /^commit +web( \d+ s)?$/],
    [['install', '--wim', 'none.wim', ...at], /./],
  ] as const) {
    if (line.source === '.') continue // refused before it asks anybody
    const seen = (text: string): boolean => drawnLines(text).some(each => line.test(each))
    shows(t, await inTerminal(words, { cwd, env, until: seen }), line, words.join(' '))
  }
})

t.test('a connection that is not accepted is shown as one', async t => {
  const { cwd, env } = home(t)
  // Only a full queue leaves a connection open on this machine: a server that never accepts
  const script =
    'import socket,time; s=socket.socket(); s.bind(("0.0.0.0",0)); s.listen(0); print(s.getsockname()[1],flush=True); time.sleep(60)'
  const server = spawn('python3', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => server.kill())
  const port = await new Promise<number>(resolve => server.stdout.once('data', text => resolve(Number(String(text)))))
  const fill =
    'import socket,sys,time; c=[]\nfor n in range(8):\n s=socket.socket(); s.setblocking(False); c.append(s)\n try: s.connect(("127.0.0.1",int(sys.argv[1])))\n except BlockingIOError: pass\nprint("full",flush=True); time.sleep(60)'
  const filler = spawn('python3', ['-c', fill, String(port)], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => filler.kill())
  await new Promise(resolve => filler.stdout.once('data', resolve))
  const line = /^connect +0\.0\.0\.0:\d+( \d+ s)?$/
  const until = (text: string): boolean => drawnLines(text).some(each => line.test(each))
  const run = await inTerminal(['inspect', `docker://0.0.0.0:${port}/x:1`], { cwd, env, until })
  shows(t, run, line, 'connect')
})

t.test('a retry is seen with its reason, on a terminal, in a log and in JSON', async t => {
  const { cwd, env } = home(t)
  let asked = 0
  const busy: RequestListener = (request, response) => {
    if (request.url === '/v2/') response.end('{}')
    else if (asked++ % 2 === 0) response.writeHead(503, { 'retry-after': '1' }).end()
    else response.end(JSON.stringify({ name: 'x', tags: ['1'] }))
  }
  const domain = await startServer(t, createServer(busy))
  const reason = `${domain} answered with status 503`
  const run = await inTerminal(['tags', `${domain}/x`], { cwd, env })
  t.equal(run.code, 0, run.text)
  t.ok(drawnLines(run.text).includes(`retry 1 of 5 in 1 s: ${reason}`), run.text)
  t.match(run.text, /\r\u001b\[K1\r?\n$/, 'nothing of it stays above the result')
  const plain = await stowage(['tags', `${domain}/x`], { cwd, env })
  t.same(plain, { code: 0, stdout: '1\n', stderr: `retry 1 of 5 in 1 s: ${reason}\n` })
  const json = await stowage(['tags', `${domain}/x`, '--progress', 'json'], { cwd, env })
  const [event] = json.stderr.split('\n').filter(line => line.includes('"retry"'))
  t.match(JSON.parse(event ?? '{}'), { type: 'retry', subject: domain, retry: 1, retries: 5, wait: 1000, reason })
  t.equal((await stowage(['tags', `${domain}/x`, '--quiet'], { cwd, env })).stderr, '')
})

t.test('429 and a connection that is cut are retried, and a denial is not', async t => {
  const { cwd, env } = home(t)
  const faults: Record<string, RequestListener> = {
    limited: (_request, response) => void response.writeHead(429, { 'retry-after': '1' }).end(),
    cut: request => void request.socket.destroy(),
    denied: (_request, response) => void response.writeHead(403).end(),
  }
  for (const [name, fault] of Object.entries(faults)) {
    let asked = 0
    const domain = await startServer(t, (request, response) => {
      if (request.url === '/v2/') response.end('{}')
      else if (asked++ === 0) fault(request, response)
      else response.end(JSON.stringify({ name: 'x', tags: ['1'] }))
    })
    const { code, stderr } = await stowage(['tags', `${domain}/x`, '--progress', 'json'], { cwd, env })
    t.equal(code, name === 'denied' ? 5 : 0, `${name}: ${stderr}`)
    t.equal(stderr.includes('"type":"retry"'), name !== 'denied', name)
  }
})

t.test('a lock that another process holds, and a pipe that nobody writes to, are seen', async t => {
  const { cwd, env } = home(t)
  await writeLayout(join(cwd, 'layout'), { 'shop:1': await layeredImage(1) })
  cpSync(join(cwd, 'layout'), join(cwd, 'to'), { recursive: true })
  appendFileSync(join(cwd, 'to', '.stowage.lock'), `process ${process.pid} on ${hostname()}\n`)
  execFileSync('mkfifo', [join(cwd, 'pipe.tar')])
  for (const [words, line] of [
    [['copy', 'oci:layout', 'oci:to'], /^lock +to\/\.stowage\.lock( \d+ s)?$/],
    [['tag', 'shop:1', 'shop:2', '--store', 'oci:to'], /^lock +to\/\.stowage\.lock( \d+ s)?$/],
    [['rmi', 'shop:1', '--store', 'oci:to'], /^lock +to\/\.stowage\.lock( \d+ s)?$/],
    [['verify', 'pipe.tar'], /^(verify|read) +pipe\.tar( \d+ s)?$/],
    [['load', 'pipe.tar', '--to', 'oci:new'], /^(verify|read) +pipe\.tar( \d+ s)?$/],
    [['inspect', 'bundle:pipe.tar'], /^read +pipe\.tar( \d+ s)?$/],
    [['pack', 'oci-archive:pipe.tar', '-o', 'out'], /^read +pipe\.tar( \d+ s)?$/],
    [['pack', 'docker-archive:pipe.tar', '-o', 'out'], /^read +pipe\.tar( \d+ s)?$/],
    [['layer', 'inspect', 'pipe.tar'], /^read +pipe\.tar( \d+ s)?$/],
    [['layer', 'check', 'pipe.tar'], /^read +pipe\.tar( \d+ s)?$/],
  ] as const) {
    const seen = (text: string): boolean => drawnLines(text).some(each => line.test(each))
    shows(t, await inTerminal(words, { cwd, env, until: seen }), line, words.join(' '))
  }
})

t.test('numbers stay on a terminal of any width', async t => {
  const { cwd, env } = home(t)
  const size = 3_000_000
  const index = JSON.stringify([{ Name: 'Nano', Version: '10.0.14300.1010', SasToken: '/nano.wim', Size: size }])
  // A third of the file comes, then nothing for a while
  const domain = await startServer(t, (request, response) => {
    if (request.url !== '/nano.wim') return void response.end(index)
    response.writeHead(200, { 'content-length': size })
    if (request.method === 'HEAD') response.end()
    else response.write(Buffer.alloc(1_000_000))
  })
  await stowage(['source', 'add', 'slow', `http://${domain}/index.json`], { cwd, env })
  for (const width of [40, 60, 80, 120]) {
    const until = (text: string): boolean => / \d+% [\d.]+(MB|kB)/.test(text)
    const run = await inTerminal(['save', 'Nano', '--path', '.'], { cwd, env, width, until })
    const lines = drawnLines(run.text)
    const numbers = lines.find(until) ?? ''
    t.match(numbers, /^copy +\S+ .*\d+% [\d.]+(MB|kB)/, `${width}: ${numbers}`)
    t.ok(
      lines.filter(line => /^(copy|wait|connect)/.test(line)).every(line => line.length < width),
      `${width} columns`,
    )
    // How wide the numbers are depends on the rate
    const bar = '[------------------------] '.length
    if (width === 120) t.match(numbers, '[', 'the bar is there where it fits')
    if (!numbers.includes('[')) t.ok(numbers.length + bar >= width, `no bar where it does not fit: ${numbers}`)
  }
})

t.test('compressing a bundle and handing it to a slow reader are seen', async t => {
  const { cwd, env } = home(t)
  await writeLayout(join(cwd, 'layout'), { 'shop:1': await layeredImage(1, { size: 5_000_000 }) })
  const run = await inTerminal(['pack', 'oci:layout', '-o', 'out.tar.xz'], { cwd, env })
  t.equal(run.code, 0, run.text)
  t.ok(
    drawnLines(run.text).some(line => /^compress out\.tar\.xz/.test(line)),
    run.text,
  )
  const { stderr } = await stowage(['pack', 'oci:layout', '-o', 'again.tar.xz', '--progress', 'json'], { cwd, env })
  const bytes = stderr
    .split('\n')
    .flatMap(line => (/"bytes".*again/.test(line) ? [JSON.parse(line) as ProgressEvent] : []))
  t.match(bytes.at(-1), { type: 'bytes', subject: 'again.tar.xz', done: Number, total: Number })
  const last = bytes.at(-1)
  t.ok(last?.type === 'bytes' && last.done === last.total, 'all is done at the end')
  const slow = `${process.execPath} ${commandFile()} pack oci:layout -o - --progress json | (sleep 1; cat >/dev/null)`
  const piped = spawnSync('sh', ['-c', slow], {
    cwd,
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    encoding: 'utf8',
  })
  t.match(piped.stderr, /"stage":"write","subject":"standard output"[^]*"bytes","subject":"standard output"/)
})

t.test('short work says nothing in a log', async t => {
  const { cwd, env } = home(t)
  mkdirSync(join(cwd, 'empty'))
  await writeLayout(join(cwd, 'layout'), { 'shop:1': await layeredImage(1) })
  const { code, stderr } = await stowage(['copy', 'oci:layout', 'oci:to'], { cwd, env })
  t.same([code, stderr], [0, ''])
})
