/** Reads what a layer needs from an image in a WIM: its dentries, and the data of its reparse points. */
import { StowageError } from '../../errors.js'
import type { Dentry, Stream } from '../../wim/dentry.js'
import type { WimImage } from '../../wim/image.js'
import type { WimFile } from '../../wim/wim-file.js'
import { type Slices, sortInSlices } from './slices.js'

/** One image of a WIM, with the data for its entries. */
export interface LayerTree {
  /** The path of the image's root in the layer: `Files`, `UtilityVM/Files` or, in a Linux layer, `.`. */
  readonly root: string
  /** All dentries of the image, parents before children. */
  readonly dentries: readonly Dentry[]
  readonly security: readonly Buffer[]
}

/** The sizes and positions of the blobs of a WIM, by their numbers. */
export interface BlobFacts {
  readonly sizes: Float64Array
  readonly ranks: Uint32Array
}

/** MAXIMUM_REPARSE_DATA_BUFFER_SIZE of Windows, in bytes. */
const REPARSE_LIMIT = 16 * 1024

/** The tree of `image`, whose path in the layer is `root`. Throws WIM_CORRUPT. */
export async function readLayerTree(wim: WimFile, image: WimImage, root: string, slices: Slices): Promise<LayerTree> {
  const metadata = await wim.metadata(image.index)
  const dentries: Dentry[] = []
  for (const dentry of metadata.dentries) {
    dentries.push(dentry)
    if (slices.due()) await slices.rest()
  }
  return { root, dentries, security: metadata.security }
}

/**
 * The data of the reparse points whose tags are `wanted`, a few hundred bytes each, which the plan needs before
 * anything is written. Omits data longer than Windows allows. Throws WIM_CORRUPT.
 */
export async function readReparseData(
  wim: WimFile,
  trees: readonly LayerTree[],
  { sizes, ranks }: BlobFacts,
  wanted: (tag: number) => boolean,
  {
    slices,
    ...options
  }: { readonly signal: AbortSignal | undefined; readonly threads: number; readonly slices: Slices },
): Promise<ReadonlyMap<Dentry, Buffer>> {
  const found: { dentry: Dentry; blob: number }[] = []
  for (const tree of trees) {
    for (const dentry of tree.dentries) {
      if (slices.due()) await slices.rest()
      if (dentry.reparseTag === 0 || !wanted(dentry.reparseTag)) continue
      const blob = dentry.streams.find(stream => stream.type === 'reparse')?.blob
      if (blob !== undefined && blob >= 0 && (sizes[blob] ?? 0) <= REPARSE_LIMIT) found.push({ dentry, blob })
    }
  }
  const sorted = await sortInSlices(found, (a, b) => (ranks[a.blob] ?? 0) - (ranks[b.blob] ?? 0), slices)
  const data = new Map<Dentry, Buffer>()
  let pieces: Uint8Array[] = []
  for await (const piece of wim.readBlobs(
    sorted.map(({ blob }) => blob),
    options,
  )) {
    pieces.push(piece.bytes)
    if (!piece.last) continue
    const dentry = sorted[piece.request]?.dentry
    if (dentry) data.set(dentry, Buffer.concat(pieces))
    pieces = []
    if (slices.due()) await slices.rest()
  }
  return data
}

/** The error for a blob that the WIM references but does not contain. */
export function missingBlob(path: string, stream: Stream): StowageError {
  return new StowageError('WIM_CORRUPT', `the WIM does not contain the content of ${path} (SHA-1 ${stream.sha1})`, {
    hint: 'For a delta WIM, name the other WIM files with --ref. The parts of a split WIM must be in the same directory.',
  })
}
