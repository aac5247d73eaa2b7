/** Everything an image refers to: its manifests and configs with their bytes, and its layers. */
import { StowageError } from '../errors.js'
import { CONFIG_LIMIT, type ImageConfig, parseRunnableConfig } from '../oci/config.js'
import { type Descriptor, eachOnce } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { type ImageManifest, MANIFEST_LIMIT, parseManifest } from '../oci/manifest.js'
import { isImageConfig, isIndex, isManifest } from '../oci/media-type.js'
import { type BlobStore, type FetchOptions } from './blob-store.js'
import { readVerified } from './verified.js'

/** A small blob with its bytes, exactly as it was found. */
export interface Document {
  readonly descriptor: Descriptor
  readonly bytes: Uint8Array
}

/** One manifest that is an image for one platform. */
export interface PlatformImage {
  readonly descriptor: Descriptor
  readonly manifest: ImageManifest
  readonly config: ImageConfig
}

/** A complete image: everything a copy must include. */
export interface ImageContent {
  readonly root: Descriptor
  /** Manifests and indexes, each after everything it refers to; the root is last. */
  readonly manifests: readonly Document[]
  /** Configs, in manifest order. */
  readonly configs: readonly Document[]
  /** Layers and other blobs that are not read here, each once, in manifest order. */
  readonly layers: readonly Descriptor[]
  /** The runnable images among `manifests`, without attestations and artifacts. */
  readonly platforms: readonly PlatformImage[]
  /** Manifests that an index of the image lists but that are left out. */
  readonly absent: readonly Descriptor[]
}

/** What may be read of manifests and configs: their bytes, and the blobs that they list. */
interface DocumentLimits {
  /** In bytes. */
  readonly size: number
  readonly references: number
}

/** Counts what is read of manifests and configs: they can refer to one another in more ways than anyone can follow. */
export class DocumentBudget {
  readonly #whose: string
  readonly #limits: DocumentLimits
  readonly #spent = { size: 0, references: 0 }

  /** `whose` names them in errors. */
  constructor(whose: string, limits: DocumentLimits) {
    this.#whose = whose
    this.#limits = limits
  }

  /** Throws INVALID_MANIFEST if that is more than the limit. */
  spend(what: keyof DocumentLimits, count: number): void {
    this.#spent[what] += count
    const [spent, limit] = [this.#spent[what], this.#limits[what]]
    if (spent <= limit) return
    throw new StowageError(
      'INVALID_MANIFEST',
      what === 'size'
        ? `${this.#whose}: manifests and configs of ${spent} bytes or more; the limit is ${limit}`
        : `${this.#whose}: manifests that list ${spent} blobs or more; the limit is ${limit}`,
    )
  }
}

export interface ReadImageOptions extends FetchOptions {
  /** Digests of manifests to leave out, although an index lists them. */
  readonly absent?: readonly Digest[] | undefined
  /** What all images of a source may take together; each has a limit of its own besides. */
  readonly budget?: DocumentBudget | undefined
}

/** How deep indexes may be nested; deeper nesting is treated as an attack. */
export const DEPTH_LIMIT = 8
/** What one image may have: the largest real ones have a hundredth of it. */
const IMAGE_LIMITS: DocumentLimits = { size: 64 * 1024 * 1024, references: 100_000 }

/**
 * Reads the manifests and configs below `root` from `store`, each checked against its digest.
 * Throws BLOB_MISSING, DIGEST_MISMATCH, SIZE_MISMATCH or INVALID_MANIFEST, naming the digest.
 */
export async function readImage(
  store: BlobStore,
  root: Descriptor,
  options: ReadImageOptions = {},
): Promise<ImageContent> {
  const leftOut = new Set(options.absent)
  const budgets = [new DocumentBudget(root.digest, IMAGE_LIMITS), ...(options.budget ? [options.budget] : [])]
  const absent = new Map<string, Descriptor>()
  const manifests = new Map<string, Document>()
  const configs = new Map<string, Document>()
  const layers = new Map<string, Descriptor>()
  const platforms: PlatformImage[] = []

  async function visit(descriptor: Descriptor, depth: number): Promise<void> {
    if (manifests.has(descriptor.digest)) return
    if (depth > DEPTH_LIMIT)
      throw new StowageError('INVALID_MANIFEST', `${root.digest}: indexes nested over ${DEPTH_LIMIT} deep`)
    for (const budget of budgets) budget.spend('size', descriptor.size)
    const bytes = await readVerified(descriptor, store.fetch(descriptor, options), MANIFEST_LIMIT)
    const parsed = parseManifest(bytes, descriptor.digest, descriptor.mediaType)
    const listed = parsed.type === 'index' ? parsed.manifests : parsed.layers
    for (const budget of budgets) budget.spend('references', listed.length)
    if (parsed.type === 'index') {
      for (const child of parsed.manifests) {
        if (leftOut.has(child.digest)) absent.set(child.digest, child)
        else if (isIndex(child.mediaType) || isManifest(child.mediaType)) await visit(child, depth + 1)
        else addLayer(child, descriptor.digest)
      }
    } else {
      await visitManifest(descriptor, parsed)
    }
    manifests.set(descriptor.digest, { descriptor: bare(descriptor), bytes })
  }

  async function visitManifest(descriptor: Descriptor, manifest: ImageManifest): Promise<void> {
    const config = manifest.config
    for (const budget of budgets) budget.spend('size', config.size)
    const bytes = await readVerified(config, store.fetch(config, options), CONFIG_LIMIT)
    configs.set(config.digest, { descriptor: bare(config), bytes })
    for (const layer of manifest.layers) addLayer(bare(layer), descriptor.digest)
    const parsed = isImage(descriptor, config) ? parseRunnableConfig(bytes, config.digest) : undefined
    if (!parsed) return
    if (parsed.diffIds.length !== manifest.layers.length) {
      throw new StowageError(
        'INVALID_MANIFEST',
        `${descriptor.digest} has ${manifest.layers.length} layers but its config ${config.digest} has ${parsed.diffIds.length} diff_ids`,
      )
    }
    platforms.push({ descriptor, manifest, config: parsed })
  }

  /** Every reference to a blob must state the same size: otherwise one of them would go unchecked. */
  function addLayer(layer: Descriptor, where: Digest): void {
    const known = layers.get(layer.digest)
    if (known && known.size !== layer.size) {
      throw new StowageError(
        'INVALID_MANIFEST',
        `${where} says ${layer.digest} has ${layer.size} bytes, but ${known.size} bytes were stated before`,
      )
    }
    layers.set(layer.digest, layer)
  }

  await visit(root, 0)
  return {
    root,
    manifests: [...manifests.values()],
    configs: [...configs.values()],
    layers: [...layers.values()],
    platforms,
    absent: [...absent.values()],
  }
}

/** Sum of all blobs of the image, in bytes. */
export function sizeOf(image: ImageContent): number {
  return blobsOf(image).reduce((sum, blob) => sum + blob.size, 0)
}

/** Merges two readings of the same image, each of which may leave out different platforms. */
export function mergeImages(one: ImageContent, other: ImageContent): ImageContent {
  const documents = (lists: readonly (readonly Document[])[]) => [
    ...new Map(lists.flat().map(document => [document.descriptor.digest, document])).values(),
  ]
  const inner = (image: ImageContent) =>
    image.manifests.filter(({ descriptor }) => descriptor.digest !== image.root.digest)
  const there = new Set([...one.manifests, ...other.manifests].map(({ descriptor }) => descriptor.digest))
  return {
    root: one.root,
    manifests: [
      ...documents([inner(one), inner(other)]),
      ...one.manifests.filter(({ descriptor }) => descriptor.digest === one.root.digest),
    ],
    configs: documents([one.configs, other.configs]),
    layers: eachOnce([...one.layers, ...other.layers]),
    platforms: [
      ...new Map(
        [...one.platforms, ...other.platforms].map(platform => [platform.descriptor.digest, platform]),
      ).values(),
    ],
    absent: one.absent.filter(({ digest }) => !there.has(digest)),
  }
}

/** Every blob of the image once: manifests, configs, layers. */
export function blobsOf({ manifests, configs, layers }: ImageContent): readonly Descriptor[] {
  return eachOnce([...[...manifests, ...configs].map(({ descriptor }) => descriptor), ...layers])
}

/** Attestations have the platform unknown/unknown; artifacts have a config that is not an image config. */
export function isImage({ platform }: Descriptor, config: Descriptor): boolean {
  return platform?.os !== 'unknown' && isImageConfig(config.mediaType)
}

/** The descriptor without annotations and platform, which belong to the reference and not to the blob. */
function bare({ annotations: _annotations, platform: _platform, ...blob }: Descriptor): Descriptor {
  return blob
}
