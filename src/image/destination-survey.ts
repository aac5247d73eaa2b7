/** What a destination has of an image, found without writing anything. */
import type { NamedImage } from '../archive/heads.js'
import type { OutputSize } from '../archive/output-size.js'
import type { Advice, Need } from '../archive/space.js'
import type { FetchOptions, LeftOutBlob } from '../blob/blob-store.js'
import type { ImageContent } from '../blob/closure.js'
import { type Descriptor, eachOnce } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import type { Reference } from '../oci/reference.js'

/** In bytes. */
export interface Measure {
  /** What writing the image would send. */
  readonly send: number
  /** What is there already. */
  readonly present: number
  /** Set if the sizes are not exact: the destination converts the image. */
  readonly estimate?: true
}

export interface MeasureOptions extends FetchOptions {
  /** Layers that the source leaves out, and the destination was found to have. */
  readonly leftOut?: ReadonlyMap<Digest, LeftOutBlob> | undefined
}

/** What writing takes on the disk. */
export interface PlannedWriting {
  /** What is there when it is complete; left out if it is added to what is there. */
  readonly output?: OutputSize | undefined
  readonly need: Need
  /** What else would fit. */
  readonly advice?: Advice | undefined
}

/** A destination that is only looked at. The caller disposes of it. */
export interface DestinationSurvey extends AsyncDisposable {
  /**
   * Measures `image` as write() would write it under `names`, after all images measured before. Throws what write()
   * throws before it sends anything.
   */
  measure(image: ImageContent, names: readonly Reference[], options?: MeasureOptions): Promise<Measure>
  /**
   * What writing all images that were measured takes; `more`: bytes besides, by an estimate. Left out by a destination
   * that is not on a disk of this machine, or cannot know.
   */
  writing?(more: number): Promise<PlannedWriting>
  /**
   * Those of `layers` that `image` needs under `names` and the destination does not have. Left out, with the next
   * method, by a destination that needs every image whole.
   */
  lacking?(
    image: ImageContent,
    names: readonly Reference[],
    layers: ReadonlyMap<Digest, LeftOutBlob>,
    options?: FetchOptions,
  ): Promise<readonly Digest[]>
  /** Those of the names of an image under which the destination does not have it whole. */
  unnamed?(image: ExpectedImage, options?: FetchOptions): Promise<readonly Reference[]>
}

/** An image that a destination should have. */
export interface ExpectedImage {
  readonly names: readonly Reference[]
  /** Its manifest or index, or one that may be there instead. */
  readonly roots: readonly Digest[]
  /** Of an index: the manifests that should be there. */
  readonly manifests?: readonly Digest[] | undefined
  /** The configs of its platforms. */
  readonly configs: readonly Digest[]
}

/**
 * A survey of blobs: `blobsIn` returns those that an image brings, and `has` says whether the destination has one.
 * `writing` gets all images that were measured.
 */
export function blobSurvey(
  blobsIn: (image: ImageContent, names: readonly Reference[]) => readonly Descriptor[],
  has: (blob: Descriptor, options: FetchOptions) => boolean | Promise<boolean>,
  writing?: (images: readonly NamedImage[], more: number) => Promise<PlannedWriting>,
): DestinationSurvey {
  const planned = new Set<Digest>()
  const images: NamedImage[] = []
  return {
    ...(writing ? { writing: async more => await writing(images, more) } : {}),
    async measure(image, names, options = {}) {
      images.push({ image, names })
      const blobs = blobsIn(image, names)
      const measured = await measureBlobs(blobs, async blob => planned.has(blob.digest) || (await has(blob, options)))
      for (const { digest } of blobs) planned.add(digest)
      return measured
    },
    async [Symbol.asyncDispose]() {},
  }
}

/** Sums up `blobs`, each counted once, by whether `has` says that they are there. */
export async function measureBlobs(
  blobs: readonly Descriptor[],
  has: (blob: Descriptor) => boolean | Promise<boolean>,
): Promise<Measure> {
  let [send, present] = [0, 0]
  for (const blob of eachOnce(blobs)) {
    if (await has(blob)) present += blob.size
    else send += blob.size
  }
  return { send, present }
}
