/** Encodes the files of a bundle that are not content: the heads, README.txt, bundle.json and SHA256SUMS. */
import { DOCKER_FILE, encodeDockerManifest, encodeIndex, type NamedImage } from '../archive/heads.js'
import type { SparseForm } from '../blob/stripped.js'
import { thisGenerator } from '../generator.js'
import { type Digest, digestOf } from '../oci/digest.js'
import { INDEX_FILE, LAYOUT_BYTES, LAYOUT_FILE } from '../oci/layout.js'
import type { Release } from '../signature/release.js'
import { CHECKSUMS_FILE, comparePaths, encodeChecksums } from './checksums.js'
import { type BundleAssumption, DELTA_DOCKER_MANIFEST, DELTA_LAYOUT } from './delta.js'
import {
  BUNDLE_FILE,
  type BundleManifest,
  describeImage,
  encodeBundleManifest,
  integrityOf,
  SCHEMA_VERSION,
} from './manifest.js'
import type { Documents } from './medium.js'
import { README_FILE, readmeBytes } from './readme.js'

/** Everything that decides what the documents say. */
export interface BundleContents {
  /** In their order, each root once. */
  readonly images: readonly NamedImage[]
  /** Blobs and carried files, by path; sizes in bytes. */
  readonly files: ReadonlyMap<string, { readonly size: number; readonly digest: Digest }>
  /** Referrers that are left behind, by the root of the image. */
  readonly undelivered: ReadonlyMap<Digest, readonly Digest[]>
  readonly assumes?: BundleAssumption | undefined
  readonly sparse?: SparseForm | undefined
  /** Seconds since 1970. */
  readonly epoch?: number | undefined
  readonly release?: Release | undefined
}

/** The documents of a bundle, and what its bundle.json says. `fit` makes a head what it is on the medium. */
export function encodeDocuments(
  { images, files, undelivered, assumes, sparse, epoch, release }: BundleContents,
  fit: (file: string, json: Uint8Array) => Uint8Array,
): { readonly documents: Documents; readonly manifest: BundleManifest } {
  const documents = new Map<string, Uint8Array>([
    [LAYOUT_FILE, assumes ? DELTA_LAYOUT : LAYOUT_BYTES],
    [INDEX_FILE, fit(INDEX_FILE, encodeIndex(images, sparse))],
    [DOCKER_FILE, fit(DOCKER_FILE, assumes ? DELTA_DOCKER_MANIFEST : encodeDockerManifest(images))],
    [README_FILE, readmeBytes(assumes !== undefined)],
  ])
  const listed = new Map(files)
  for (const [path, bytes] of documents) listed.set(path, { size: bytes.length, digest: digestOf(bytes) })
  const manifest: BundleManifest = {
    schemaVersion: SCHEMA_VERSION,
    generator: thisGenerator(),
    ...(epoch === undefined ? {} : { created: new Date(epoch * 1000).toISOString() }),
    ...(release ? { release } : {}),
    images: images.map(({ image, names }) => describeImage(image, names, sparse, undelivered.get(image.root.digest))),
    ...(assumes ? { assumes } : {}),
    files: [...listed]
      .sort(([a], [b]) => comparePaths(a, b))
      .map(([path, { size, digest }]) => ({ path, size, integrity: integrityOf(digest) })),
  }
  const bundle = encodeBundleManifest(manifest)
  const sums = new Map([...listed].map(([path, { digest }]) => [path, digest]))
  documents.set(BUNDLE_FILE, bundle)
  documents.set(CHECKSUMS_FILE, encodeChecksums(sums.set(BUNDLE_FILE, digestOf(bundle))))
  return { documents, manifest }
}
