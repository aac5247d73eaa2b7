/** Small container images made in memory: what they are is stated here, so a test can assert on their bytes. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type Header, pack } from 'tar-stream'
import type { BlobStore, Bytes } from '../../src/blob/blob-store.js'
import { StowageError } from '../../src/errors.js'
import { type Descriptor, describe } from '../../src/oci/descriptor.js'
import { type Digest, digestOf } from '../../src/oci/digest.js'
import { blobPath, INDEX_FILE, LAYOUT_BYTES, LAYOUT_FILE, namedDescriptor } from '../../src/oci/layout.js'
import { layerMediaType } from '../../src/oci/compression.js'
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-type.js'
import type { Platform } from '../../src/oci/platform.js'
import { parseReference } from '../../src/oci/reference.js'

/** What `runnableImage()` prints when it is run. */
export const GREETING = 'hello from a machine without a network'

/** Blobs in memory. `set` may file wrong bytes under a digest and `delete` may lose some: what a damaged medium does. */
export class MemoryBlobs implements BlobStore {
  readonly #blobs = new Map<Digest, Uint8Array>()

  add(mediaType: string, bytes: Uint8Array): Descriptor {
    const descriptor = describe(mediaType, bytes)
    this.#blobs.set(descriptor.digest, bytes)
    return descriptor
  }

  /** The bytes of a blob that was added; throws when there is none, for a test that expects it. */
  get(digest: Digest): Uint8Array {
    const bytes = this.#blobs.get(digest)
    if (!bytes) throw new StowageError('BLOB_MISSING', `${digest} is not in memory`)
    return bytes
  }

  set(digest: Digest, bytes: Uint8Array): void {
    this.#blobs.set(digest, bytes)
  }

  delete(digest: Digest): void {
    this.#blobs.delete(digest)
  }

  digests(): readonly Digest[] {
    return [...this.#blobs.keys()]
  }

  async has(blob: Descriptor): Promise<boolean> {
    return this.#blobs.get(blob.digest)?.length === blob.size
  }

  /** In pieces of 64 KiB, so that a reader sees more than one of a blob that is larger. */
  async *fetch(blob: Descriptor): Bytes {
    const bytes = this.get(blob.digest)
    for (let offset = 0; offset < bytes.length; offset += 65536) yield bytes.subarray(offset, offset + 65536)
  }
}

/** An image with its blobs. `root` is an index where the image has several platforms. */
export interface TestImage {
  readonly root: Descriptor
  readonly blobs: MemoryBlobs
  /** Config and layers of the image, or of the first platform of an index. */
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
  readonly diffIds: readonly Digest[]
}

/** A layer that was made: its blob, and the uncompressed tar it is made of. */
export interface TestLayer {
  readonly descriptor: Descriptor
  readonly diffId: Digest
  readonly blob: Uint8Array
}

/** A member of a layer: text or bytes of a file of mode 0644, or a tar header of tar-stream with content. */
export type TestFile =
  string | Uint8Array | { readonly header: Omit<Partial<Header>, 'name'>; readonly content?: Uint8Array }

/** A layer of `files` by path, in their order, with all times 1970: the same files give the same bytes. */
export async function makeLayer(
  files: Readonly<Record<string, TestFile>>,
  compress: 'gzip' | 'none' = 'gzip',
): Promise<TestLayer> {
  const archive = pack()
  for (const [name, file] of Object.entries(files)) {
    const plain = typeof file === 'string' || file instanceof Uint8Array
    const content = Buffer.from(plain ? file : (file.content ?? ''))
    archive.entry({ mode: 0o644, mtime: new Date(0), ...(plain ? {} : file.header), name }, content)
  }
  archive.finalize()
  const pieces: Uint8Array[] = []
  for await (const piece of archive as AsyncIterable<Uint8Array>) pieces.push(piece) // tar-stream does not type its pieces
  const tar = Buffer.concat(pieces)
  const blob = compress === 'gzip' ? gzipSync(tar) : tar
  return {
    descriptor: describe(layerMediaType(compress === 'gzip' ? 'gzip' : 'none'), blob),
    diffId: digestOf(tar),
    blob,
  }
}

/** An image of one platform over `layers`, base first; `config` is merged into the image config. */
export function makeImage(
  layers: readonly TestLayer[],
  {
    platform = hostPlatform(),
    config = {},
    blobs = new MemoryBlobs(),
  }: {
    platform?: Platform
    config?: Readonly<Record<string, unknown>>
    blobs?: MemoryBlobs
  } = {},
): TestImage {
  const diffIds = layers.map(layer => layer.diffId)
  const rootfs = { type: 'layers', diff_ids: diffIds }
  const created = '2016-10-12T00:00:00Z'
  const descriptor = blobs.add(OCI_CONFIG, json({ created, ...platform, config: {}, rootfs, ...config }))
  const descriptors = layers.map(layer => blobs.add(layer.descriptor.mediaType, layer.blob))
  const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config: descriptor, layers: descriptors }
  return { root: blobs.add(OCI_MANIFEST, json(manifest)), blobs, config: descriptor, layers: descriptors, diffIds }
}

/** A Linux image of one layer (Debian's busybox-static) that prints {@link GREETING} and ends. */
export async function runnableImage(): Promise<TestImage> {
  return makeImage([await busyboxLayer()], { config: { config: { Cmd: ['/bin/busybox', 'echo', GREETING] } } })
}

/**
 * A Linux image of `count` layers, each with one file of `size` bytes that do not compress. Layer n is the same in every
 * image made with the same `size` and `seed`, so that two images share as many layers as both have.
 */
export async function layeredImage(count: number, { size = 200_000, seed = 'shared' } = {}): Promise<TestImage> {
  const layers: TestLayer[] = []
  for (let n = 0; n < count; n++) layers.push(await makeLayer({ [`data-${n}`]: noise(size, `${seed}-${n}`) }))
  return makeImage(layers, { config: { config: { Cmd: ['/none'] } } })
}

/** An image shaped as Windows base images are: os windows with a version, `Files/` and `Hives/` in its layer. */
export async function windowsImage(): Promise<TestImage> {
  const directory = { header: { type: 'directory', mode: 0o755 } } as const
  const layer = await makeLayer({
    Files: directory,
    'Files/Windows': directory,
    'Files/Windows/System32': directory,
    'Files/Windows/System32/license.rtf': '{\\rtf1 sample}',
    Hives: directory,
    'Hives/System_Delta': noise(8192, 'hive'),
  })
  return makeImage([layer], { platform: { os: 'windows', architecture: 'amd64', 'os.version': '10.0.20348.169' } })
}

/** An index of `platforms`, this machine's Linux platform and two others unless told; each image has one layer. */
export async function multiPlatformImage(
  platforms: readonly Platform[] = [
    hostPlatform(),
    { os: 'linux', architecture: 's390x' },
    { os: 'linux', architecture: 'arm', variant: 'v7' },
  ],
): Promise<TestImage> {
  const blobs = new MemoryBlobs()
  const images: TestImage[] = []
  for (const platform of platforms) {
    const text = JSON.stringify(platform)
    const layer = await makeLayer({ 'platform.json': text, data: noise(20_000, text) })
    images.push(makeImage([layer], { platform, blobs, config: { config: { Cmd: ['/none'] } } }))
  }
  const [first] = images
  if (!first) throw new TypeError('an index needs a platform')
  const manifests = images.map((image, n) => ({ ...image.root, platform: platforms[n] }))
  const index = blobs.add(OCI_INDEX, json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }))
  return { ...first, root: index }
}

/** An entry of an index: what buildkit attests of the manifest `about`. */
export function addAttestation(blobs: MemoryBlobs, about: Digest | undefined): Descriptor {
  const statement = blobs.add('application/vnd.in-toto+json', json({ predicateType: 'https://slsa.dev/provenance/v1' }))
  const unknown = { os: 'unknown', architecture: 'unknown' }
  const rootfs = { type: 'layers', diff_ids: [statement.digest] }
  const config = blobs.add(OCI_CONFIG, json({ ...unknown, config: {}, rootfs }))
  const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [statement] }
  return {
    ...blobs.add(OCI_MANIFEST, json(manifest)),
    platform: unknown,
    annotations: {
      'vnd.docker.reference.type': 'attestation-manifest',
      'vnd.docker.reference.digest': about ?? '',
    },
  }
}

/** Writes an OCI image layout of `images` by name into `directory`, which is made. Wrong bytes are written as they are. */
export async function writeLayout(directory: string, images: Readonly<Record<string, TestImage>>): Promise<void> {
  await mkdir(join(directory, 'blobs', 'sha256'), { recursive: true })
  const manifests: Descriptor[] = []
  for (const [name, image] of Object.entries(images)) {
    const reference = parseReference(name)
    manifests.push(namedDescriptor(image.root, reference, reference.tag ?? name))
    for (const digest of image.blobs.digests()) {
      const path = join(directory, blobPath(digest))
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, image.blobs.get(digest))
    }
  }
  await writeFile(join(directory, LAYOUT_FILE), LAYOUT_BYTES)
  await writeFile(join(directory, INDEX_FILE), json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }))
}

/** Linux on the processor of this machine, in the words of OCI. */
export function hostPlatform(): Platform {
  return { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch }
}

/** `size` bytes that look random and are always the same for `seed`. */
export function noise(size: number, seed: string): Uint8Array {
  const bytes = Buffer.alloc(size)
  let state = Number.parseInt(digestOf(Buffer.from(seed)).slice(7, 15), 16) | 1
  for (let n = 0; n < size; n++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[n] = state
  }
  return bytes
}

/** The same bytes with one bit of the byte in the middle turned over. */
export function flipped(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes)
  const middle = copy.length >> 1
  copy[middle] = (copy[middle] ?? 0) ^ 1
  return copy
}

/** Debian's busybox-static: the least that runs. */
export async function busyboxLayer(): Promise<TestLayer> {
  const path = '/bin/busybox'
  const content = await readFile(path).catch((error: unknown) => {
    throw new Error(`${path} is needed for an image that runs: apt-get install busybox-static`, { cause: error })
  })
  const directory = { header: { type: 'directory', mode: 0o755 } } as const
  return await makeLayer({ bin: directory, 'bin/busybox': { header: { mode: 0o755 }, content }, tmp: directory })
}

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}
