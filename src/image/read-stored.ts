/** Reads the images of a blob store from their manifests and configs: no layer is read. */
import type { BlobStore, FetchOptions } from '../blob/blob-store.js'
import { DEPTH_LIMIT, isImage } from '../blob/closure.js'
import { readVerified } from '../blob/verified.js'
import { abortError, StowageError } from '../errors.js'
import { CONFIG_LIMIT, parseRunnableConfig } from '../oci/config.js'
import { type ConfigDetails, parseConfigDetails } from '../oci/config-details.js'
import type { Descriptor } from '../oci/descriptor.js'
import { identityOf } from '../oci/image-identity.js'
import { type ImageManifest, MANIFEST_LIMIT, parseManifest } from '../oci/manifest.js'
import { isIndex, isManifest } from '../oci/media-type.js'
import { matchesPlatform } from '../oci/platform.js'
import { formatReference, type Reference } from '../oci/reference.js'
import type { HistoryStep, StoredImage, StoredPlatform } from './image-store.js'

interface ReadPlatform {
  readonly stored: StoredPlatform
  readonly history: ConfigDetails['history']
  readonly layers: readonly Descriptor[]
}

/** The parts of a {@link StoredImage} that do not depend on its names. */
export interface StoredContent {
  readonly facts: Pick<StoredImage, 'type' | 'size' | 'platforms' | 'created' | 'error'>
  /** The history of the first platform, oldest step first. */
  readonly history: ConfigDetails['history']
  /** The same steps with the sizes of their layers, newest first. */
  readonly steps: readonly HistoryStep[]
}

/** Reads the image `root`. A defect is reported in `error`; only ABORTED is thrown. */
export async function readStored(
  store: BlobStore,
  root: Descriptor,
  options: FetchOptions = {},
): Promise<StoredContent> {
  const blobs = new Map<string, number>()
  const seen = new Set<string>()
  const platforms: ReadPlatform[] = []
  try {
    await visit(root, 0)
  } catch (error) {
    const told = abortError(error, options.signal)
    if (!(told instanceof StowageError) || told.code === 'ABORTED') throw told
    return { facts: { type: 'image', size: 0, platforms: [], error: told }, history: [], steps: [] }
  }
  const size = [...blobs.values()].reduce((sum, each) => sum + each, 0)
  const [main, ...others] = ownFirst(platforms)
  if (!main) return { facts: { type: 'artifact', size, platforms: [] }, history: [], steps: [] }
  const facts = { type: 'image' as const, size, platforms: [main, ...others].map(({ stored }) => stored) }
  return { facts: { ...facts, ...created(main.stored.created) }, history: main.history, steps: stepsOf(main, root) }

  async function visit(descriptor: Descriptor, depth: number): Promise<void> {
    if (seen.has(descriptor.digest)) return
    seen.add(descriptor.digest)
    if (depth > DEPTH_LIMIT)
      throw new StowageError('INVALID_MANIFEST', `${root.digest}: indexes nested over ${DEPTH_LIMIT} deep`)
    let bytes: Uint8Array
    try {
      bytes = await readVerified(descriptor, store.fetch(descriptor, options), MANIFEST_LIMIT)
    } catch (error) {
      if (depth > 0 && error instanceof StowageError && error.code === 'BLOB_MISSING') return // a platform left out
      throw error
    }
    blobs.set(descriptor.digest, descriptor.size)
    const parsed = parseManifest(bytes, descriptor.digest, descriptor.mediaType)
    if (parsed.type === 'manifest') {
      await visitManifest(descriptor, parsed)
      return
    }
    for (const child of parsed.manifests) {
      if (isIndex(child.mediaType) || isManifest(child.mediaType)) await visit(child, depth + 1)
    }
  }

  async function visitManifest(descriptor: Descriptor, manifest: ImageManifest): Promise<void> {
    for (const blob of [manifest.config, ...manifest.layers]) blobs.set(blob.digest, blob.size)
    if (!isImage(descriptor, manifest.config)) return
    const { digest } = manifest.config
    const config = await readVerified(manifest.config, store.fetch(manifest.config, options), CONFIG_LIMIT)
    const parsed = parseRunnableConfig(config, digest)
    if (!parsed) return
    const { platform, diffIds, created: at } = parsed
    const { labels, history } = parseConfigDetails(config, digest)
    platforms.push({ stored: { platform, diffIds, labels, ...created(at) }, history, layers: manifest.layers })
  }
}

/** An image of a blob store, with its names. */
export function storedImage(
  root: Descriptor,
  names: readonly Reference[],
  refNames: readonly string[],
  { facts, history }: StoredContent,
): StoredImage {
  const [main] = facts.platforms
  return {
    id: root.digest,
    names: names.map(formatReference),
    refNames,
    digests: [...new Set(names.map(({ domain, path }) => formatReference({ domain, path, digest: root.digest })))],
    ...facts,
    ...identityOf(
      { labels: main?.labels ?? {}, history },
      main?.platform ?? { os: '', architecture: '' },
      main?.diffIds.length ?? 0,
      names,
    ),
  }
}

/** Puts the platform of this machine first. */
function ownFirst(platforms: readonly ReadPlatform[]): readonly ReadPlatform[] {
  const os = process.platform === 'win32' ? 'windows' : 'linux'
  const architecture = ({ x64: 'amd64', ia32: '386' } as Readonly<Record<string, string>>)[process.arch] ?? process.arch
  const own = platforms.find(({ stored: { platform } }) => matchesPlatform(platform, { os, architecture }))
  return own ? [own, ...platforms.filter(platform => platform !== own)] : platforms
}

/**
 * Each step that created a layer gets the next one. Layers without a step become steps of their own, on top of the
 * others.
 */
function stepsOf({ history, layers }: ReadPlatform, { digest }: Descriptor): readonly HistoryStep[] {
  const left = [...layers]
  const told = history.map(({ created: at, createdBy = '', comment = '', emptyLayer }) => ({
    ...created(at),
    createdBy,
    size: emptyLayer ? 0 : (left.shift()?.size ?? 0),
    comment,
  }))
  const steps: HistoryStep[] = [...told, ...left.map(({ size }) => ({ createdBy: '', size, comment: '' }))].reverse()
  const [last, ...before] = steps
  return last ? [{ id: digest, ...last }, ...before] : []
}

function created(at: string | undefined): { readonly created?: string } {
  return at === undefined ? {} : { created: at }
}
