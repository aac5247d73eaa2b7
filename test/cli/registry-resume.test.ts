import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeCertificate } from '../support/certificate.js'
import { stowage } from '../support/command.js'
import { layeredImage } from '../support/images.js'
import { type Fault, pushWithSkopeo, startFaultyProxy, startRegistry } from '../support/registry.js'

const SIZE = 12_000_000
const registry = await startRegistry(t)
const image = await layeredImage(2, { size: SIZE })
await pushWithSkopeo(t, registry, 'team/shop:2.3', image)
const [cut, whole] = image.layers
const isBlob = (url: string | undefined, digest: string) => url === `/v2/team/shop/blobs/${digest}`

/** `stowage pack` through a proxy at a port that stays the same, so that the command stays the same. */
async function packThrough(t: Test, cwd: string, fault: Fault, words: readonly string[] = []) {
  const proxy = await startFaultyProxy(t, registry, fault)
  const env = { HTTP_PROXY: '', NO_PROXY: '' }
  const found = await stowage(['pack', `${proxy.domain}/team/shop:2.3`, '-t', 'shop:2.3', '-o', 'site', ...words], {
    cwd,
    env,
  })
  return { ...found, requests: proxy.requests.filter(({ line }) => line === `GET /v2/team/shop/blobs/${cut!.digest}`) }
}

const blobs = (cwd: string) => readdirSync(join(cwd, 'site', 'blobs', 'sha256'))
const partials = (cwd: string) => blobs(cwd).filter(name => name.endsWith('.partial'))

/** The layer `cut` ends after so many bytes, and then nothing of it can be had any more. */
const endAfter =
  (bytes: number): Fault =>
  (request, response, _count) => {
    if (!isBlob(request.url, cut!.digest) || request.method !== 'GET') return undefined
    if (request.headers.range === undefined) return { cutAfter: bytes }
    response.writeHead(404).end()
    return 'answered'
  }

/** The layer `cut` ends after so many bytes, and is refused from then on. */
const refusedAfter =
  (bytes: number): Fault =>
  (request, response, count) => {
    if (!isBlob(request.url, cut!.digest) || request.method !== 'GET') return undefined
    if (count === 0) return { cutAfter: bytes }
    response.writeHead(403).end()
    return 'answered'
  }

t.test('pack - a connection that ends at nine tenths costs the last tenth in the next run, not the whole', async t => {
  const cwd = t.testdir()
  const first = await packThrough(t, cwd, refusedAfter(Math.floor(cut!.size * 0.9)))
  t.equal(first.code, 5, first.stderr)
  t.match(first.stderr, /Once the registry allows it, the same command resumes\./)
  t.ok(readdirSync(join(cwd, 'site')).includes('INCOMPLETE'))
  const [partial] = partials(cwd)
  t.ok(statSync(join(cwd, 'site', 'blobs', 'sha256', partial!)).size > cut!.size * 0.8, 'what came is there')
  t.notOk(blobs(cwd).includes(cut!.digest.slice('sha256:'.length)), 'under no name that looks whole')
  const second = await packThrough(t, cwd, () => undefined)
  t.equal(second.code, 0, second.stderr)
  t.equal(second.requests.length, 1)
  const from = Number(/^bytes=(\d+)-\d+$/.exec(second.requests[0]?.range ?? '')?.[1])
  t.ok(from > cut!.size * 0.8, `from byte ${from} of ${cut!.size}`)
  t.equal((await stowage(['verify', 'site'], { cwd })).code, 0)
  t.same(partials(cwd), [])
  t.ok(readFileSync(join(cwd, 'site', 'blobs', 'sha256', cut!.digest.slice(7))).equals(image.blobs.get(cut!.digest)))
})

t.test('pack - what an earlier run left wrong is noticed, and read again from the beginning', async t => {
  const cwd = t.testdir()
  const first = await packThrough(t, cwd, refusedAfter(8_000_000))
  t.equal(first.code, 5, first.stderr)
  const partial = join(cwd, 'site', 'blobs', 'sha256', partials(cwd)[0]!)
  const bytes = readFileSync(partial)
  bytes[4_000_000] = (bytes[4_000_000] ?? 0) ^ 1
  writeFileSync(partial, bytes)
  const second = await packThrough(t, cwd, () => undefined)
  t.equal(second.code, 0, second.stderr)
  t.same(
    second.requests.map(({ range }) => range === undefined),
    [false, true],
  )
  t.equal((await stowage(['verify', 'site'], { cwd })).code, 0)
})

t.test('pack - a part that was cut to nothing, or is longer than the blob, does no harm', async t => {
  for (const size of [0, 100, SIZE * 2]) {
    const cwd = t.testdir()
    const first = await packThrough(t, cwd, endAfter(6_000_000))
    t.equal(first.code, 4, 'a blob that is gone is an error of integrity')
    t.throws(() => statSync(join(cwd, 'site')), 'and nothing is kept that no run could use')
    const again = await packThrough(t, cwd, refusedAfter(6_000_000))
    t.equal(again.code, 5, again.stderr)
    truncateSync(join(cwd, 'site', 'blobs', 'sha256', partials(cwd)[0]!), size)
    const last = await packThrough(t, cwd, () => undefined)
    t.equal(last.code, 0, last.stderr)
    t.equal((await stowage(['verify', 'site'], { cwd })).code, 0)
  }
})

t.test('pack - interrupted in the middle of a blob it goes on there', async t => {
  const cwd = t.testdir()
  let child: { kill(signal: NodeJS.Signals): boolean } | undefined
  const proxy = await startFaultyProxy(t, registry, request => {
    if (!isBlob(request.url, cut!.digest) || request.method !== 'GET' || request.headers.range !== undefined)
      return undefined
    setTimeout(() => child?.kill('SIGINT'), 2500) // all that is sent has been written by then
    return { stallAfter: 7_000_000 }
  })
  const words = ['pack', `${proxy.domain}/team/shop:2.3`, '-o', 'site', '--progress', 'json']
  const first = await stowage(words, { cwd, onStderr: running => (child = running) })
  t.equal(first.code, 130, first.stderr)
  t.equal(partials(cwd).filter(name => name.startsWith(cut!.digest.slice('sha256:'.length))).length, 1)
  const second = await stowage(words, { cwd })
  t.equal(second.code, 0, second.stderr)
  const ranges = proxy.requests
    .filter(({ line }) => isBlob(line.slice('GET '.length), cut!.digest))
    .map(({ range }) => range)
  t.match(ranges.at(-1), /^bytes=6\d{6}-\d+$/)
  t.equal((await stowage(['verify', 'site'], { cwd })).code, 0)
  t.equal(
    proxy.requests.filter(({ line }) => line === `GET /v2/team/shop/blobs/${whole!.digest}`).length,
    1,
    'what was whole is not asked for again',
  )
})

t.test('copy - a layout keeps the part of a blob, and the next copy goes on with it', async t => {
  const cwd = t.testdir()
  const refused = await startFaultyProxy(t, registry, refusedAfter(9_000_000))
  const first = await stowage(['copy', `${refused.domain}/team/shop:2.3`, 'oci:layout', '-t', 'shop:1'], { cwd })
  t.equal(first.code, 5, first.stderr)
  const free = await startFaultyProxy(t, registry, () => undefined)
  const second = await stowage(['copy', `${free.domain}/team/shop:2.3`, 'oci:layout', '-t', 'shop:1'], { cwd })
  t.equal(second.code, 0, second.stderr)
  const [asked] = free.requests.filter(({ line }) => line === `GET /v2/team/shop/blobs/${cut!.digest}`)
  t.match(asked?.range, /^bytes=8\d{6}-\d+$/)
})

t.test('pack - a failure that nothing came before promises no resume and leaves no directory', async t => {
  const closed = await startFaultyProxy(t, registry, (_request, response) => {
    response.writeHead(403, { 'content-type': 'application/json' })
    response.end('{"errors":[{"code":"DENIED","message":"not for you"}]}')
    return 'answered'
  })
  const absent = await startFaultyProxy(t, registry, (_request, response) => {
    response.writeHead(404).end()
    return 'answered'
  })
  const server = createSecureServer(makeCertificate(t), (_request, response) => response.end())
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  t.teardown(() => server.close())
  const untrusted = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const cases = {
    refused: [
      '127.0.0.1:1',
      6,
      /127\.0\.0\.1:1 cannot be reached: the connection was refused by 127\.0\.0\.1:1\nhint: Check the port/,
    ],
    'unknown host': [
      'nowhere.invalid',
      6,
      /nowhere\.invalid cannot be reached: no host has this name\nhint: Check the name/,
    ],
    untrusted: [untrusted, 6, /certificate/],
    denied: [closed.domain, 5, /not for you/],
    absent: [absent.domain, 3, /team\/shop:2\.3/],
  } as const
  for (const [name, [domain, code, message]] of Object.entries(cases)) {
    const cwd = t.testdir()
    const env = { HTTP_PROXY: '', HTTPS_PROXY: '', NO_PROXY: '', SSL_CERT_FILE: '' }
    const found = await stowage(['pack', `docker://${domain}/team/shop:2.3`, '-o', 'site'], { cwd, env })
    t.equal(found.code, code, `${name}: ${found.stderr}`)
    t.match(found.stderr, message, name)
    t.notMatch(found.stderr, /resume|INCOMPLETE|E[A-Z]{5,}|errno|getaddrinfo/, name)
    t.same(readdirSync(cwd), [], `${name}: no directory`)
    for (const words of [
      ['pull', `${domain}/team/shop:2.3`, '--to', 'oci:store'],
      ['copy', `docker://${domain}/team/shop:2.3`, 'oci:store'],
      ['copy', `docker://${domain}/team/shop:2.3`, 'docker-archive:shop.tar'],
    ]) {
      const other = await stowage(words, { cwd, env })
      t.equal(other.code, code, `${name}, ${words[0]}: ${other.stderr}`)
      t.same(readdirSync(cwd), [], `${name}, ${words[0]}: nothing is left`)
    }
  }
})

t.test('pack - the blobs of an earlier run stay when a later one cannot reach the registry', async t => {
  const cwd = t.testdir()
  const first = await packThrough(t, cwd, refusedAfter(8_000_000))
  t.not(first.code, 0)
  t.match(
    first.stderr,
    /The blobs copied so far stay in site, marked INCOMPLETE\. Once the registry .*, the same command resumes\./,
  )
  const before = blobs(cwd)
  const gone = await stowage(['pack', 'docker://127.0.0.1:1/team/shop:2.3', '-t', 'shop:2.3', '-o', 'site'], { cwd })
  t.equal(gone.code, 6)
  t.match(gone.stderr, /Once the registry can be reached, the same command resumes/)
  t.same(blobs(cwd), before)
})
