import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { blobPath } from '../../src/oci/layout.js'
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-type.js'
import { serveBundle } from '../../src/serve/serve.js'
import { writeBundle } from '../support/bundles.js'
import {
  flipped,
  layeredImage,
  makeImage,
  makeLayer,
  MemoryBlobs,
  multiPlatformImage,
  noise,
  type TestImage,
  writeLayout,
} from '../support/images.js'
import { ask, errorCodes, serve } from '../support/serving.js'

const small = await layeredImage(2, { size: 30_000 })
const index = await multiPlatformImage()
/** One layer of many pieces, of any compression none. */
const large = makeImage([await makeLayer({ data: noise(1_500_000, 'large') }, 'none')])
const layerOf = ({ layers: [layer] }: TestImage) =>
  layer ??
  (() => {
    throw new Error('an image without layers')
  })()

const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

t.test('serveBundle() gives manifests by tag and digest, with what the specification wants to be said', async t => {
  const root = t.testdir()
  await writeBundle(join(root, 'a'), { 'shop:2.3': index, 'quay.example/team/app:1': small })
  await writeBundle(join(root, 'a.tar'), { 'shop:2.3': index, 'quay.example/team/app:1': small })
  for (const place of ['a', 'a.tar']) {
    const server = await serve(t, [join(root, place)])
    t.match(await ask(server, '/v2/'), { status: 200, headers: { 'docker-distribution-api-version': 'registry/2.0' } })
    for (const name of ['library/shop', 'docker.io/library/shop']) {
      for (const reference of ['2.3', index.root.digest]) {
        const path = `/v2/${name}/manifests/${reference}`
        const got = await ask(server, path)
        t.match(
          got,
          {
            status: 200,
            headers: {
              'content-type': OCI_INDEX,
              'docker-content-digest': index.root.digest,
              'content-length': String(index.root.size),
            },
          },
          path,
        )
        t.same(got.body, Buffer.from(index.blobs.get(index.root.digest)), 'byte for byte')
        const head = await ask(server, path, { method: 'HEAD' })
        t.match(head, {
          status: 200,
          headers: { 'content-length': String(index.root.size), 'docker-content-digest': index.root.digest },
          body: Buffer.alloc(0),
        })
        const etag = got.headers.etag ?? ''
        t.equal((await ask(server, path, { headers: { 'if-none-match': `"other", W/${etag}` } })).status, 304)
        t.equal((await ask(server, path, { headers: { 'if-none-match': '"other"' } })).status, 200)
      }
    }
    const [first] = (
      JSON.parse(Buffer.from(index.blobs.get(index.root.digest)).toString()) as { manifests: [{ digest: string }] }
    ).manifests
    t.match(
      await ask(server, `/v2/library/shop/manifests/${first.digest}`),
      { status: 200, headers: { 'content-type': OCI_MANIFEST } },
      'a platform of the index',
    )
    const layer = layerOf(small)
    t.same((await ask(server, `/v2/team/app/blobs/${layer.digest}`)).body, Buffer.from(small.blobs.get(layer.digest)))
    t.match(await ask(server, `/v2/team/app/blobs/${layer.digest}`, { method: 'HEAD' }), {
      status: 200,
      headers: { 'content-length': String(layer.size), 'accept-ranges': 'bytes' },
    })
    t.same(
      server.images.map(({ repository, name, tag }) => [repository, name, tag]),
      [
        ['docker.io/library/shop', 'library/shop', '2.3'],
        ['quay.example/team/app', 'team/app', '1'],
      ],
    )
    t.match(server.images[0], { platforms: [/^linux\//, 'linux/s390x', 'linux/arm/v7'] })
    await server.close()
  }
})

t.test('serveBundle() gives any range of a blob, checked before or not', async t => {
  const root = t.testdir()
  await writeBundle(join(root, 'a'), { 'large:1': large })
  const { digest, size } = layerOf(large)
  const bytes = Buffer.from(large.blobs.get(digest))
  const path = `/v2/library/large/blobs/${digest}`
  for (const before of ['unchecked', 'checked']) {
    const server = await serve(t, [join(root, 'a')], { verify: before === 'checked' })
    for (const [range, start, end] of [
      ['0-0', 0, 1],
      ['1000-', 1000, size],
      [`${size - 1}-`, size - 1, size],
      ['-7', size - 7, size],
      ['5-9', 5, 10],
    ] as const) {
      const got = await ask(server, path, { headers: { range: `bytes=${range}` } })
      t.match(
        got,
        {
          status: 206,
          headers: { 'content-range': `bytes ${start}-${end - 1}/${size}`, 'content-length': String(end - start) },
        },
        `${before} ${range}`,
      )
      t.ok(got.body.equals(bytes.subarray(start, end)), range)
    }
    const past = await ask(server, path, { headers: { range: `bytes=${size}-` } })
    t.match(past, { status: 416, headers: { 'content-range': `bytes */${size}` } })
    t.same(errorCodes(past), ['RANGE_INVALID'])
    t.equal((await ask(server, path, { headers: { range: 'bytes=0-0', 'if-range': '"other"' } })).status, 200)
    t.equal((await ask(server, path, { headers: { range: 'bytes=0-0', 'if-range': `"${digest}"` } })).status, 206)
    t.ok((await ask(server, path)).body.equals(bytes))
    await server.close()
  }
})

t.test('serveBundle() lists tags and repositories in pages', async t => {
  const root = t.testdir()
  await writeBundle(join(root, 'a'), {
    'shop:b': small,
    'shop:A': small,
    'shop:10': small,
    'quay.example/app:1': index,
  })
  const server = await serve(t, [join(root, 'a')])
  const list = async (path: string) => {
    const { body, headers } = await ask(server, path)
    return { ...(JSON.parse(body.toString()) as object), link: headers['link'] }
  }
  t.same(await list('/v2/library/shop/tags/list'), { name: 'library/shop', tags: ['10', 'A', 'b'], link: undefined })
  t.same(await list('/v2/library/shop/tags/list?n=2'), {
    name: 'library/shop',
    tags: ['10', 'A'],
    link: '</v2/library/shop/tags/list?n=2&last=A>; rel="next"',
  })
  t.same(await list('/v2/library/shop/tags/list?n=2&last=A'), { name: 'library/shop', tags: ['b'], link: undefined })
  t.same(await list('/v2/_catalog'), { repositories: ['app', 'library/shop'], link: undefined })
  t.same(await list('/v2/_catalog?n=1'), { repositories: ['app'], link: '</v2/_catalog?n=1&last=app>; rel="next"' })
  const odd = await ask(server, '/v2/_catalog?n=-1')
  t.equal(odd.status, 400)
  t.same(errorCodes(odd), ['PAGINATION_NUMBER_INVALID'])
})

t.test('serveBundle() tells what refers to an image, by the subject of the manifests it has', async t => {
  const root = t.testdir()
  const { blobs, root: subject } = makeImage([await makeLayer({ a: 'a' })])
  const empty = blobs.add('application/vnd.oci.empty.v1+json', json({}))
  const artifact = (about: typeof subject, rest: object) =>
    blobs.add(
      OCI_MANIFEST,
      json({
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: empty,
        layers: [empty],
        subject: about,
        ...rest,
      }),
    )
  const sbom = artifact(subject, { artifactType: 'text/sbom', annotations: { by: 'us' } })
  const signature = artifact(sbom, { artifactType: 'text/signature' })
  const untyped = artifact(subject, {})
  const image = { ...small, blobs, root: subject }
  await writeLayout(join(root, 'layout'), { 'shop:1': image })
  const file = join(root, 'layout', 'index.json')
  const heads = JSON.parse(readFileSync(file, 'utf8')) as { manifests: unknown[] }
  writeFileSync(file, JSON.stringify({ ...heads, manifests: [...heads.manifests, sbom, signature, untyped] }))
  const server = await serve(t, [`oci:${join(root, 'layout')}`])
  t.same(server.warnings, [], 'they are served with what they are about')
  const referrers = async (digest: string, query = '') => {
    const got = await ask(server, `/v2/library/shop/referrers/${digest}${query}`)
    t.match(got, { status: 200, headers: { 'content-type': OCI_INDEX } })
    return {
      ...(JSON.parse(got.body.toString()) as { manifests: { digest: string }[] }),
      filtered: got.headers['oci-filters-applied'],
    }
  }
  const all = await referrers(subject.digest)
  t.match(all, { schemaVersion: 2, mediaType: OCI_INDEX, filtered: undefined })
  t.same(all.manifests, [
    { ...sbom, artifactType: 'text/sbom', annotations: { by: 'us' } },
    { ...untyped, artifactType: 'application/vnd.oci.empty.v1+json' },
  ])
  t.match(await referrers(subject.digest, '?artifactType=text/sbom'), {
    filtered: 'artifactType',
    manifests: [{ digest: sbom.digest }],
  })
  t.match(await referrers(sbom.digest), { manifests: [{ digest: signature.digest }] })
  t.same((await referrers(`sha256:${'0'.repeat(64)}`)).manifests, [])
  t.equal((await ask(server, `/v2/library/shop/manifests/${signature.digest}`)).status, 200)
  t.same(errorCodes(await ask(server, '/v2/library/shop/referrers/latest')), ['DIGEST_INVALID'])
})

t.test('serveBundle() is only read', async t => {
  const root = t.testdir()
  await writeBundle(join(root, 'a'), { 'shop:1': small })
  const server = await serve(t, [join(root, 'a')])
  for (const [method, path] of [
    ['POST', '/v2/library/shop/blobs/uploads/'],
    ['PUT', '/v2/library/shop/manifests/2'],
    ['DELETE', '/v2/library/shop/manifests/1'],
    ['PATCH', '/'],
    ['OPTIONS', '*'],
  ] as const) {
    const got = await ask(server, path, { method })
    t.match(got, { status: 405, headers: { allow: 'GET, HEAD' } }, method)
    t.same(errorCodes(got), ['UNSUPPORTED'])
  }
})

t.test('serveBundle() looks names up, and follows none of them to a file', async t => {
  const root = t.testdir({ secret: 'secret' })
  await writeBundle(join(root, 'a'), { 'shop:1': small })
  const server = await serve(t, [join(root, 'a')])
  const { digest } = layerOf(small)
  for (const path of [
    '/',
    '/secret',
    '/../secret',
    '/v2/../../secret',
    '/v2/library/shop/blobs/../../../secret',
    '/v2/library/shop/blobs/..%2f..%2fsecret',
    '/v2/%2e%2e/%2e%2e/secret',
    '/v2/library/shop/manifests/%2e%2e%2f%2e%2e%2fbundle.json',
    '/bundle.json',
    '/blobs/sha256/',
    '/v2/library/shop/blobs/',
    '/v2/library/shop/blobs/bundle.json',
    '/v2/library/shop/manifests/..',
    '/v2//blobs/x',
    `/v2//library/shop/blobs/${digest}`,
    `/v2/library//shop/blobs/${digest}`,
    `/v2/library/shop/blobs//${digest}`,
    `/v2/library/shop/blobs/${digest}/`,
    `/v2/library/shop/blobs/${digest}%00`,
    `/v2/library/shop%00/blobs/${digest}`,
    '/v2/__proto__/manifests/constructor',
    '/v2/library/shop/manifests/__proto__',
    `/v2/library/shop/blobs/${digest.toUpperCase()}`,
    `/v2/library/other/blobs/${digest}`,
    `/v2/library/shop/blobs/sha256:${digest.slice(7).replace(/./g, '.')}`,
    '/v2/%ff/manifests/1',
    '/v2/a%0d%0ab/tags/list',
  ]) {
    const got = await ask(server, path)
    t.ok([400, 404].includes(got.status), `${path}: ${got.status}`)
    t.match(errorCodes(got), [/^[A-Z_]+$/], path)
    t.notMatch(got.body.toString(), /secret/)
  }
  const long = await ask(server, `/v2/${'a'.repeat(5000)}/tags/list`)
  t.equal(long.status, 414)
  for (const head of ['GET /v2/\0/tags/list HTTP/1.1', `GET /v2/ HTTP/1.1\r\nX: ${'a'.repeat(20_000)}`, 'nonsense']) {
    t.match(
      await raw(server.address.port, `${head}\r\nHost: a\r\nConnection: close\r\n\r\n`),
      /^HTTP\/1\.1 4(00|31) /,
      JSON.stringify(head.slice(0, 20)),
    )
  }
})

t.test('serveBundle() serves no file that a link of a layout leads to', async t => {
  const root = t.testdir()
  await writeLayout(join(root, 'layout'), { 'large:1': large })
  const { digest, size } = layerOf(large)
  const file = join(root, 'layout', blobPath(digest))
  renameSync(file, join(root, 'elsewhere'))
  symlinkSync(join(root, 'elsewhere'), file)
  const server = await serve(t, [`oci:${join(root, 'layout')}`])
  t.match(server.warnings, [new RegExp(`large:1: ${digest} cannot be served`)])
  t.match(await ask(server, `/v2/library/large/blobs/${digest}`, { headers: { range: `bytes=0-${size - 2}` } }), {
    status: 404,
  })
})

t.test('serveBundle() gives nobody the whole of a wrong blob, and says which it was', async t => {
  const root = t.testdir()
  const { digest, size } = layerOf(large)
  const damage = (how: (bytes: Uint8Array) => Uint8Array) =>
    writeFileSync(join(root, 'a', blobPath(digest)), how(large.blobs.get(digest)))
  await writeBundle(join(root, 'a'), { 'large:1': large, 'small:1': small })
  damage(flipped)
  const path = `/v2/library/large/blobs/${digest}`
  const first = await serve(t, [join(root, 'a')])
  const cut = await ask(first, path)
  t.match(cut, { status: 200, whole: false })
  t.ok(cut.body.length < size)
  t.match(await first.logged(({ error }) => error !== undefined), {
    target: path,
    status: 200,
    error: { code: 'DIGEST_MISMATCH' },
  })
  const again = await ask(first, path)
  t.equal(again.status, 404, 'it is known now')
  t.match(again.body.toString(), /damaged/)
  t.equal((await ask(first, path, { method: 'HEAD' })).status, 404)
  damage(bytes => bytes)
  t.match(await ask(first, path), { status: 200, whole: true }, 'and read again once another file is there')

  damage(flipped)
  const second = await serve(t, [join(root, 'a')])
  t.match(
    await ask(second, path, { headers: { range: `bytes=0-${size - 2}` } }),
    { status: 206, whole: true },
    'all but the end',
  )
  t.match(await ask(second, path, { headers: { range: 'bytes=-1' } }), { status: 404 }, 'but never the end')
  await t.rejects(serveBundle([join(root, 'a')], { listen: ':0', verify: true }), {
    code: 'DIGEST_MISMATCH',
    message: new RegExp(digest),
  })

  truncateSync(join(root, 'a', blobPath(digest)), size - 1)
  const third = await serve(t, [join(root, 'a')])
  t.match(third.warnings, [new RegExp(`large:1: ${digest} cannot be served`)])
  t.equal((await ask(third, path)).status, 404)
  t.equal((await ask(third, `/v2/library/small/blobs/${layerOf(small).digest}`)).status, 200, 'the others are served')
  await t.rejects(serveBundle([join(root, 'a')], { listen: ':0', verify: true }), {
    code: 'BLOB_MISSING',
    message: new RegExp(digest),
  })

  const config = small.config.digest
  writeFileSync(join(root, 'a', blobPath(config)), flipped(small.blobs.get(config)))
  await t.rejects(serveBundle([join(root, 'a')], { listen: ':0' }), {
    code: 'DIGEST_MISMATCH',
    message: new RegExp(config),
  })
})

t.test('serveBundle() refuses a tar that is cut', async t => {
  const root = t.testdir()
  await writeBundle(join(root, 'a.tar'), { 'large:1': large })
  truncateSync(join(root, 'a.tar'), 1_000_000)
  await t.rejects(serveBundle([join(root, 'a.tar')], { listen: ':0' }), { code: 'INVALID_TAR' })
})

t.test('serveBundle() outlives a stick that is pulled out, and goes on when it is back', async t => {
  const root = t.testdir()
  await writeBundle(join(root, 'a'), { 'shop:1': small })
  await writeBundle(join(root, 'a.tar'), { 'shop:1': small })
  await writeLayout(join(root, 'layout'), { 'shop:1': small })
  for (const place of ['a', 'a.tar', 'layout']) {
    const server = await serve(t, [place === 'layout' ? `oci:${join(root, place)}` : join(root, place)])
    renameSync(join(root, place), join(root, 'away'))
    for (const path of ['/v2/library/shop/manifests/1', `/v2/library/shop/blobs/${layerOf(small).digest}`]) {
      const got = await ask(server, path)
      t.equal(got.status, 503, `${place} ${path}`)
      t.same(errorCodes(got), ['UNAVAILABLE'])
      t.equal((await ask(server, path, { method: 'HEAD' })).status, 503)
      t.match(await server.logged(({ target }) => target === path), {
        error: { code: 'FILE_NOT_FOUND', message: new RegExp(place) },
      })
    }
    t.equal((await ask(server, '/v2/library/shop/tags/list')).status, 200)
    renameSync(join(root, 'away'), join(root, place))
    t.equal((await ask(server, '/v2/library/shop/manifests/1')).status, 200)
    await server.close()
  }
})

t.test('serveBundle() lets go of a client that takes nothing, and not of one that is slow', async t => {
  const root = t.testdir()
  const layer = await makeLayer({ data: Buffer.alloc(24_000_000) }, 'none')
  const image = makeImage([layer])
  await writeLayout(join(root, 'layout'), { 'large:1': image })
  const server = await serve(t, [`oci:${join(root, 'layout')}`], { patience: 2000 })
  const { digest, size } = layerOf(image)
  const path = `/v2/library/large/blobs/${digest}`
  const stuck = connect(server.address.port, '127.0.0.1')
  stuck.pause()
  stuck.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
  const slow = new Promise<number>(resolve => {
    const socket = connect(server.address.port, '127.0.0.1')
    let read = 0
    socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
    socket.on('data', piece => {
      read += piece.length
      socket.pause()
      setTimeout(() => socket.resume(), piece.length / 10_000) // about 10 MB a second
    })
    socket.on('close', () => resolve(read))
  })
  const over = await server.logged(({ error }) => error !== undefined)
  t.match(over, { status: 200, error: { code: 'ABORTED', message: /read nothing for 2 s/ } })
  t.ok(over.sent < size)
  t.ok((await slow) > size, 'the other has all of it')
  stuck.destroy()
})

t.test('serveBundle() serves several places, and refuses one name for two images', async t => {
  const root = t.testdir()
  await writeBundle(join(root, 'a'), { 'shop:1': small })
  await writeBundle(join(root, 'b.tar'), { 'shop:1': small, 'shop:2': index })
  await writeBundle(join(root, 'c'), { 'shop:1': index })
  const server = await serve(t, [join(root, 'a'), join(root, 'b.tar')])
  t.same(JSON.parse((await ask(server, '/v2/library/shop/tags/list')).body.toString()), {
    name: 'library/shop',
    tags: ['1', '2'],
  })
  rmSync(join(root, 'a'), { recursive: true })
  t.equal((await ask(server, '/v2/library/shop/manifests/1')).status, 200, 'the other has it too')
  await t.rejects(serveBundle([join(root, 'b.tar'), join(root, 'c')], { listen: ':0' }), {
    code: 'INVALID_ARGUMENT',
    message: new RegExp(`docker.io/library/shop:1 is ${small.root.digest} in .*b.tar, but ${index.root.digest} in .*c`),
  })
  const one = await serve(t, [`bundle:${join(root, 'b.tar')}:shop:2`])
  t.same(
    one.images.map(({ tag }) => tag),
    ['2'],
  )
})

t.test('serveBundle() is a mirror: a registry is not taken for another', async t => {
  const root = t.testdir()
  await writeBundle(join(root, 'a'), {
    'library/shop:1': small,
    'quay.example/library/shop:1': index,
    'quay.example/app:1': small,
    '10.0.0.1:5000/tool:1': small,
  })
  const server = await serve(t, [join(root, 'a')])
  const digest = async (path: string) => {
    const { status, headers } = await ask(server, path, { method: 'HEAD' })
    return status === 200 ? headers['docker-content-digest'] : status
  }
  t.equal(await digest('/v2/library/shop/manifests/1?ns=docker.io'), small.root.digest)
  t.equal(await digest('/v2/library/shop/manifests/1?ns=quay.example'), index.root.digest)
  t.equal(await digest('/v2/library/shop/manifests/1?ns=ghcr.example'), 404)
  t.equal(await digest('/v2/library/shop/manifests/1'), 404, 'two registries have it')
  t.equal(await digest('/v2/docker.io/library/shop/manifests/1'), small.root.digest)
  t.equal(await digest('/v2/quay.example/library/shop/manifests/1'), index.root.digest)
  t.equal(await digest('/v2/app/manifests/1'), small.root.digest)
  t.equal(await digest('/v2/tool/manifests/1?ns=10.0.0.1:5000'), small.root.digest)
  t.match(server.warnings, [
    /^library\/shop is not served under that name, which docker.io\/library\/shop and quay.example\/library\/shop share/,
  ])
})

t.test('serveBundle() serves what skopeo wrote without names under the name of its directory', async t => {
  const root = t.testdir()
  await writeLayout(join(root, 'from'), { 'shop:1': index })
  mkdirSync(join(root, 'monitor'))
  execFileSync(
    'skopeo',
    [
      'copy',
      '--quiet',
      '--all',
      '--preserve-digests',
      `oci:${join(root, 'from')}:1`,
      `oci:${join(root, 'monitor')}:1.4`,
    ],
    { stdio: 'ignore' },
  )
  const server = await serve(t, [`oci:${join(root, 'monitor')}`])
  t.match(await ask(server, '/v2/monitor/manifests/1.4'), {
    status: 200,
    headers: { 'docker-content-digest': index.root.digest },
  })
})

t.test('serveBundle() serves an index of which not all platforms are there', async t => {
  const root = t.testdir()
  const { blobs } = index
  const document = JSON.parse(Buffer.from(blobs.get(index.root.digest)).toString()) as {
    manifests: { digest: `sha256:${string}` }[]
  }
  const kept = new MemoryBlobs()
  for (const digest of blobs.digests())
    if (digest !== document.manifests[1]?.digest) kept.set(digest, blobs.get(digest))
  await writeLayout(join(root, 'layout'), { 'shop:1': { ...index, blobs: kept } })
  const server = await serve(t, [`oci:${join(root, 'layout')}`])
  t.match(server.images, [{ platforms: [/^linux\//, 'linux/arm/v7'] }])
  const got = await Promise.all(
    document.manifests.map(async ({ digest }) => (await ask(server, `/v2/library/shop/manifests/${digest}`)).status),
  )
  t.same(got, [200, 404, 200])
})

t.test('serveBundle() says what is wrong before it listens', async t => {
  const root = t.testdir({ empty: {}, 'a.crt': 'no certificate' })
  await writeBundle(join(root, 'a'), { 'shop:1': small })
  const server = await serve(t, [join(root, 'a')])
  const bad = async (places: readonly string[], options: object) =>
    await serveBundle(places, { listen: ':0', ...options }).catch((error: unknown) => error)
  const a = join(root, 'a')
  t.match(await bad([join(root, 'nothing')], {}), { code: 'FILE_NOT_FOUND' })
  t.match(await bad([join(root, 'empty')], {}), { code: 'NOT_A_BUNDLE' })
  t.match(await bad(['docker-daemon:shop:1'], {}), { code: 'INVALID_ARGUMENT', hint: /stowage pack/ })
  t.match(await bad([a], { listen: `127.0.0.1:${server.address.port}` }), { code: 'BUSY', message: /is in use/ })
  t.match(await bad([a], { listen: '192.0.2.1:0' }), {
    code: 'INVALID_ARGUMENT',
    message: /cannot listen on 192\.0\.2\.1:0/,
  })
  t.match(await bad([a], { tls: { certFile: join(root, 'a.crt'), keyFile: join(root, 'a.crt') } }), {
    code: 'INVALID_ARGUMENT',
    message: /not a certificate and its key: .*a\.crt has no certificate in PEM format/,
  })
  t.match(await bad([a], { htpasswd: join(root, 'none') }), { code: 'FILE_NOT_FOUND' })
  t.match(await bad([a], { signal: AbortSignal.abort() }), { code: 'ABORTED' })
})

t.test('serveBundle() ends with its signal, and what is under way ends first', async t => {
  const root = t.testdir()
  await writeBundle(join(root, 'a'), { 'large:1': large })
  const controller = new AbortController()
  const server = await serve(t, [join(root, 'a')], { signal: controller.signal })
  const { digest, size } = layerOf(large)
  const hash = createHash('sha256')
  let read = 0
  const socket = connect(server.address.port, '127.0.0.1')
  socket.write(`GET /v2/library/large/blobs/${digest} HTTP/1.1\r\nHost: a\r\n\r\n`)
  const idle = connect(server.address.port, '127.0.0.1')
  await new Promise(resolve => idle.once('connect', resolve))
  await new Promise<void>(resolve => {
    socket.on('data', (piece: Buffer) => {
      if (read === 0) controller.abort()
      const body = read === 0 ? piece.subarray(piece.indexOf('\r\n\r\n') + 4) : piece
      read += body.length
      hash.update(body)
    })
    socket.on('close', () => resolve())
  })
  t.equal(read, size)
  t.equal(`sha256:${hash.digest('hex')}`, digest)
  await server.close()
  await t.rejects(ask(server, '/v2/'), { code: 'ECONNREFUSED' })
  idle.destroy()
})

async function raw(port: number, text: string): Promise<string> {
  return await new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    let answer = ''
    socket.on('data', piece => (answer += piece.toString()))
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(answer))
    socket.write(text)
  })
}
