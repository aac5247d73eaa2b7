/**
 * `npm run bench -- registry` and `registry-https`: packs from a registry on loopback and pushes to it, over http or
 * https, beside `skopeo` and `crane`. Those are found in PATH, or run with chroot (as root) in the directory that
 * STOWAGE_BENCH_ROOT names: the root of a newer Debian (`debootstrap --include=crane,skopeo,netavark forky DIRECTORY`).
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer, request } from 'node:http'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { measure, median } from './measure.mjs'
import { megabytes, ratioOf } from './report.mjs'

const MAIN = resolve(import.meta.dirname, '..', 'dist', 'cli', 'main.js')
const ROOT = process.env.STOWAGE_BENCH_ROOT
const IMAGES = 8
const LAYERS = 40
/** How large layers are beside one another: a few large ones and many small, as in real sets. */
const SHAPE = [220, 150, 120, 90, 64, 48, 32, 24, 16, 8, 4, 2, 1]
const INDEX = 'application/vnd.oci.image.index.v1+json'
/** The tag of all images together. */
const SET = 'set'
const GZIP_BLOCK = 1 << 20

/** A root may lack the policy of trust that skopeo reads. */
const SKOPEO = ['--quiet', '--insecure-policy']

/** The peers' command lines; each as the root has them, where one is named. */
const peer = (name, args) => (ROOT ? ['chroot', [ROOT, name, ...args]] : [name, args])

/** With `secure`, the registry uses https only, with a self-signed certificate that SSL_CERT_FILE names to each program. */
export async function benchRegistry({ size, rounds, report, secure = false }) {
  for (const [name, args] of [
    peer('skopeo', ['--version']),
    peer('crane', ['version']),
    ['docker-registry', ['--version']],
  ]) {
    if (!spawnSync(name, args).error && spawnSync(name, args).status === 0) continue
    throw new Error(
      `bench: ${[name, ...args].join(' ')} does not run: skopeo and docker-registry are in Debian, ` +
        'crane in forky and later (STOWAGE_BENCH_ROOT names a root that has both peers)',
    )
  }
  const work = mkdtempSync(join(ROOT ? join(ROOT, 'tmp') : tmpdir(), 'stowage-bench-registry-'))
  /** As the peers see it. */
  const inside = path => (ROOT ? path.slice(ROOT.replace(/\/$/, '').length) : path)
  const certificate = secure ? makeCertificate(work) : undefined
  const registry = await startRegistry(join(work, 'registry'), certificate)
  const by = secure ? ' over https' : ''
  // What our own command reads, and what the peers read in their root
  const trust = path => (certificate ? { env: { SSL_CERT_FILE: path } } : {})
  const ours = async args =>
    await measure(process.execPath, [MAIN, ...args, '--quiet'], { quiet: true, ...trust(certificate?.cert) })
  const theirs = async (name, args) =>
    await measure(...peer(name, args), trust(certificate && inside(certificate.cert)))
  try {
    const total = Math.round((size * 1500e6) / (1 << 30))
    const layout = join(work, 'layout')
    makeImages(layout, total)
    const tags = Array.from({ length: IMAGES }, (_, n) => `v${n}`)
    const name = `${registry.domain}/bench/app`
    for (const tag of tags) await ours(['copy', `oci:${layout}:${tag}`, `docker://${name}:${tag}`])
    await benchPack({ total, tags, name, work, inside, rounds, report, by, secure, ours, theirs })
    await benchPush({ total, layout, registry, inside, rounds, report, by, secure, ours, theirs })
    if (!secure) await benchCut({ tags, registry, work, report, ours })
  } finally {
    await registry.end()
    rmSync(work, { recursive: true, force: true })
  }
}

async function benchPack({ total, tags, name, work, inside, rounds, report, by, secure, ours, theirs }) {
  const bundle = join(work, 'bundle')
  const images = tags.map(tag => `${name}:${tag}`)
  // The others do not decompress layers
  const pack = async (words = ['--no-deep']) => {
    rmSync(bundle, { recursive: true, force: true })
    return await ours(['pack', ...images, '-o', bundle, ...words])
  }
  const place = join(work, 'pulled')
  const fresh = () => {
    rmSync(place, { recursive: true, force: true })
    return inside(place)
  }
  const what = `pack ${megabytes(total)} from a registry${by}`
  const insecure = secure ? [] : ['--insecure']
  const crane = await report.alternate(
    `${what} (crane)`,
    async () => await pack(),
    async () => await theirs('crane', ['pull', ...insecure, '--format=oci', ...images, fresh()]),
    rounds,
  )
  report.row(what, 'crane pull --format=oci', crane, peerMemory(crane))
  const skopeo = await report.alternate(
    `${what} (skopeo)`,
    async () => await pack(),
    async () => {
      const to = fresh()
      const verify = `--src-tls-verify=${secure}`
      return await inTurn(
        tags.map(
          tag => async () =>
            await theirs('skopeo', ['copy', ...SKOPEO, verify, `docker://${name}:${tag}`, `oci:${to}:${tag}`]),
        ),
      )
    },
    rounds,
  )
  report.row(what, 'skopeo copy … oci:', skopeo, peerMemory(skopeo))
  const best = Math.min(ratioOf(crane), ratioOf(skopeo))
  const least = secure ? 1.2 : 1.3
  report.promise(
    best >= least,
    `pack${by} at least ${least} times as fast as the faster of skopeo and crane: ${best.toFixed(2)}`,
  )
  report.row(`pack${by}, and look into the layers`, '', [{ ours: await pack([]) }], '')
  const again = []
  for (let round = 0; round < rounds; round++) again.push(await ours(['pack', ...images, '-o', bundle]))
  const seconds = median(again.map(run => run.seconds))
  report.row(
    'pack again, nothing new',
    '',
    again.map(run => ({ ours: run })),
  )
  report.promise(seconds < 1, `pack again with nothing new in under a second: ${seconds.toFixed(2)} s`)
}

/** From a layout to a registry that has nothing, the whole set as one index. */
async function benchPush({ total, layout, registry, inside, rounds, report, by, secure, ours, theirs }) {
  const set = layoutOf(layout, SET)
  let count = 0
  const fresh = () => {
    registry.empty()
    count += 1
    return `${registry.domain}/push/app${count}:set`
  }
  const push = async () => await ours(['copy', `oci:${set}`, `docker://${fresh()}`])
  const what = `push ${megabytes(total)} to a registry${by}`
  const crane = await report.alternate(
    `${what} (crane)`,
    push,
    async () => await theirs('crane', ['push', ...(secure ? [] : ['--insecure']), inside(set), fresh()]),
    rounds,
  )
  report.row(what, 'crane push', crane, peerMemory(crane))
  const skopeo = await report.alternate(
    `${what} (skopeo)`,
    push,
    async () =>
      await theirs('skopeo', [
        'copy',
        ...SKOPEO,
        '--all',
        `--dest-tls-verify=${secure}`,
        `oci:${inside(set)}`,
        `docker://${fresh()}`,
      ]),
    rounds,
  )
  report.row(what, 'skopeo copy --all', skopeo, peerMemory(skopeo))
  const best = Math.min(ratioOf(crane), ratioOf(skopeo))
  report.promise(best >= 1, `push${by} at least as fast as the faster of skopeo and crane: ${best.toFixed(2)}`)
}

/** A connection that ends at nine tenths of the largest layer: what is sent a second time of it. */
async function benchCut({ tags, registry, work, report, ours }) {
  for (const tag of tags)
    await ours(['copy', `oci:${join(work, 'layout')}:${tag}`, `docker://${registry.domain}/bench/app:${tag}`])
  const proxy = await startCounter(registry.port)
  const bundle = join(work, 'cut')
  const run = await ours(['pack', `${proxy.domain}/bench/app:v0`, '-o', bundle])
  proxy.end()
  const { size, sent } = proxy.cut()
  report.row(`pack, cut at 90 % of ${megabytes(size)}`, '', [{ ours: run }], `${megabytes(sent)} of it sent in all`)
  report.promise(
    sent <= size * 1.01,
    `a connection cut at 90 % costs the rest, not the whole: ${megabytes(sent)} sent of ${megabytes(size)}`,
  )
}

/** Several commands one after another, as one. */
async function inTurn(commands) {
  let [seconds, cpu, rss] = [0, 0, 0]
  for (const command of commands) {
    const run = await command()
    seconds += run.seconds
    cpu += run.cpu
    rss = Math.max(rss, run.rss)
  }
  return { seconds, cpu, rss }
}

const peerMemory = pairs => `peer's peak RSS ${megabytes(Math.max(...pairs.map(run => run.peer.rss)))}`

/** Images that share their two largest layers, as an OCI layout. The layers are gzip of stored blocks: sound, and quickly made. */
export function makeImages(directory, total) {
  mkdirSync(join(directory, 'blobs/sha256'), { recursive: true })
  const put = (mediaType, bytes) => {
    const hex = createHash('sha256').update(bytes).digest('hex')
    writeFileSync(join(directory, 'blobs/sha256', hex), bytes)
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length }
  }
  const shares = Array.from({ length: LAYERS }, (_, n) => SHAPE[n % SHAPE.length])
  const unit = total / shares.reduce((sum, share) => sum + share, 0)
  const layers = shares.map(share => {
    const bytes = randomBytes(Math.max(Math.round((share * unit) / GZIP_BLOCK) * GZIP_BLOCK, GZIP_BLOCK))
    return {
      diffId: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
      ...put('application/vnd.oci.image.layer.v1.tar+gzip', gzipSync(bytes, { level: 0 })),
    }
  })
  const images = Array.from({ length: IMAGES }, (_, n) => {
    const own = [...layers.slice(0, 2), ...layers.slice(2 + n * 5, n === IMAGES - 1 ? LAYERS : 7 + n * 5)]
    const json = value => Buffer.from(JSON.stringify(value))
    const config = put(
      'application/vnd.oci.image.config.v1+json',
      json({
        architecture: 'amd64',
        os: 'linux',
        config: { Cmd: [`app${n}`] },
        rootfs: { type: 'layers', diff_ids: own.map(({ diffId }) => diffId) },
      }),
    )
    const manifest = {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config,
      layers: own.map(({ diffId: _, ...layer }) => layer),
    }
    return { ...put(manifest.mediaType, json(manifest)), annotations: { 'org.opencontainers.image.ref.name': `v${n}` } }
  })
  writeIndex(directory, images)
  const index = {
    schemaVersion: 2,
    mediaType: INDEX,
    manifests: images.map(({ annotations: _, ...image }, n) => ({
      ...image,
      platform: { os: 'linux', architecture: 'amd64', variant: `v${n}` },
    })),
  }
  const set = {
    ...put(INDEX, Buffer.from(JSON.stringify(index))),
    annotations: { 'org.opencontainers.image.ref.name': SET },
  }
  mkdirSync(layoutOf(directory, SET))
  spawnSync('cp', ['-rl', join(directory, 'blobs'), layoutOf(directory, SET)])
  writeIndex(layoutOf(directory, SET), [set])
}

function writeIndex(directory, manifests) {
  writeFileSync(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  writeFileSync(join(directory, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }))
}

/** The same blobs, and another index.json. */
const layoutOf = (directory, tag) => `${directory}-${tag}`

/** For 127.0.0.1, signed by itself. */
function makeCertificate(directory) {
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
  const words = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2']
  const made = spawnSync('openssl', [...words, '-subj', '/CN=bench', '-addext', 'subjectAltName=IP:127.0.0.1'])
  if (made.status !== 0) throw new Error(`bench: openssl makes no certificate: ${made.error ?? made.stderr}`)
  return { key, cert }
}

/** docker-registry on loopback, on a port that the system chose. */
export async function startRegistry(directory, certificate) {
  mkdirSync(directory, { recursive: true })
  const port = await freePort()
  const config = join(directory, 'config.yml')
  const data = join(directory, 'data')
  writeFileSync(
    config,
    [
      'version: 0.1',
      'log: {level: error, accesslog: {disabled: true}}',
      `storage: {filesystem: {rootdirectory: ${data}}}`,
      `http: {addr: '127.0.0.1:${port}'${certificate ? `, tls: {certificate: ${certificate.cert}, key: ${certificate.key}}` : ''}}`,
    ].join('\n'),
  )
  const child = spawn('docker-registry', ['serve', config], { stdio: 'ignore' })
  const ended = new Promise(done => child.once('close', done))
  for (let n = 0; !(await answers(port)); n++) {
    if (n > 200) throw new Error('bench: docker-registry does not come up')
    await sleep(50)
  }
  return {
    port,
    domain: `127.0.0.1:${port}`,
    /** It keeps no memory of its own of what it has. */
    empty: () => rmSync(data, { recursive: true, force: true }),
    async end() {
      child.kill()
      await ended
    },
  }
}

/** A proxy that ends the first answer of over 1 MB at nine tenths, and counts what it sends of that blob. */
async function startCounter(port) {
  let [path, size, sent] = [undefined, 0, 0]
  const server = createHttpServer((incoming, outgoing) => {
    const passed = request({ port, method: incoming.method, path: incoming.url, headers: incoming.headers }, answer => {
      const length = Number(answer.headers['content-length'] ?? 0)
      const first = incoming.method === 'GET' && path === undefined && length > 1e6
      if (first) [path, size] = [incoming.url, length]
      outgoing.writeHead(answer.statusCode, answer.headers)
      let left = first ? Math.floor(length * 0.9) : Infinity
      answer.on('data', piece => {
        const mine = piece.subarray(0, left)
        left -= mine.length
        if (incoming.url === path) sent += mine.length
        if (!outgoing.write(mine)) {
          answer.pause()
          outgoing.once('drain', () => answer.resume())
        }
        if (left === 0) outgoing.socket?.end()
      })
      answer.on('end', () => outgoing.end())
    })
    passed.on('error', () => outgoing.destroy())
    outgoing.on('close', () => passed.destroy())
    incoming.pipe(passed)
  })
  await new Promise(done => server.listen(0, '127.0.0.1', done))
  const end = () => {
    server.closeAllConnections()
    server.close()
  }
  return { domain: `127.0.0.1:${server.address().port}`, cut: () => ({ size, sent }), end }
}

async function freePort() {
  const server = createServer()
  await new Promise(done => server.listen(0, '127.0.0.1', done))
  const { port } = server.address()
  await new Promise(done => server.close(done))
  return port
}

async function answers(port) {
  return await new Promise(done => {
    const socket = connect(port, '127.0.0.1', () => done(Boolean(socket.destroy())))
    socket.on('error', () => done(false))
  })
}
