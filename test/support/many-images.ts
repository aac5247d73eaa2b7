/** A real bundle of very many small images, as a tar: what the limits on what is read must leave room for. */
import { open } from 'node:fs/promises'
import { DOCKER_FILE, encodeDockerManifest, encodeIndex, type NamedImage } from '../../src/archive/heads.js'
import { readImage } from '../../src/blob/closure.js'
import { encodeChecksums } from '../../src/bundle/checksums.js'
import { describeImage, encodeBundleManifest, integrityOf, SCHEMA_VERSION } from '../../src/bundle/manifest.js'
import { README_FILE, readmeBytes } from '../../src/bundle/readme.js'
import { type Digest, digestOf } from '../../src/oci/digest.js'
import { blobPath, INDEX_FILE, LAYOUT_BYTES, LAYOUT_FILE } from '../../src/oci/layout.js'
import { OCI_LAYER } from '../../src/oci/media-type.js'
import { parseReference } from '../../src/oci/reference.js'
import { encodeHeader, padding, TAR_END } from '../../src/tar/header.js'
import { makeImage, MemoryBlobs, type TestLayer } from './images.js'

/** Layers of an image that it shares with others, and that it has alone. */
const SHARED = 4
const OWN = 4

/** Writes a bundle of `count` images of eight layers, half of them their own; the configs have labels as real ones do. */
export async function writeManyImages(path: string, count: number): Promise<void> {
  const bases = Array.from({ length: 50 }, (_, n) => plainLayer(`base-${n}`))
  const labels = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`org.example.label.${n}`, 'x'.repeat(60)]))
  const blobs = new MemoryBlobs()
  const images: NamedImage[] = []
  for (let n = 0; n < count; n += 1) {
    const own = Array.from({ length: OWN }, (_, at) => plainLayer(`own-${n}-${at}`))
    const layers = [...Array.from({ length: SHARED }, (_, at) => bases[(n + at) % bases.length] ?? own[0]!), ...own]
    const { root } = makeImage(layers, { blobs, config: { config: { Labels: labels } } })
    images.push({ image: await readImage(blobs, root), names: [parseReference(`registry.example/team/app-${n}:1.0`)] })
  }
  const files = new Map<string, Uint8Array>([
    [LAYOUT_FILE, LAYOUT_BYTES],
    [INDEX_FILE, encodeIndex(images)],
    [DOCKER_FILE, encodeDockerManifest(images)],
    [README_FILE, readmeBytes(false)],
    ...blobs.digests().map((digest): [string, Uint8Array] => [blobPath(digest), blobs.get(digest)]),
  ])
  const sums = new Map<string, Digest>([...files].map(([file, bytes]) => [file, digestOf(bytes)]))
  const manifest = encodeBundleManifest({
    schemaVersion: SCHEMA_VERSION,
    generator: { name: 'stowage', version: '0.1.0' },
    images: images.map(({ image, names }) => describeImage(image, names, undefined)),
    files: [...sums].map(([file, digest]) => ({
      path: file,
      size: files.get(file)?.length ?? 0,
      integrity: integrityOf(digest),
    })),
  })
  files.set('bundle.json', manifest).set('SHA256SUMS', encodeChecksums(sums.set('bundle.json', digestOf(manifest))))
  await using tar = await open(path, 'w')
  for (const [name, bytes] of files) {
    const member = [encodeHeader({ name, size: bytes.length }), bytes, padding(bytes.length)]
    await tar.write(Buffer.concat(member))
  }
  await tar.write(TAR_END)
}

function plainLayer(text: string): TestLayer {
  const content = Buffer.from(text)
  const blob = Buffer.concat([
    encodeHeader({ name: text, size: content.length }),
    content,
    padding(content.length),
    TAR_END,
  ])
  const digest = digestOf(blob)
  return { descriptor: { mediaType: OCI_LAYER, digest, size: blob.length }, diffId: digest, blob }
}
