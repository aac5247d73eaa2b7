/** The trees of files that are compared: of the layers or the WIM image that a layer is based on, and of its own plan. */
import { StowageError } from '../../errors.js'
import type { WaitOptions } from '../../progress.js'
import type { WimFile } from '../../wim/wim-file.js'
import { planFromWim } from '../make/from-wim.js'
import type { LayerOrder } from '../make/entries.js'
import { Slices } from '../make/slices.js'
import type { PlannedEntry } from '../make/windows-layer.js'
import { type LayerFacts, type LayerOrigin, readLayer } from '../read/read-layer.js'
import { asRead } from '../read/tar-entry.js'
import { AppliedLayers } from '../to-wim/applied-layers.js'
import type { TreeNode } from '../to-wim/image-tree.js'
import { Losses } from '../to-wim/losses.js'
import type { SecurityDescriptors } from '../to-wim/windows-file.js'

/** What a layer is based on: the layers below it, lowest first, or the WIM image that holds the same files. */
export type LayerBase =
  | { readonly type: 'layers'; readonly layers: readonly LayerOrigin[] }
  | {
      readonly type: 'wim'
      readonly wim: WimFile
      /** Number (from 1) or name; by default the WIM's only image, apart from `UtilityVM`. */
      readonly image?: string | number | undefined
    }

/** The roots of `Files` and `UtilityVM/Files`. */
export interface WindowsTrees {
  readonly files: TreeNode
  readonly utilityVm: TreeNode | undefined
  /** The layers that were read. */
  readonly layers: readonly LayerFacts[]
}

/** The parts of an open WIM's list of blobs that hash its contents. */
interface BlobHashes {
  readonly sizes: Float64Array
  sha1(blob: number): string
}

export interface BaseTreeOptions extends WaitOptions {
  readonly lossless: boolean
  readonly order: LayerOrder
  readonly threads: number | undefined
  /** Shared by all trees that are compared. */
  readonly security: SecurityDescriptors
}

/**
 * Reads the tree of `base`. The contents of layers are hashed; those of a WIM are not read, because it stores their
 * SHA-1. Throws what reading them throws, LAYER_CORRUPT, LAYER_UNSUPPORTED, ABORTED.
 */
export async function readBaseTree(base: LayerBase, options: BaseTreeOptions): Promise<WindowsTrees> {
  const { signal, security, onProgress } = options
  if (base.type === 'layers') return await readLayers(base.layers, options)
  const { lossless, order, threads } = options
  onProgress?.({ type: 'stage', stage: 'read', subject: base.wim.path ?? 'the base' })
  const plan = await planFromWim(base.wim, {
    image: base.image,
    lossless,
    order,
    threads,
    skipUnsupported: true, // what no layer can hold is not in the base layer either
    signal,
  })
  return await plannedTree(plan.entries(), base.wim.blobs(), security, new Slices(signal))
}

/** The tree that the planned entries make. */
export async function plannedTree(
  entries: Iterable<PlannedEntry>,
  blobs: BlobHashes,
  security: SecurityDescriptors,
  slices: Slices,
): Promise<WindowsTrees> {
  const applied = new AppliedLayers({ unixData: false, losses: new Losses(), security })
  applied.beginLayer()
  for (const { entry, content } of entries) {
    const blob = content?.blob
    applied.add(asRead(entry), blob === undefined ? '' : binary(blobs.sha1(blob)))
    if (slices.due()) await slices.rest()
  }
  applied.endLayer()
  return rootsOf(applied, [])
}

async function readLayers(
  layers: readonly LayerOrigin[],
  { security, signal, onProgress }: BaseTreeOptions,
): Promise<WindowsTrees> {
  if (layers.length === 0) throw new StowageError('INVALID_ARGUMENT', 'no layer was named as the base')
  const applied = new AppliedLayers({ unixData: false, losses: new Losses(), security })
  const facts: LayerFacts[] = []
  for (const { open } of layers) {
    applied.beginLayer()
    const found = await readLayer(await open(), { signal, onProgress, hash: 'sha1' }, entries => {
      for (const entry of entries) applied.add(entry, binary(entry.sha1 ?? ''))
    })
    applied.endLayer()
    facts.push(found)
  }
  return rootsOf(applied, facts)
}

function rootsOf(applied: AppliedLayers, layers: readonly LayerFacts[]): WindowsTrees {
  const [files, utilityVm] = applied.images()
  // images() throws if there is no Files
  if (!files) throw new StowageError('LAYER_UNSUPPORTED', 'there is no top-level directory Files')
  return { files, utilityVm, layers }
}

/** SHA-1 in hex digits as the characters of {@link Content.sha1}. */
function binary(sha1: string): string {
  return Buffer.from(sha1, 'hex').toString('latin1')
}
