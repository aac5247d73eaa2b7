/** A page about the images at any location, for a browser. */
import type { FetchOptions } from '../blob/blob-store.js'
import { pageOfBundle } from '../bundle/page.js'
import { bundleOf } from '../bundle/reader.js'
import { abortError } from '../errors.js'
import { thisGenerator } from '../generator.js'
import type { ImageSource } from '../image/image-source.js'
import { type InspectedImage, readInspection } from '../image/inspection.js'
import { parsePlatformSelector } from '../oci/platform.js'
import type { PageContents, PageVolumes } from '../page/contents.js'
import { renderPage } from '../page/page.js'
import { readSource } from '../transfer/read-source.js'
import { formatLocation, transportOf } from '../transport/location.js'
import { sourceLocation } from '../transport/source-location.js'
import type { Location } from '../transport/transport.js'
import { findVolumes } from '../volumes/find.js'
import { inspect, type InspectOptions } from './inspect.js'

/**
 * One HTML file about what is at `location`, with what describes its images if the location can be asked for that; of a
 * whole bundle, also how to check and load it. No layer is read. Throws like
 * {@link inspect}.
 */
export async function inspectPage(location: string, options: InspectOptions = {}): Promise<Uint8Array> {
  const place = await sourceLocation(location)
  try {
    if (transportOf(place).inspect) return renderPage(pageOf(place, (await inspect(location, options)).images))
    return renderPage(await readSource(place, options, async source => await readContents(place, source, options)))
  } catch (error) {
    throw abortError(error, options.signal)
  }
}

async function readContents(
  place: Location,
  source: ImageSource,
  { platforms = [], ...options }: InspectOptions,
): Promise<PageContents> {
  const selectors = platforms.map(parsePlatformSelector)
  const images: InspectedImage[] = []
  for (const image of await source.images(options))
    images.push((await readInspection(source, image, selectors, options)).image)
  const bundle = bundleOf(source)
  if (bundle && place.ref === undefined && selectors.length === 0)
    return pageOfBundle(bundle.manifest, images, {
      keys: bundle.signatures.signatures.flatMap(({ keyId }) => keyId ?? []),
      volumes: await volumesAt(place.path),
    })
  const known = new Set(images.map(({ root }) => root?.digest))
  const referrers = (await Promise.all(images.map(async image => await referrersOf(source, image, options)))).flat()
  return pageOf(place, [...images, ...referrers.filter(({ root }) => !known.has(root?.digest))])
}

/** What describes the image or one of its manifests, each with that as its subject. */
async function referrersOf(
  source: ImageSource,
  { root, platforms }: InspectedImage,
  options: FetchOptions,
): Promise<readonly InspectedImage[]> {
  const manifests = new Map(
    [root, ...platforms.map(({ manifest }) => manifest)].flatMap(each => (each ? [[each.digest, each] as const] : [])),
  )
  const found = new Map<string, InspectedImage>()
  for (const subject of manifests.values()) {
    for (const referrer of (await source.referrers?.(subject, options)) ?? []) {
      if (found.has(referrer.root.digest)) continue
      const { image } = await readInspection(source, referrer, [], options)
      const { mediaType, digest, size } = subject
      found.set(referrer.root.digest, {
        ...image,
        ...(image.root ? { root: { ...image.root, subject: { mediaType, digest, size } } } : {}),
      })
    }
  }
  return [...found.values()]
}

function pageOf(place: Location, images: readonly InspectedImage[]): PageContents {
  return {
    place: { type: 'location', location: formatLocation(place) },
    generator: thisGenerator(),
    images,
    size: sizeOfAll(images),
  }
}

/** Of all blobs that are known, each counted once. */
function sizeOfAll(images: readonly InspectedImage[]): number | undefined {
  const [only, ...more] = images
  if (!only || more.length === 0) return only?.size
  const blobs = new Map<string, number>()
  for (const { root, id, size, platforms, others } of images) {
    if (size === undefined) return undefined
    if (!root) blobs.set(id ?? '', size)
    else blobs.set(root.digest, root.size)
    for (const { manifest, config, layers } of platforms)
      for (const blob of [manifest, config, ...layers])
        if (blob?.digest !== undefined) blobs.set(blob.digest, blob.size ?? 0)
    for (const other of others) blobs.set(other.manifest.digest, other.size)
  }
  return [...blobs.values()].reduce((sum, size) => sum + size, 0)
}

async function volumesAt(path: string): Promise<PageVolumes | undefined> {
  const found = await findVolumes([path])
  const size = found?.volumes.get(1)?.size
  if (found?.count === undefined || found.total === undefined || size === undefined) return undefined
  return { name: found.tar, count: found.count, size, total: found.total }
}
