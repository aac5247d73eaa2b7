/** Proves that a destination has what deltas leave out, before anything is written to it. */
import type { BlobStore } from '../blob/blob-store.js'
import type { ImageContent } from '../blob/closure.js'
import { StowageError } from '../errors.js'
import type { DestinationSurvey, ExpectedImage } from '../image/destination-survey.js'
import type { Digest } from '../oci/digest.js'
import { familiarReference, type Reference } from '../oci/reference.js'
import type { Registries } from '../registry/registries.js'
import { formatSize } from '../size-text.js'
import { formatLocation, transportOf } from '../transport/location.js'
import type { Location } from '../transport/transport.js'
import type { TransferOptions } from './options.js'

/** An image that was read except for its layers, some of which its source may leave out. */
export interface PartialImage {
  readonly blobs: BlobStore
  readonly content: ImageContent
  readonly names: readonly Reference[]
}

/** What is not at a destination although a delta leaves it out. */
export interface MissingBase {
  readonly layers: readonly MissingLayer[]
  /** Names of images that are not there, or are other images there. */
  readonly images: readonly Reference[]
}

export interface MissingLayer {
  readonly digest: Digest
  readonly size: number
  /** The images that need it, by name or digest. */
  readonly images: readonly string[]
}

/**
 * What the destination lacks of the layers that the sources of `images` leave out, and of `expected`. Throws UNSUPPORTED
 * for a destination that needs every image whole.
 */
export async function findMissingBase(
  location: Location,
  registries: Registries,
  images: readonly PartialImage[],
  expected: readonly ExpectedImage[],
  { host, sparse, signal, onProgress }: TransferOptions,
): Promise<MissingBase> {
  const partial = images.filter(({ blobs, content }) => content.layers.some(({ digest }) => blobs.leftOut?.has(digest)))
  if (partial.length === 0 && expected.length === 0) return { layers: [], images: [] }
  onProgress?.({ type: 'stage', stage: 'verify', subject: formatLocation(location) })
  await using survey = await openSurvey(location, registries, { host, sparse, signal })
  if (!survey?.lacking || !survey.unnamed) throw needsAll(location)
  const layers = new Map<Digest, MissingLayer>()
  for (const { blobs, content, names } of partial) {
    const { leftOut = new Map() } = blobs
    const [name] = names
    for (const digest of await survey.lacking(content, names, leftOut, { signal })) {
      const size = content.layers.find(layer => layer.digest === digest)?.size ?? 0
      const users = [...(layers.get(digest)?.images ?? []), name ? familiarReference(name) : content.root.digest]
      layers.set(digest, { digest, size, images: users })
    }
  }
  const lost: Reference[] = []
  for (const image of expected) lost.push(...(await survey.unnamed(image, { signal })))
  return { layers: [...layers.values()], images: lost }
}

async function openSurvey(
  location: Location,
  registries: Registries,
  options: Pick<TransferOptions, 'host' | 'sparse' | 'signal'>,
): Promise<DestinationSurvey | undefined> {
  return await transportOf(location).destination?.survey?.(location, { registries, ...options })
}

function needsAll(location: Location): StowageError {
  return new StowageError('UNSUPPORTED', `${formatLocation(location)} takes only whole images, not those of a delta`, {
    hint: 'Make a whole bundle first: stowage merge BASE DELTA -o OUTPUT.',
  })
}

/** Names to show in a message. */
const SHOWN = 5

/** Throws BASE_MISSING, naming what is missing, if anything is. `delta` names it, `to` is its destination. */
export function expectBase({ layers, images }: MissingBase, delta: string, to: string): void {
  if (layers.length === 0 && images.length === 0) return
  const size = layers.reduce((sum, layer) => sum + layer.size, 0)
  const users = [...new Set(layers.flatMap(layer => layer.images))]
  const parts = [
    ...(images.length > 0 ? [`images: ${some(images.map(familiarReference))}`] : []),
    ...(layers.length > 0
      ? [`layers: ${some(layers.map(({ digest }) => digest))} (${formatSize(size)}), which ${some(users)} needs`]
      : []),
  ]
  throw new StowageError('BASE_MISSING', `${to} does not have what ${delta} leaves out: ${parts.join('; ')}`, {
    hint: 'Nothing was written. Load the bundle that has the rest first; or make a new inventory there, "stowage inventory > FILE", and pack with that.',
  })
}

function some(texts: readonly string[]): string {
  const more = texts.length > SHOWN ? ` and ${texts.length - SHOWN} more` : ''
  return `${texts.slice(0, SHOWN).join(', ')}${more}`
}
