/** Bundles that are made to exhaust whoever reads them: small on the medium, or cheap to make, but dear to take in. */
import { mkdir, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createGzip } from 'node:zlib'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { encodeChecksums } from '../../src/bundle/checksums.js'
import { integrityOf } from '../../src/bundle/manifest.js'
import { describe, type Descriptor } from '../../src/oci/descriptor.js'
import { digestOf } from '../../src/oci/digest.js'
import { blobPath, LAYOUT_BYTES } from '../../src/oci/layout.js'
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-type.js'
import { BLOCK, encodeHeader, padding, TAR_END } from '../../src/tar/header.js'

const MIB = 1024 * 1024

/** The files of a bundle by path; the lists are made to say what the others are. */
type HostileFiles = Record<string, Uint8Array | string>

/** Writes `files` as a bundle directory whose lists agree with them, except where `files` has lists of its own. */
export async function writeHostile(directory: string, files: HostileFiles): Promise<void> {
  for (const [path, content] of Object.entries(withLists(files))) {
    const place = join(directory, path)
    await mkdir(join(place, '..'), { recursive: true })
    await writeFile(place, content)
  }
}

function withLists(files: HostileFiles): HostileFiles {
  const base: HostileFiles = { 'oci-layout': LAYOUT_BYTES, 'index.json': indexOf([]), 'manifest.json': '[]', ...files }
  const { 'bundle.json': own, SHA256SUMS: ownSums, ...others } = base
  const digests = new Map(Object.entries(others).map(([path, content]) => [path, digestOf(Buffer.from(content))]))
  const list = [...digests].map(([path, digest]) => ({
    path,
    size: Buffer.byteLength(others[path] ?? ''),
    integrity: integrityOf(digest),
  }))
  const bundle =
    own ||
    JSON.stringify({
      schemaVersion: 1,
      generator: { name: 'stowage', version: '0.1.0' },
      images: [],
      files: list,
    })
  const sums = ownSums ?? encodeChecksums(new Map([...digests, ['bundle.json', digestOf(Buffer.from(bundle))]]))
  return { ...others, 'bundle.json': bundle, SHA256SUMS: sums }
}

/** An index of `entries`. */
function indexOf(entries: readonly Descriptor[]): string {
  return JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: entries })
}

/** `count` descriptors that differ in their digests, as JSON separated by commas: some 110 bytes each. */
function descriptors(count: number): string {
  const parts: string[] = []
  for (let n = 0; n < count; n += 1) {
    parts.push(`{"mediaType":"${OCI_MANIFEST}","digest":"sha256:${hex(n)}","size":1}`)
  }
  return parts.join(',')
}

function hex(n: number): string {
  return n.toString(16).padStart(64, '0')
}

/** Bundles in directories by what is wrong with them, each with a way to make its files. */
export const HOSTILE_FILES: Readonly<Record<string, () => HostileFiles>> = {
  'just few enough descriptors': () => ({
    'index.json': `{"schemaVersion":2,"manifests":[${descriptors(124_000)}]}`,
  }),
  'just few enough files': () => {
    const entries: string[] = []
    for (let n = 0; n < 199_000; n += 1) {
      entries.push(`{"path":"files/${n}","size":1,"integrity":"sha256-${'A'.repeat(43)}="}`)
    }
    return {
      'bundle.json': `{"schemaVersion":1,"generator":{"name":"stowage","version":"0"},"images":[],"files":[${entries.join(',')}]}`,
    }
  },
  'just few enough images': () => {
    const images: string[] = []
    for (let n = 0; n < 149_000; n += 1) {
      images.push(
        `{"names":["docker.io/a/b:${n}"],"root":{"mediaType":"${OCI_MANIFEST}","digest":"sha256:${hex(n)}","size":1},"size":1,"platforms":[]}`,
      )
    }
    return {
      'bundle.json': `{"schemaVersion":1,"generator":{"name":"stowage","version":"0"},"images":[${images.join(',')}],"files":[]}`,
    }
  },
  'just few enough checksums': () => {
    const lines: string[] = []
    for (let n = 0; n < 199_000; n += 1) lines.push(`${hex(n)}  files/${n}\n`)
    return { SHA256SUMS: lines.join('') }
  },
  'just few enough entries for docker': () => ({
    'manifest.json': `[${Array(83_000).fill('{"Config":"","RepoTags":[],"Layers":[]}').join(',')}]`,
  }),
  'just few enough layers': () => {
    const config = Buffer.from('{}')
    const layers = descriptors(49_000)
    const roots = Array.from({ length: 30 }, (_, n) =>
      Buffer.from(
        `{"schemaVersion":2,"n":${n},"mediaType":"${OCI_MANIFEST}","config":${JSON.stringify(describe(OCI_CONFIG, config))},"layers":[${layers}]}`,
      ),
    )
    return blobsAndIndex(
      roots.map(root => describe(OCI_MANIFEST, root)),
      [config, ...roots],
    )
  },
  'an index of many descriptors': () => ({
    'index.json': `{"schemaVersion":2,"manifests":[${descriptors(400_000)}]}`,
  }),
  'an index of brackets': () => ({ 'index.json': '['.repeat(30_000_000) }),
  'an index of balanced brackets': () => ({
    'index.json': `{"manifests":${'['.repeat(5_000_000)}${']'.repeat(5_000_000)}}`,
  }),
  'an index of empty objects': () => ({ 'index.json': `{"manifests":[${'{},'.repeat(20_000_000)}{}]}` }),
  'an index of many keys': () => {
    const keys: string[] = []
    for (let n = 0; n < 3_000_000; n += 1) keys.push(`"${n}":1`)
    return { 'index.json': `{"manifests":[],${keys.join(',')}}` }
  },
  'an index with one long string': () => ({ 'index.json': `{"manifests":[],"x":"${'\\u0000'.repeat(10_000_000)}"}` }),
  'a list of many files': () => {
    const entries: string[] = []
    for (let n = 0; n < 550_000; n += 1) {
      entries.push(`{"path":"files/${n}","size":1,"integrity":"sha256-${'A'.repeat(43)}="}`)
    }
    return {
      'bundle.json': `{"schemaVersion":1,"generator":{"name":"stowage","version":"0"},"images":[],"files":[${entries.join(',')}]}`,
    }
  },
  'many images': () => {
    const images: string[] = []
    for (let n = 0; n < 300_000; n += 1) {
      images.push(
        `{"names":["docker.io/a/b:${n}"],"root":{"mediaType":"${OCI_MANIFEST}","digest":"sha256:${hex(n)}","size":1},"size":1,"platforms":[]}`,
      )
    }
    return {
      'bundle.json': `{"schemaVersion":1,"generator":{"name":"stowage","version":"0"},"images":[${images.join(',')}],"files":[]}`,
    }
  },
  'many checksums': () => {
    const lines: string[] = []
    for (let n = 0; n < 850_000; n += 1) lines.push(`${hex(n)}  files/${n}\n`)
    return { SHA256SUMS: lines.join('') }
  },
  'many short lines of checksums': () => ({ SHA256SUMS: '\n'.repeat(60 * MIB) }),
  'many entries for docker': () => ({
    'manifest.json': `[${Array(1_500_000).fill('{"Config":"","RepoTags":[],"Layers":[]}').join(',')}]`,
  }),
  'a manifest of many layers': () => {
    const config = Buffer.from('{}')
    const layers = descriptors(100_000)
    const root = Buffer.from(
      `{"schemaVersion":2,"mediaType":"${OCI_MANIFEST}","config":${JSON.stringify(describe(OCI_CONFIG, config))},"layers":[${layers}]}`,
    )
    return blobsAndIndex([describe(OCI_MANIFEST, root)], [config, root])
  },
  'large manifests': () => {
    const blobs = Array.from({ length: 20 }, (_, n) =>
      Buffer.from(`{"schemaVersion":2,"manifests":[],"annotations":{"a":"${String(n).padEnd(15 * MIB, 'x')}"}}`),
    )
    const root = Buffer.from(indexOf(blobs.map(blob => describe(OCI_INDEX, blob))))
    return blobsAndIndex([describe(OCI_INDEX, root)], [...blobs, root])
  },
  'one large manifest in many indexes': () => {
    const large = Buffer.from(`{"schemaVersion":2,"manifests":[],"annotations":{"a":"${'x'.repeat(15 * MIB)}"}}`)
    const roots = Array.from({ length: 500 }, (_, n) =>
      Buffer.from(indexOf([{ ...describe(OCI_INDEX, large), annotations: { n: String(n) } }])),
    )
    return blobsAndIndex(
      roots.map(root => describe(OCI_INDEX, root)),
      [large, ...roots],
    )
  },
  'indexes of indexes': () => {
    // Each level lists every index of the next one: 30 to the 8th ways down
    const blobs: Buffer[] = [Buffer.from(indexOf([]))]
    let level: Descriptor[] = [describe(OCI_INDEX, blobs[0] ?? Buffer.alloc(0))]
    for (let depth = 0; depth < 7; depth += 1) {
      const next = Array.from({ length: 30 }, (_, n) =>
        Buffer.from(indexOf(level.map(child => ({ ...child, annotations: { n: String(n) } })))),
      )
      blobs.push(...next)
      level = next.map(blob => describe(OCI_INDEX, blob))
    }
    const root = Buffer.from(indexOf(level))
    return blobsAndIndex([describe(OCI_INDEX, root)], [...blobs, root])
  },
}

function blobsAndIndex(entries: readonly Descriptor[], blobs: readonly Uint8Array[]): HostileFiles {
  return {
    'index.json': indexOf(entries),
    ...Object.fromEntries(blobs.map(blob => [blobPath(digestOf(blob)), blob])),
  }
}

/** Tars by what is wrong with them; each is written to a path. */
export const HOSTILE_TARS: Readonly<Record<string, (path: string) => Promise<void>>> = {
  'many empty members': async path => {
    await writeTar(path, function* () {
      yield* members(lists())
      for (let n = 0; n < 210_000; n += 1) yield encodeHeader({ name: `files/${n}`, size: 0 })
    })
  },
  'many empty directories': async path => {
    await writeTar(path, function* () {
      yield* members(lists())
      for (let n = 0; n < 210_000; n += 1) yield encodeHeader({ name: `d/${n}`, size: 0, type: 'directory' })
    })
  },
  'many global headers': async path => {
    const body = Buffer.from('12 a=bcdefg\n')
    const head = Buffer.from(encodeHeader({ name: 'g', size: body.length }))
    head[156] = 'g'.charCodeAt(0)
    const block = Buffer.concat([checksummed(head), body, padding(body.length)])
    await writeTar(path, function* () {
      for (let n = 0; n < 210_000; n += 1) yield block
      yield* members(lists())
    })
  },
  'large extended headers': async path => {
    const record = '6 a=b\n'
    const body = Buffer.from(record.repeat(Math.floor(MIB / record.length)))
    const head = Buffer.from(encodeHeader({ name: 'x', size: body.length }))
    head[156] = 'x'.charCodeAt(0)
    const block = Buffer.concat([checksummed(head), body, padding(body.length)])
    await writeTar(path, function* () {
      for (let n = 0; n < 200; n += 1) {
        yield block
        yield encodeHeader({ name: `files/${n}`, size: 0 })
      }
      yield* members(lists())
    })
  },
}

/** Tars that are compressed with gzip: a few megabytes that stand for ten gigabytes. */
export const HOSTILE_STREAMS: Readonly<Record<string, (path: string) => Promise<void>>> = {
  'a member of zeros': async path => {
    await writeGzip(path, function* () {
      yield* members(lists())
      yield encodeHeader({ name: 'files/zeros', size: 10_240 * MIB })
      yield* zeros(10_240)
    })
  },
  'zeros at the end': async path => {
    await writeGzip(path, function* () {
      yield* members(lists())
      yield* zeros(10_240)
    })
  },
}

function* zeros(count: number): Iterable<Uint8Array> {
  const zero = Buffer.alloc(MIB)
  for (let n = 0; n < count; n += 1) yield zero
}

function checksummed(head: Buffer): Buffer {
  head.fill(' ', 148, 156)
  head.write(
    `${head
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
    'latin1',
  )
  return head
}

function lists(): HostileFiles {
  return withLists({})
}

function* members(files: HostileFiles): Iterable<Uint8Array> {
  for (const [name, content] of Object.entries(files)) {
    const bytes = Buffer.from(content)
    yield encodeHeader({ name, size: bytes.length })
    yield bytes
    yield padding(bytes.length)
  }
}

async function writeTar(path: string, pieces: () => Iterable<Uint8Array>): Promise<void> {
  const file = await open(path, 'w')
  let held: Uint8Array[] = []
  for (const piece of pieces()) {
    held.push(piece)
    if (held.length < 4 * BLOCK) continue
    await file.write(Buffer.concat(held))
    held = []
  }
  await file.write(Buffer.concat([...held, TAR_END]))
  await file.close()
}

async function writeGzip(path: string, pieces: () => Iterable<Uint8Array>): Promise<void> {
  const gzip = createGzip({ level: 1 })
  const output = createWriteStream(path)
  gzip.pipe(output)
  for (const piece of pieces()) if (!gzip.write(piece)) await once(gzip, 'drain')
  gzip.end(TAR_END)
  await once(output, 'finish')
}
