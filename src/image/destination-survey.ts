/** What a destination has of an image, found without writing anything. */
import type { FetchOptions } from '../blob/blob-store.js'
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

/** A destination that is only looked at. The caller disposes of it. */
export interface DestinationSurvey extends AsyncDisposable {
  /**
   * Measures `image` as write() would write it under `names`, after all images measured before. Throws what write()
   * throws before it sends anything.
   */
  measure(image: ImageContent, names: readonly Reference[], options?: FetchOptions): Promise<Measure>
}

/** A survey of blobs: `blobsIn` returns those that an image brings, and `has` says whether the destination has one. */
export function blobSurvey(
  blobsIn: (image: ImageContent, names: readonly Reference[]) => readonly Descriptor[],
  has: (blob: Descriptor, options: FetchOptions) => boolean | Promise<boolean>,
): DestinationSurvey {
  const planned = new Set<Digest>()
  return {
    async measure(image, names, options = {}) {
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
