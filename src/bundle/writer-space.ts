/** Whether a bundle fits on its medium. */
import { checkSpace } from '../archive/space.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { BundleMedium } from './medium.js'

/** Space in bytes for headers, heads, bundle.json and SHA256SUMS: a part per blob and a fixed part. */
const ROOM_PER_BLOB = 2048
const ROOM = 64 * 1024
/** Files and directories of a bundle directory besides its blobs. */
const HEADS = 10

/** How a bundle is on its medium. */
export interface BundleShape {
  readonly tar: boolean
  /** How often it is there at its end: a compressed one is beside the plain tar. */
  readonly copies: number
}

/** Throws NO_SPACE if there is no room for those of `blobs` that the medium does not hold, and `added` bytes. */
export async function checkRoom(
  medium: Pick<BundleMedium, 'holds' | 'where'>,
  blobs: readonly Descriptor[],
  added: number,
  { tar, copies }: BundleShape,
): Promise<void> {
  const missing: Descriptor[] = []
  for (const blob of blobs) if (!(await medium.holds(blob))) missing.push(blob)
  const overhead = ROOM + added + blobs.length * ROOM_PER_BLOB
  const needed = missing.reduce((sum, blob) => sum + blob.size, overhead)
  const largest = tar ? needed : missing.reduce((size, blob) => Math.max(size, blob.size), 0)
  const need = { size: needed * copies, largest, files: tar ? 1 : missing.length + HEADS }
  await checkSpace(medium.where, need, tar)
}
