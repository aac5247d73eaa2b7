/** How large a bundle will be, to the byte, and what else would be smaller. */
import { basename } from 'node:path'
import { type NamedImage, reserveHeads } from '../archive/heads.js'
import type { OutputSize } from '../archive/output-size.js'
import type { Advice } from '../archive/space.js'
import { type ImageContent, mergeImages } from '../blob/closure.js'
import { type SparseForm, strippedIndexes } from '../blob/stripped.js'
import { smallerWays } from '../image/smaller.js'
import type { ArchiveCompression } from '../oci/compression.js'
import { type Descriptor, eachOnce } from '../oci/descriptor.js'
import { type Digest, digestFromHex } from '../oci/digest.js'
import { blobPath, INDEX_FILE, LAYOUT_BYTES } from '../oci/layout.js'
import { namesOnce } from '../oci/reference.js'
import type { Release } from '../signature/release.js'
import { TAR_END } from '../tar/header.js'
import { filesOfSet, volumesOf } from '../volumes/description.js'
import { CHECKSUMS_FILE } from './checksums.js'
import { type BundleAssumption, DELTA_DOCKER_MANIFEST, DELTA_LAYOUT } from './delta.js'
import { encodeDocuments } from './documents.js'
import { inOrder, orderOf } from './image-order.js'
import { BUNDLE_FILE } from './manifest.js'
import type { BundleHeads } from './medium.js'
import { readmeBytes } from './readme.js'
import { TarLayout } from './tar-layout.js'

/** What a bundle will hold. */
export interface PlannedBundle {
  /** With all their layers, also those that are left out. */
  readonly images: readonly NamedImage[]
  /** Referrers that are left behind, by the root of the image. */
  readonly undelivered?: ReadonlyMap<Digest, readonly Digest[]> | undefined
  /** Carried files, by path in the bundle. */
  readonly files?: readonly CarriedSize[] | undefined
  readonly assumes?: BundleAssumption | undefined
  readonly sparse?: SparseForm | undefined
  readonly epoch?: number | undefined
  readonly release?: Release | undefined
  /** Number of further images, whose layers are created while packing. */
  readonly pendingImages?: number | undefined
}

export interface CarriedSize {
  readonly path: string
  /** In bytes. */
  readonly size: number
}

export interface BundleSize {
  /** All that are carried, in the order of a tar, each once. */
  readonly blobs: readonly Descriptor[]
  /** All other files, by path: their sizes, in a tar with the heads as they are padded there. */
  readonly others: ReadonlyMap<string, number>
  /** The size of the tar, if it is one. */
  readonly tar: number
}

/** Stands for any digest: all are equally long. */
const ANY = digestFromHex('0'.repeat(64))

/** Sizes of all files of `bundle`, as a directory or as a tar; without those that are pending. */
export function measureBundle(bundle: PlannedBundle, tar: boolean): BundleSize {
  const { files = [], assumes, sparse, epoch, release, undelivered = new Map() } = bundle
  const given = inOrder(bundle.images)
  const left = leftOut(assumes)
  const images = merged(given)
  const heads = headsOf(given, bundle)
  const blobs = eachOnce([
    ...orderOf(given.map(({ image }) => carriedOf(image, left))),
    ...images.flatMap(({ image }) => strippedIndexes(image, sparse).map(({ descriptor }) => descriptor)),
  ])
  const listed = new Map([
    ...blobs.map(({ digest, size }) => [blobPath(digest), { size, digest }] as const),
    ...files.map(({ path, size }) => [path, { size, digest: ANY }] as const),
  ])
  const padded = (file: string, json: Uint8Array): Uint8Array =>
    tar ? new Uint8Array(Math.max(json.length, file === INDEX_FILE ? heads.index : heads.docker)) : json
  const { documents } = encodeDocuments({ images, files: listed, undelivered, assumes, sparse, epoch, release }, padded)
  const others = new Map([
    ...[...documents].map(([path, { length }]) => [path, length] as const),
    ...files.map(({ path, size }) => [path, size] as const),
  ])
  return { blobs, others, tar: tar ? tarSize(heads, blobs, files, others, epoch) : 0 }
}

function tarSize(
  heads: BundleHeads,
  blobs: readonly Descriptor[],
  files: readonly CarriedSize[],
  others: ReadonlyMap<string, number>,
  epoch: number | undefined,
): number {
  const layout = new TarLayout(epoch ?? 0)
  layout.reserve(heads)
  layout.assign(blobs)
  const lists = [BUNDLE_FILE, CHECKSUMS_FILE].map(path => ({ path, size: others.get(path) ?? 0 }))
  for (const { path, size } of [...files, ...lists]) layout.append(layout.header(path, size), size)
  return layout.end + TAR_END.length
}

/** Sizes of the heads that a tar has room for. `given`: the images in their order. */
export function headsOf(
  given: readonly NamedImage[],
  { pendingImages = 0, assumes, sparse }: Pick<PlannedBundle, 'pendingImages' | 'assumes' | 'sparse'>,
): BundleHeads {
  const heads = reserveHeads(given, pendingImages, sparse)
  const delta = assumes !== undefined
  return {
    layout: (delta ? DELTA_LAYOUT : LAYOUT_BYTES).length,
    index: heads.index,
    docker: delta ? DELTA_DOCKER_MANIFEST.length : heads.docker,
    readme: readmeBytes(delta).length,
  }
}

/** `image` without the layers that are left out. */
export function carriedOf(image: ImageContent, left: ReadonlySet<Digest>): ImageContent {
  return left.size === 0 ? image : { ...image, layers: image.layers.filter(({ digest }) => !left.has(digest)) }
}

/** The layers that are left out. */
export function leftOut(assumes: BundleAssumption | undefined): ReadonlySet<Digest> {
  return new Set(assumes?.layers.map(({ digest }) => digest))
}

/** Images in their order, those of one root as one. */
function merged(images: readonly NamedImage[]): readonly NamedImage[] {
  const found = new Map<Digest, NamedImage>()
  for (const { image, names } of images) {
    const before = found.get(image.root.digest)
    found.set(
      image.root.digest,
      before
        ? { image: mergeImages(before.image, image), names: namesOnce([...before.names, ...names]) }
        : { image, names },
    )
  }
  return inOrder([...found.values()])
}

/** How the bundle is stored. */
export interface BundleForm {
  /** Of the bundle, as it was given. */
  readonly path: string
  readonly tar: boolean
  readonly volumeSize?: number | undefined
  /** Percent of recovery data. */
  readonly recovery?: number | undefined
  readonly compression?: ArchiveCompression | undefined
}

/** The files of a bundle, with recovery data. */
export interface StoredSize {
  readonly output: OutputSize
  /** Sizes of all files that are the bundle, and of those of the recovery data. */
  readonly bundle: readonly number[]
  readonly par2: readonly number[]
}

/** What a bundle of that size is when it is complete. `more`: bytes of layers whose sizes are estimates. */
export async function storedSize(
  { blobs, others, tar }: BundleSize,
  { path, tar: isTar, volumeSize, recovery = 0, compression }: BundleForm,
  more = 0,
): Promise<StoredSize> {
  const name = basename(path)
  const total = tar + more
  const files =
    volumeSize !== undefined
      ? filesOfSet(name, total, volumeSize)
      : isTar
        ? [{ name, size: compression ? atMost(total) : total }]
        : [
            ...blobs.map(({ digest, size }) => ({ name: blobPath(digest), size })),
            ...[...others].map(([path, size]) => ({ name: path, size })),
            ...(more > 0 ? [{ name: blobPath(ANY), size: more }] : []),
          ]
  const covered = files.filter(({ size }) => size > 0)
  const par2 = recovery > 0 ? (await import('../recovery/create-set.js')).recoverySizes(covered, recovery) : [] // rarely used
  const bundle = files.map(({ size }) => size)
  const sum = (sizes: readonly number[]): number => sizes.reduce((all, size) => all + size, 0)
  const output: OutputSize = {
    form: volumeSize === undefined ? (isTar ? 'tar' : 'directory') : 'volumes',
    size: sum(bundle) + sum(par2),
    files: bundle.length + par2.length,
    largest: Math.max(...bundle, ...par2),
    certainty: more > 0 ? 'estimate' : compression ? 'at most' : 'exact',
    ...(volumeSize === undefined ? {} : { volumes: { count: volumesOf(total, volumeSize).length, size: volumeSize } }),
    ...(recovery > 0 ? { recovery: sum(par2) } : {}),
  }
  return { output, bundle, par2 }
}

/** Of a compressed tar: what cannot be compressed grows a little. */
function atMost(size: number): number {
  return size + Math.ceil(size / 1000) + 1024
}

/** What would be smaller than `bundle`, for which there is no room: fewer platforms, or other compression. */
export function adviceFor(bundle: PlannedBundle, { tar, compression, path, volumeSize }: BundleForm): Advice {
  return {
    form: tar ? (compression || volumeSize !== undefined ? undefined : 'tar') : 'directory',
    ways: [
      ...(compression
        ? [`or do not compress it (-o ${path.replace(/\.[^.]*$/, '')}), which needs half of that while it is written`]
        : []),
      ...smallerWays(
        bundle.images.map(({ image }) => image),
        { leftOut: leftOut(bundle.assumes), pendingImages: bundle.pendingImages, zstd: true },
      ),
    ],
  }
}
