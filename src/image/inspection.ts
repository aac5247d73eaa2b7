/** Describes an image from its manifests and configs alone: no layer is fetched. */
import pMap from 'p-map'
import type { BlobStore, FetchOptions } from '../blob/blob-store.js'
import { DEPTH_LIMIT, isImage } from '../blob/closure.js'
import { readVerified } from '../blob/verified.js'
import { StowageError } from '../errors.js'
import { CONFIG_LIMIT, parseRunnableConfig } from '../oci/config.js'
import { type ConfigDetails, parseConfigDetails } from '../oci/config-details.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { optionalString, parseJson, record, stringMap } from '../oci/json.js'
import { type ImageManifest, MANIFEST_LIMIT, parseManifest } from '../oci/manifest.js'
import { isImageConfig, isIndex, isManifest } from '../oci/media-type.js'
import { formatPlatform, matchesPlatform, type Platform } from '../oci/platform.js'
import { formatReference } from '../oci/reference.js'
import type { SourceImage } from './image-source.js'

export interface InspectedImage {
  /** Full references. */
  readonly names: readonly string[]
  /** The image ID in an engine; elsewhere `root` identifies the image. */
  readonly id?: string
  /** Its manifest or index; left out for an engine, a WIM or a directory. */
  readonly root?: InspectedManifest
  /**
   * In bytes: all blobs that were inspected, each counted once; for an engine, the size that it reports. Left out for a
   * WIM or a directory, whose layer is not created yet.
   */
  readonly size?: number
  /** The runnable images, one per platform. */
  readonly platforms: readonly InspectedPlatform[]
  /** Attestations, artifacts and anything else in the index that is not a runnable image. */
  readonly others: readonly InspectedArtifact[]
  /** Manifests that the index lists but the source does not have. */
  readonly absent: readonly Descriptor[]
  /** Set for an image in a WIM. */
  readonly wim?: InspectedWim
}

export interface InspectedManifest {
  readonly mediaType: string
  readonly digest: Digest
  /** Size of the document itself, in bytes. */
  readonly size: number
  readonly artifactType?: string
  readonly annotations: Readonly<Record<string, string>>
  /** The manifest that this one describes. */
  readonly subject?: Descriptor
}

export interface InspectedPlatform extends ConfigDetails {
  readonly platform: Platform
  readonly manifest?: InspectedManifest
  readonly config?: Descriptor
  /** Base first. */
  readonly layers: readonly InspectedLayer[]
  /** Manifest, config and layers, in bytes. */
  readonly size?: number
}

export interface InspectedLayer {
  /** These three describe the blob; an engine reports only `diffId`. */
  readonly mediaType?: string
  readonly digest?: Digest
  readonly size?: number
  readonly diffId?: string
  /** Where a foreign layer can be downloaded. */
  readonly urls?: readonly string[]
}

export interface InspectedArtifact {
  readonly type: 'attestation' | 'artifact' | 'unknown'
  readonly manifest: InspectedManifest
  /** The digest of the manifest that it describes. */
  readonly about?: string
  /** What its statements are about, for example `https://spdx.dev/Document`, each once. */
  readonly predicateTypes?: readonly string[]
  /** Size of its manifest and blobs, in bytes. */
  readonly size: number
}

/** A manifest, and all blobs that belong to it: either of the two is set. */
export interface DescribedManifest {
  readonly platform?: InspectedPlatform
  readonly other?: InspectedArtifact
  readonly blobs: readonly Descriptor[]
}

export interface InspectedWim {
  readonly path: string
  /** From 1. */
  readonly index: number
  readonly name: string
  readonly description?: string
  readonly productName?: string
  readonly editionId?: string
  readonly installationType?: string
  readonly languages: readonly string[]
  readonly directories: number
  readonly files: number
  /** Of all files, in bytes. */
  readonly size: number
  /** Of the layer that is made of it with gzip, in bytes, by an estimate. */
  readonly layerSize: number
}

/** A runnable image, with the bytes of its manifest and config. */
export interface ReadPlatform {
  readonly inspected: InspectedPlatform
  readonly manifest: Uint8Array
  readonly config: Uint8Array
}

export interface ReadInspection {
  readonly image: InspectedImage
  /** The root's bytes, unchanged. */
  readonly root: Uint8Array
  readonly platforms: readonly ReadPlatform[]
}

/** Manifests to read at a time. */
const AT_ONCE = 4

/** What was found at one descriptor, and the blobs that belong to it. */
interface Found {
  readonly platform?: ReadPlatform
  readonly other?: InspectedArtifact
  readonly absent?: Descriptor
  readonly blobs: readonly Descriptor[]
}

/**
 * Reads `image` from `store`. With `selectors`, skips the platforms that match none of them. Every document is checked
 * against its digest. Throws IMAGE_NOT_FOUND if no platform matches, INVALID_MANIFEST, DIGEST_MISMATCH, and what the
 * store throws.
 */
export async function readInspection(
  store: BlobStore,
  image: SourceImage,
  selectors: readonly Partial<Platform>[] = [],
  options: FetchOptions = {},
): Promise<ReadInspection> {
  const fits = (platform: Platform): boolean =>
    selectors.length === 0 || selectors.some(selector => matchesPlatform(platform, selector))
  const passedOver = new Set<string>()
  const seen = new Set<string>()

  async function visit(descriptor: Descriptor, depth: number): Promise<readonly Found[]> {
    if (depth > DEPTH_LIMIT)
      throw new StowageError('INVALID_MANIFEST', `${image.root.digest}: indexes nested over ${DEPTH_LIMIT} deep`)
    if (seen.has(descriptor.digest)) return []
    seen.add(descriptor.digest)
    let bytes: Uint8Array
    try {
      bytes = await readVerified(descriptor, store.fetch(descriptor, options), MANIFEST_LIMIT)
    } catch (error) {
      if (depth === 0 || !(error instanceof StowageError) || error.code !== 'BLOB_MISSING') throw error
      return [{ absent: descriptor, blobs: [] }]
    }
    const parsed = parseManifest(bytes, descriptor.digest, descriptor.mediaType)
    if (parsed.type === 'manifest') return [await visitManifest(descriptor, bytes, parsed)]
    const below = await pMap(
      parsed.manifests,
      async child => {
        const known = child.platform
        if (known && known.os !== 'unknown' && !fits(known)) {
          passedOver.add(formatPlatform(known))
          return []
        }
        if (selectors.length > 0 && known?.os === 'unknown') return []
        if (isIndex(child.mediaType) || isManifest(child.mediaType)) return await visit(child, depth + 1)
        return [{ other: describeUnknown(child), blobs: [child] }]
      },
      { concurrency: depth === 0 ? AT_ONCE : 1 },
    )
    return [{ blobs: [descriptor] }, ...below.flat()]
  }

  async function visitManifest(descriptor: Descriptor, bytes: Uint8Array, manifest: ImageManifest): Promise<Found> {
    const config = isRunnable(descriptor, manifest)
      ? await readVerified(manifest.config, store.fetch(manifest.config, options), CONFIG_LIMIT)
      : undefined
    const found = describeManifest(descriptor, bytes, manifest, config)
    if (!found.platform || fits(found.platform.platform)) {
      return {
        blobs: found.blobs,
        ...(found.other ? { other: found.other } : {}),
        ...(found.platform && config ? { platform: { inspected: found.platform, manifest: bytes, config } } : {}),
      }
    }
    passedOver.add(formatPlatform(found.platform.platform))
    return { blobs: [] }
  }

  const root = await readVerified(image.root, store.fetch(image.root, options), MANIFEST_LIMIT)
  const parsed = parseManifest(root, image.root.digest, image.root.mediaType)
  const found = await visit(image.root, 0)
  const platforms = found.flatMap(({ platform }) => platform ?? [])
  if (selectors.length > 0 && platforms.length === 0) {
    throw new StowageError(
      'IMAGE_NOT_FOUND',
      `${image.names[0] ? formatReference(image.names[0]) : image.root.digest} has no image for the requested platforms`,
      {
        hint: passedOver.size > 0 ? `It has ${[...passedOver].join(', ')}.` : undefined,
      },
    )
  }
  return {
    image: {
      names: image.names.map(formatReference),
      root: inspectedManifest(image.root, root, parsed.type === 'manifest' ? parsed.subject : undefined),
      size: sum(found.flatMap(({ blobs }) => blobs)),
      platforms: platforms.map(({ inspected }) => inspected),
      others: found.flatMap(({ other }) => other ?? []),
      absent: found.flatMap(({ absent }) => absent ?? []),
    },
    root,
    platforms,
  }
}

/** Whether a manifest of an image has a config that says how it runs. */
export function isRunnable(descriptor: Descriptor, { config }: ImageManifest): boolean {
  return isImage(descriptor, config) && descriptor.annotations?.['vnd.docker.reference.type'] === undefined
}

/** What a manifest is: an image for one platform, if it has a `config` that says so, or something else. */
export function describeManifest(
  descriptor: Descriptor,
  bytes: Uint8Array,
  manifest: ImageManifest,
  config: Uint8Array | undefined,
): DescribedManifest {
  const inspected = inspectedManifest(descriptor, bytes, manifest.subject)
  const blobs = [descriptor, manifest.config, ...manifest.layers]
  const size = sum(blobs)
  const parsed = config && parseRunnableConfig(config, manifest.config.digest)
  if (config && parsed) {
    const { platform, diffIds } = parsed
    const layers = manifest.layers.map(({ mediaType, digest, size, urls }, n): InspectedLayer => {
      const diffId = diffIds[n]
      return { mediaType, digest, size, ...(diffId === undefined ? {} : { diffId }), ...(urls ? { urls } : {}) }
    })
    const details = parseConfigDetails(config, manifest.config.digest)
    const { mediaType, digest, size: configSize } = manifest.config
    return {
      platform: {
        platform,
        manifest: inspected,
        config: { mediaType, digest, size: configSize },
        ...details,
        layers,
        size,
      },
      blobs,
    }
  }
  const reference = descriptor.annotations?.['vnd.docker.reference.type']
  const about = descriptor.annotations?.['vnd.docker.reference.digest'] ?? manifest.subject?.digest
  const kind =
    inspected.artifactType ?? (isImageConfig(manifest.config.mediaType) ? undefined : manifest.config.mediaType)
  const predicates = manifest.layers.flatMap(({ annotations }) => annotations?.['in-toto.io/predicate-type'] ?? [])
  return {
    other: {
      type: reference === 'attestation-manifest' ? 'attestation' : 'artifact',
      manifest: { ...inspected, ...artifactType(kind) },
      ...(about === undefined ? {} : { about }),
      ...(predicates.length > 0 ? { predicateTypes: [...new Set(predicates)] } : {}),
      size,
    },
    blobs,
  }
}

/** What an index lists that is no manifest. */
export function describeUnknown({
  mediaType,
  digest,
  size,
  annotations = {},
  artifactType: kind,
}: Descriptor): InspectedArtifact {
  return { type: 'unknown', manifest: { mediaType, digest, size, annotations, ...artifactType(kind) }, size }
}

/** The annotations are those of the document, not those that an index has for it. */
export function inspectedManifest(
  { mediaType, digest, size }: Descriptor,
  bytes: Uint8Array,
  subject: Descriptor | undefined,
): InspectedManifest {
  const object = record(parseJson(bytes, digest), digest)
  return {
    mediaType,
    digest,
    size,
    ...artifactType(optionalString(object, 'artifactType', digest)),
    annotations: stringMap(object, 'annotations', digest) ?? {},
    ...(subject ? { subject } : {}),
  }
}

function artifactType(type: string | undefined): { readonly artifactType?: string } {
  return type === undefined || type === '' ? {} : { artifactType: type }
}

/** Total size of the blobs, each counted once. */
export function sum(blobs: readonly Descriptor[]): number {
  return [...new Map(blobs.map(blob => [blob.digest, blob.size])).values()].reduce((total, size) => total + size, 0)
}
