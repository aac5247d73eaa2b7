/** Windows layers made from WIM images: read, planned, and run through the addon in one pass, with nothing extracted to disk. */
import { StowageError } from '../../errors.js'
import { DEFAULT_COMPRESSION } from '../../oci/compression.js'
import type { WaitOptions } from '../../progress.js'
import type { Dentry } from '../../wim/dentry.js'
import { checkedThreads } from '../../wim/flags.js'
import type { WimImage } from '../../wim/image.js'
import type { WimFile } from '../../wim/wim-file.js'
import { UTILITY_VM } from '../../windows/layer-paths.js'
import { isLayerReparseTag } from '../../windows/reparse-point.js'
import { checkedCompression, type LayerCompression } from '../compression.js'
import { writeLayerFile } from '../output-file.js'
import type { LayerOrder } from './entries.js'
import { runLayerJob, type WrittenLayer } from './job.js'
import type { LayerLosses } from './lossless.js'
import type { LayerCounts } from './plan.js'
import { Slices } from './slices.js'
import { planUnixLayer } from './unix-layer.js'
import { layerWarnings } from './warnings.js'
import { type LayerTree, readLayerTree, readReparseData } from './wim-tree.js'
import { planWindowsLayer, type WindowsLayerPlan } from './windows-layer.js'

export interface LayerFromWimOptions extends WaitOptions {
  /** 1-based number or name; the WIM's only image (but for `UtilityVM`) when left out. */
  readonly image?: string | number | undefined
  readonly compression?: LayerCompression | undefined
  /** Order of the files: as the WIM holds their blobs (`blob`, the default), or one that does not depend on the WIM (`tree`). */
  readonly order?: LayerOrder | undefined
  /** Keep what a Windows layer has no form for in PAX records of our own, which Windows passes over. Other bytes, other digest. */
  readonly lossless?: boolean | undefined
  /**
   * Make a plain Linux layer of an image that wimlib captured with `--unix-data`: owners, modes, devices and extended
   * attributes, no `Files/`, nothing of Windows.
   */
  readonly unixData?: boolean | undefined
  /** Leave out what a layer cannot hold (unknown reparse tags, encrypted files) instead of failing. */
  readonly skipUnsupported?: boolean | undefined
  /** Told what is left out, paths with the reason, before the layer is written. */
  readonly onSkipped?: ((paths: readonly string[]) => void) | undefined
  /** Told what is doubtful about the layer, a sentence each, before it is written. */
  readonly onWarning?: ((warning: string) => void) | undefined
  /** Threads that decompress and compress; the machine's processors when left out. The bytes do not depend on it. */
  readonly threads?: number | undefined
}

/** A layer that was made, and what is in it. */
export interface WindowsLayer extends WrittenLayer {
  readonly counts: LayerCounts
  /** Paths that were left out, with the reason. */
  readonly skipped: readonly string[]
  /** What the layer does not say of the files that are in it. */
  readonly lost: LayerLosses
  /** What is doubtful about the layer, a sentence each. */
  readonly warnings: readonly string[]
  /** The image that became `Files` (or the Linux layer), and the one that became `UtilityVM/Files`. */
  readonly image: WimImage
  readonly utilityVm: WimImage | undefined
}

/**
 * Makes the layer and writes it to `target.path`, an existing file, from `target.offset` on. Same WIM, same options, same
 * bytes. On an error what was written is the caller's to remove; {@link writeLayerFromWim} does it for files.
 * Throws IMAGE_NOT_FOUND, INVALID_ARGUMENT, LAYER_UNSUPPORTED, WIM_CORRUPT, NO_SPACE, ABORTED.
 */
export async function layerFromWim(
  wim: WimFile,
  target: { readonly path: string; readonly offset: number },
  options: LayerFromWimOptions = {},
): Promise<WindowsLayer> {
  const { signal, onProgress, order = 'blob', lossless = false, unixData = false } = options
  if (lossless && unixData)
    throw new StowageError('INVALID_ARGUMENT', 'a Linux layer cannot be lossless: it holds no Windows metadata')
  const compression = checkedCompression(options.compression ?? { type: DEFAULT_COMPRESSION })
  const threads = checkedThreads(options.threads)
  const { image, utilityVm, trees, blobs, planning } = await readTrees(wim, options)
  const [tree] = trees
  const plan = unixData ? await planUnixLayer(tree, blobs, planning) : await planWindowsLayer(trees, blobs, planning)
  if (signal?.aborted) throw new StowageError('ABORTED', 'interrupted before the end')
  if (plan.skipped.length > 0) options.onSkipped?.(plan.skipped)
  const warnings = layerWarnings(wim, {
    image,
    utilityVm,
    missing: plan.missing,
    order,
    unixData,
    withoutUnixData: plan.withoutUnixData,
  })
  for (const warning of warnings) options.onWarning?.(warning)
  const subject = wim.path ?? 'a new WIM'
  onProgress?.({ type: 'stage', stage: 'convert', subject })
  const written = await runLayerJob(wim.native, plan.blobs, plan.segments(), {
    ...target,
    compression,
    threads,
    signal,
    subject,
    onWritten: done =>
      onProgress?.({ type: 'bytes', subject, done: Math.min(done, plan.contentSize), total: plan.contentSize }),
  })
  onProgress?.({ type: 'bytes', subject, done: plan.contentSize, total: plan.contentSize })
  onProgress?.({ type: 'done', subject })
  return {
    ...written,
    counts: plan.counts,
    skipped: plan.skipped,
    lost: plan.lost,
    warnings,
    image,
    utilityVm,
  }
}

/** The plan of the layer alone, of which nothing is written. Throws what {@link layerFromWim} does before its first byte. */
export async function planFromWim(
  wim: WimFile,
  options: Omit<LayerFromWimOptions, 'unixData'> = {},
): Promise<WindowsLayerPlan> {
  const { trees, blobs, planning } = await readTrees(wim, options)
  return await planWindowsLayer(trees, blobs, planning)
}

async function readTrees(
  wim: WimFile,
  {
    signal,
    threads,
    skipUnsupported = false,
    order = 'blob',
    lossless = false,
    unixData = false,
    ...options
  }: LayerFromWimOptions,
) {
  const image = chooseImage(wim, options.image)
  const utilityVm =
    unixData || image.name === UTILITY_VM ? undefined : wim.images().find(other => other.name === UTILITY_VM)
  const slices = new Slices(signal)
  const tree = await readLayerTree(wim, image, unixData ? '.' : 'Files', slices)
  const trees: readonly [LayerTree, ...LayerTree[]] = utilityVm
    ? [tree, await readLayerTree(wim, utilityVm, 'UtilityVM/Files', slices)]
    : [tree]
  const blobs = wim.blobs()
  const wanted = (tag: number): boolean => lossless || isLayerReparseTag(tag)
  const reparseData = await readReparseData(wim, trees, blobs, wanted, {
    signal,
    threads: checkedThreads(threads),
    slices,
  })
  const planning = {
    skipUnsupported,
    order,
    lossless,
    reparseDataOf: (dentry: Dentry) => reparseData.get(dentry),
    slices,
  }
  return { image, utilityVm, trees, blobs, planning }
}

/**
 * {@link layerFromWim} into a file of its own: written beside its place, then renamed, so that `output` is whole or not there.
 * Throws OUTPUT_EXISTS unless `force`.
 */
export async function writeLayerFromWim(
  wim: WimFile,
  output: string,
  { force = false, ...options }: LayerFromWimOptions & { readonly force?: boolean } = {},
): Promise<WindowsLayer> {
  return await writeLayerFile(
    output,
    { force, inputs: [...wim.parts, ...wim.references], signal: options.signal },
    target => layerFromWim(wim, target, options),
  )
}

/**
 * The image that becomes `Files`: the one `selector` names, or the only one but for `UtilityVM`.
 * Throws IMAGE_NOT_FOUND, or INVALID_ARGUMENT listing the images where there are several.
 */
export function chooseImage(wim: WimFile, selector?: string | number): WimImage {
  if (selector !== undefined) return wim.image(selector)
  const candidates = wim.images().filter(image => image.name !== UTILITY_VM)
  const [only, ...others] = candidates.length > 0 ? candidates : wim.images()
  if (only === undefined) throw new StowageError('IMAGE_NOT_FOUND', `${wim.path} holds no image`)
  if (others.length === 0) return only
  const names = candidates.map(image => `${image.index} ${JSON.stringify(image.name)}`).join(', ')
  throw new StowageError('INVALID_ARGUMENT', `${wim.path} holds ${candidates.length} images; say which`, {
    hint: `Choose with --image N or NAME (wim:FILE#N): ${names}.`,
  })
}
