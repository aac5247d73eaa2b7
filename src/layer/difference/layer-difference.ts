/** Makes a layer from a WIM image that holds only what differs from the layers, or the WIM image, that it is based on. */
import { StowageError } from '../../errors.js'
import { DEFAULT_COMPRESSION } from '../../oci/compression.js'
import { checkedThreads } from '../../wim/flags.js'
import type { WimFile } from '../../wim/wim-file.js'
import { HIVES } from '../../windows/layer-paths.js'
import { checkedCompression } from '../compression.js'
import {
  chooseImage,
  type LayerFromWimOptions,
  planFromWim,
  utilityVmBeside,
  type WindowsLayer,
} from '../make/from-wim.js'
import { runLayerJob } from '../make/job.js'
import { Slices } from '../make/slices.js'
import { layerWarnings } from '../make/warnings.js'
import { segmentsOf, type WindowsLayerPlan } from '../make/windows-layer.js'
import { writeLayerFile } from '../output-file.js'
import type { LayerFacts } from '../read/read-layer.js'
import { SecurityDescriptors } from '../to-wim/windows-file.js'
import { type LayerBase, plannedTree, readBaseTree, type WindowsTrees } from './base-tree.js'
import { compareTrees, type IgnoredDifference, noDifference, type TreeDifference } from './compare-trees.js'
import { differenceEntries } from './difference-entries.js'

export interface LayerDifferenceOptions extends Omit<LayerFromWimOptions, 'unixData'> {
  readonly base: LayerBase
  /** Differences that alone do not put a file into the layer; by default none is ignored. */
  readonly ignore?: readonly IgnoredDifference[] | undefined
}

/** A new layer, based on others. */
export interface LayerDifference extends WindowsLayer {
  readonly difference: {
    /** Number of names that the base does not have, that differ from it, and that only the base has. */
    readonly added: number
    readonly changed: number
    readonly deleted: number
    /** Paths of the registry hives in the layer, each as a whole. */
    readonly hives: readonly string[]
    /** The layers of the base, lowest first; empty if the base is a WIM. */
    readonly base: readonly LayerFacts[]
  }
}

/**
 * Makes the layer and writes it to `target.path`, an existing file, from `target.offset` on. Applied to the base, it
 * gives the image. Files are compared by name, metadata and SHA-1; a file with several names is in the layer with all of
 * them, or not at all. Memory grows with the number of names in both. On an error, the caller must remove what was
 * written; {@link writeLayerDifference} does that. Throws IMAGE_NOT_FOUND, INVALID_ARGUMENT, LAYER_CORRUPT,
 * LAYER_UNSUPPORTED (also if the base has a `UtilityVM` and the image has not), WIM_CORRUPT, NO_SPACE, ABORTED.
 */
export async function layerDifference(
  wim: WimFile,
  target: { readonly path: string; readonly offset: number },
  options: LayerDifferenceOptions,
): Promise<LayerDifference> {
  const { signal, onProgress, order = 'blob' } = options
  const compression = checkedCompression(options.compression ?? { type: DEFAULT_COMPRESSION })
  const threads = checkedThreads(options.threads)
  const image = chooseImage(wim, options.image)
  const utilityVm = utilityVmBeside(wim, image)
  const subject = wim.path ?? 'a new WIM'
  onProgress?.({ type: 'stage', stage: 'convert', subject })
  const { plan, found, below, above } = await planDifference(wim, options)
  if (plan.skipped.length > 0) options.onSkipped?.(plan.skipped)
  const hives = changedHives(found)
  const warnings = [
    ...layerWarnings(wim, { image, utilityVm, missing: [], order, unixData: false, withoutUnixData: 0 }),
    ...differenceWarnings(below, above, hives),
  ]
  for (const warning of warnings) options.onWarning?.(warning)
  const total = plan.contentSize
  onProgress?.({ type: 'stage', stage: 'convert', subject })
  const entries = differenceEntries(plan.entries(), found, above.files.file.writeTime)
  const written = await runLayerJob(wim.native, plan.blobs, segmentsOf(entries, wim.blobs()), {
    ...target,
    compression,
    threads,
    signal,
    subject,
    onWritten: done => onProgress?.({ type: 'bytes', subject, done: Math.min(done, total), total }),
  })
  onProgress?.({ type: 'bytes', subject, done: total, total })
  onProgress?.({ type: 'done', subject })
  const counts = { ...plan.counts, directories: plan.counts.directories + 1 } // Hives
  const { skipped, lost, mended } = plan
  const difference = { ...found.counts, hives, base: below.layers }
  return { ...written, counts, skipped, lost, mended, warnings, image, utilityVm, difference }
}

/** Calls {@link layerDifference} to write a new file atomically. Throws OUTPUT_EXISTS unless `force`. */
export async function writeLayerDifference(
  wim: WimFile,
  output: string,
  { force = false, ...options }: LayerDifferenceOptions & { readonly force?: boolean },
): Promise<LayerDifference> {
  const { base } = options
  const below = base.type === 'wim' ? [...base.wim.parts, ...base.wim.references] : base.layers.map(({ name }) => name)
  const inputs = [...wim.parts, ...wim.references, ...below]
  return await writeLayerFile(
    output,
    { force, inputs, signal: options.signal, onProgress: options.onProgress },
    target => layerDifference(wim, target, options),
  )
}

/** Compares both trees, and plans a layer of what differs. Hard links and streams stay with their files. */
async function planDifference(
  wim: WimFile,
  { base, ignore = [], ...options }: LayerDifferenceOptions,
): Promise<{
  readonly plan: WindowsLayerPlan
  readonly found: TreeDifference
  readonly below: WindowsTrees
  readonly above: WindowsTrees
}> {
  const { signal, onProgress, threads, order = 'blob', lossless = false } = options
  const slices = new Slices(signal)
  const security = new SecurityDescriptors()
  const below = await readBaseTree(base, { lossless, order, threads, security, signal, onProgress })
  const whole = await planFromWim(wim, options)
  const above = await plannedTree(whole.entries(), wim.blobs(), security, slices)
  if (below.utilityVm && !above.utilityVm) {
    throw new StowageError(
      'LAYER_UNSUPPORTED',
      `the base has UtilityVM/Files, but ${wim.path} has no image for it, and no layer can delete it`,
      { hint: 'Make a whole layer, without --base, or name another base.' },
    )
  }
  const found = noDifference()
  await compareTrees(below.files, above.files, 'Files', found, { ignore, slices })
  if (above.utilityVm)
    await compareTrees(below.utilityVm, above.utilityVm, 'UtilityVM/Files', found, { ignore, slices })
  found.paths.add('Files')
  return { plan: await whole.only(path => found.paths.has(path)), found, below, above }
}

function changedHives({ changed }: TreeDifference): string[] {
  const hives = new Set(HIVES.map(path => path.toLowerCase()))
  return changed.filter(path => hives.has(path.toLowerCase())).sort()
}

function differenceWarnings(below: WindowsTrees, above: WindowsTrees, hives: readonly string[]): string[] {
  const warnings: string[] = []
  if (hives.length > 0) {
    const names = hives.map(path => path.slice(path.lastIndexOf('/') + 1)).join(', ')
    warnings.push(
      `the layer has these registry hives as whole files: ${names}. A Windows host takes the registry of a container ` +
        'from its base layer, so apply this layer with stowage layer to-wim first',
    )
  }
  if (above.utilityVm && !below.utilityVm) {
    warnings.push('a host will reject this layer: it has UtilityVM/Files, which must already be in the base layer')
  }
  return warnings
}
