/** Selects the part of an image to read: some platforms of an index, or all of it. */
import { StowageError } from '../errors.js'
import { type Descriptor, eachOnce } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { MANIFEST_LIMIT, parseManifest } from '../oci/manifest.js'
import { isIndex, isManifest } from '../oci/media-type.js'
import { formatPlatform, matchesPlatform, type Platform, parsePlatformSelector } from '../oci/platform.js'
import type { BlobStore } from './blob-store.js'
import { DEPTH_LIMIT, type ImageContent, readImage, type ReadImageOptions } from './closure.js'
import { readVerified } from './verified.js'

/** BuildKit's annotation with the digest of the manifest that an attestation is about. */
const REFERENCE = 'vnd.docker.reference.digest'

export interface ReadPlatformsOptions extends ReadImageOptions {
  /** Each `os[/arch[/variant]][:os.version]`; all platforms if none is given. */
  readonly platforms?: readonly string[] | undefined
  /** What messages call the image; the digest by default. */
  readonly name?: string | undefined
  /** Keep the index, with the attestations of the platform, even if only one platform is selected. */
  readonly keepIndex?: boolean | undefined
}

/**
 * {@link readImage} for the selected platforms. If they match one manifest of an index, that manifest becomes the
 * image, as with skopeo and crane. If they match several, the index is kept byte for byte, the other manifests are left
 * out, and the attestations of the selected ones are included. Throws IMAGE_NOT_FOUND, listing the platforms present,
 * if one does not match, and INVALID_ARGUMENT if one is not a platform.
 */
export async function readPlatforms(
  store: BlobStore,
  root: Descriptor,
  options: ReadPlatformsOptions = {},
): Promise<ImageContent> {
  const { platforms = [], name = root.digest, keepIndex = false, ...reading } = options
  const selectors = platforms.map(text => ({ text, selector: parsePlatformSelector(text) }))
  if (selectors.length === 0) return await readImage(store, root, reading)
  if (!isIndex(root.mediaType)) {
    const image = await readImage(store, root, reading)
    expectAll(
      selectors,
      image.platforms.map(({ config }) => config.platform),
      name,
    )
    return image
  }
  const named = await manifestsOf(store, root, reading)
  const present = named.filter(({ digest }) => !reading.absent?.includes(digest))
  const runnable = present.filter(({ platform }) => platform !== undefined && platform.os !== 'unknown')
  expectAll(
    selectors,
    runnable.flatMap(({ platform }) => platform ?? []),
    name,
  )
  const chosen = runnable.filter(
    ({ platform }) => platform && selectors.some(({ selector }) => matchesPlatform(platform, selector)),
  )
  const [only, ...others] = eachOnce(chosen)
  if (only && others.length === 0 && !keepIndex) {
    const { annotations: _annotations, ...manifest } = only
    return await readImage(store, manifest, reading)
  }
  const kept = new Set(chosen.map(({ digest }) => digest))
  for (const { digest, annotations } of present) if (kept.has(annotations?.[REFERENCE] as Digest)) kept.add(digest)
  const absent = named.filter(({ digest }) => !kept.has(digest)).map(({ digest }) => digest)
  return await readImage(store, root, { ...reading, absent: [...(reading.absent ?? []), ...absent] })
}

/** All manifests in an index and its nested indexes, with their platforms. Digests in `seen` are not read again. */
async function manifestsOf(
  store: BlobStore,
  index: Descriptor,
  options: ReadImageOptions,
  seen = new Set<Digest>(),
  depth = 0,
): Promise<readonly Descriptor[]> {
  if (seen.has(index.digest)) return []
  seen.add(index.digest)
  const parsed = parseManifest(
    await readVerified(index, store.fetch(index, options), MANIFEST_LIMIT),
    index.digest,
    index.mediaType,
  )
  if (parsed.type !== 'index') return []
  const found: Descriptor[] = []
  for (const child of parsed.manifests) {
    if (isManifest(child.mediaType) && child.platform) {
      found.push(child)
    } else if (isManifest(child.mediaType)) {
      if (!seen.has(child.digest)) found.push(await withPlatform(store, child, options))
      seen.add(child.digest)
    } else if (isIndex(child.mediaType) && depth < DEPTH_LIMIT) {
      found.push(...(await manifestsOf(store, child, options, seen, depth + 1)))
    }
  }
  return found
}

/** An index need not state the platforms of its images; their configs do. */
async function withPlatform(store: BlobStore, manifest: Descriptor, options: ReadImageOptions): Promise<Descriptor> {
  if (options.absent?.includes(manifest.digest)) return manifest
  const [image] = (await readImage(store, manifest, options)).platforms
  return image ? { ...manifest, platform: image.config.platform } : manifest
}

function expectAll(
  selectors: readonly { readonly text: string; readonly selector: Partial<Platform> }[],
  there: readonly Platform[],
  name: string,
): void {
  const lost = selectors.find(({ selector }) => !there.some(platform => matchesPlatform(platform, selector)))
  if (!lost) return
  const has = [...new Set(there.map(formatPlatform))].join(', ')
  throw new StowageError('IMAGE_NOT_FOUND', `${name} has no image for ${lost.text}`, {
    hint: has === '' ? 'It is not a container image: omit --platform.' : `It has images for ${has}.`,
  })
}
