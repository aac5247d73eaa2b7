/** Makes layers from WIM images in one pass through the addon, without extracting files to disk. */
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
import type { LayerLosses, LayerMends } from './lossless.js'
import type { LayerCounts } from './plan.js'
import { Slices } from './slices.js'
import { planUnixLayer } from './unix-layer.js'
import { layerWarnings } from './warnings.js'
import { type LayerTree, readLayerTree, readReparseData } from './wim-tree.js'
import { planWindowsLayer, type WindowsLayerPlan } from './windows-layer.js'

export interface LayerFromWimOptions extends WaitOptions {
  /** Number (from 1) or name; by default the WIM's only image, apart from `UtilityVM`. */
  readonly image?: string | number | undefined
  readonly compression?: LayerCompression | undefined
  /**
   * Order of the files: that of their blobs in the WIM (`blob`, the default), or one independent of the WIM (`tree`).
   */
  readonly order?: LayerOrder | undefined
  /**
   * Keep what a Windows layer cannot express in private PAX records, which Windows ignores. This changes the digest.
   */
  readonly lossless?: boolean | undefined
  /**
   * Make a plain Linux layer from an image that wimlib captured with `--unix-data`: with owners, modes, devices and
   * extended attributes, but without `Files/` and Windows metadata.
   */
  readonly unixData?: boolean | undefined
  /** Skip what a layer cannot hold (unknown reparse tags, encrypted files) instead of failing. */
  readonly skipUnsupported?: boolean | undefined
  /** Called with the skipped paths and reasons, before the layer is written. */
  readonly onSkipped?: ((paths: readonly string[]) => void) | undefined
  /** Called with a sentence for each doubt about the layer, before it is written. */
  readonly onWarning?: ((warning: string) => void) | undefined
  /** Threads for decompression and compression, by default one per processor. The bytes do not depend on it. */
  readonly threads?: number | undefined
}

/** A new layer, and what is in it. */
export interface WindowsLayer extends WrittenLayer {
  readonly counts: LayerCounts
  /** Skipped paths, with the reason. */
  readonly skipped: readonly string[]
  /** Metadata of the files that the layer does not hold. */
  readonly lost: LayerLosses
  /** What the layer says otherwise than the WIM, because a host would refuse it. */
  readonly mended: LayerMends
  /** A sentence for each doubt about the layer. */
  readonly warnings: readonly string[]
  /** The image that became `Files` (or the Linux layer), and the one that became `UtilityVM/Files`. */
  readonly image: WimImage
  readonly utilityVm: WimImage | undefined
}

/**
 * Makes the layer and writes it to `target.path`, an existing file, from `target.offset` on. The same WIM and options
 * give the same bytes. On an error, the caller must remove what was written; {@link writeLayerFromWim} does that.
 * Throws IMAGE_NOT_FOUND, INVALID_ARGUMENT, LAYER_UNSUPPORTED, WIM_CORRUPT, NO_SPACE, ABORTED.
 */
export async function layerFromWim(
  wim: WimFile,
  target: { readonly path: string; readonly offset: number },
  options: LayerFromWimOptions = {},
): Promise<WindowsLayer> {
  const { signal, onProgress, order = 'blob', lossless = false, unixData = false } = options
  if (lossless && unixData)
    throw new StowageError('INVALID_ARGUMENT', 'a Linux layer cannot be lossless, because it holds no Windows metadata')
  const compression = checkedCompression(options.compression ?? { type: DEFAULT_COMPRESSION })
  const threads = checkedThreads(options.threads)
  const subject = wim.path ?? 'a new WIM'
  onProgress?.({ type: 'stage', stage: 'convert', subject })
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
    mended: plan.mended,
    warnings,
    image,
    utilityVm,
  }
}

/** Plans the layer without writing it. Throws what {@link layerFromWim} throws before its first byte. */
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
  const utilityVm = unixData ? undefined : utilityVmBeside(wim, image)
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
    rpfix: wim.info.rpfix,
    reparseDataOf: (dentry: Dentry) => reparseData.get(dentry),
    slices,
  }
  return { image, utilityVm, trees, blobs, planning }
}

/**
 * Calls {@link layerFromWim} to write a new file atomically. Throws OUTPUT_EXISTS unless `force`.
 */
export async function writeLayerFromWim(
  wim: WimFile,
  output: string,
  { force = false, ...options }: LayerFromWimOptions & { readonly force?: boolean } = {},
): Promise<WindowsLayer> {
  return await writeLayerFile(
    output,
    { force, inputs: [...wim.parts, ...wim.references], signal: options.signal, onProgress: options.onProgress },
    target => layerFromWim(wim, target, options),
  )
}

/**
 * The image that becomes `Files`: the one that `selector` names, or the only one apart from `UtilityVM`. Throws
 * IMAGE_NOT_FOUND, or INVALID_ARGUMENT listing the images if there are several.
 */
export function chooseImage(wim: WimFile, selector?: string | number): WimImage {
  if (selector !== undefined) return wim.image(selector)
  const candidates = wim.images().filter(image => image.name !== UTILITY_VM)
  const [only, ...others] = candidates.length > 0 ? candidates : wim.images()
  if (only === undefined) throw new StowageError('IMAGE_NOT_FOUND', `${wim.path} holds no image`)
  if (others.length === 0) return only
  const names = candidates.map(image => `${image.index} ${JSON.stringify(image.name)}`).join(', ')
  throw new StowageError('INVALID_ARGUMENT', `${wim.path} holds ${candidates.length} images: name one`, {
    hint: `Select one with --image N or NAME (wim:FILE#N): ${names}.`,
  })
}

/** The image that becomes `UtilityVM/Files` in the layer of `image`, if there is one. */
export function utilityVmBeside(wim: WimFile, image: WimImage): WimImage | undefined {
  return image.name === UTILITY_VM ? undefined : wim.images().find(other => other.name === UTILITY_VM)
}
