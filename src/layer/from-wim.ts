/** Windows layers made from WIM images: read, planned, and run through the addon in one pass, with nothing extracted to disk. */
import { StowageError } from '../errors.js'
import type { WaitOptions } from '../progress.js'
import type { Dentry } from '../wim/dentry.js'
import { checkedThreads } from '../wim/flags.js'
import type { WimImage } from '../wim/image.js'
import type { WimFile } from '../wim/wim-file.js'
import { checkedCompression, type LayerCompression } from './compression.js'
import type { LayerTree } from './layer-entries.js'
import { writeLayerFile } from './layer-file.js'
import { runLayerJob, type WrittenLayer } from './layer-job.js'
import { isLayerReparseTag } from './reparse-point.js'
import { type BlobFacts, type LayerCounts, planWindowsLayer } from './windows-layer.js'

export interface LayerFromWimOptions extends WaitOptions {
  /** 1-based number or name; the WIM's only image (but for `UtilityVM`) when left out. */
  readonly image?: string | number | undefined
  readonly compression?: LayerCompression | undefined
  /** Leave out what a layer cannot hold (unknown reparse tags, encrypted files) instead of failing. */
  readonly skipUnsupported?: boolean | undefined
  /** Told what is left out, paths with the reason, before the layer is written. */
  readonly onSkipped?: ((paths: readonly string[]) => void) | undefined
  /** Threads that decompress and compress; the machine's processors when left out. The bytes do not depend on it. */
  readonly threads?: number | undefined
}

/** A layer that was made, and what is in it. */
export interface WindowsLayer extends WrittenLayer {
  readonly counts: LayerCounts
  /** Paths that were left out, with the reason. */
  readonly skipped: readonly string[]
  /** The image that became `Files`, and the one that became `UtilityVM/Files`. */
  readonly image: WimImage
  readonly utilityVm: WimImage | undefined
}

const UTILITY_VM = 'UtilityVM'
/** Reparse data are at most this by Windows' own rule (MAXIMUM_REPARSE_DATA_BUFFER_SIZE). */
const REPARSE_LIMIT = 16 * 1024

/**
 * Makes the layer and writes it to `target.path`, an existing file, from `target.offset` on. Same WIM, same options, same
 * bytes. On an error what was written is the caller's to remove; {@link writeLayerFromWim} does it for files.
 * Throws IMAGE_NOT_FOUND, INVALID_ARGUMENT, LAYER_UNSUPPORTED, WIM_CORRUPT, NO_SPACE, ABORTED.
 */
export async function layerFromWim(
  wim: WimFile, target: { readonly path: string; readonly offset: number }, options: LayerFromWimOptions = {},
): Promise<WindowsLayer> {
  const { signal, onProgress, skipUnsupported = false } = options
  const compression = checkedCompression(options.compression ?? { type: 'gzip' })
  const threads = checkedThreads(options.threads)
  const image = chooseImage(wim, options.image)
  const utilityVm = image.name === UTILITY_VM ? undefined : wim.images().find(other => other.name === UTILITY_VM)
  const trees = [await readTree(wim, image, 'Files')]
  if (utilityVm) trees.push(await readTree(wim, utilityVm, 'UtilityVM/Files'))
  const blobs = wim.blobs()
  const reparseData = await readReparseData(wim, trees, blobs, { signal, threads })
  const plan = planWindowsLayer(trees, blobs, dentry => reparseData.get(dentry), { skipUnsupported })
  if (signal?.aborted) throw new StowageError('ABORTED', 'interrupted before the end')
  if (plan.skipped.length > 0) options.onSkipped?.(plan.skipped)
  const subject = wim.path ?? 'a new WIM'
  onProgress?.({ type: 'stage', stage: 'convert', subject })
  const written = await runLayerJob(wim.native, plan.blobs, plan.segments(), {
    ...target, compression, threads, signal, subject,
    onWritten: done => onProgress?.({ type: 'bytes', subject, done: Math.min(done, plan.contentSize), total: plan.contentSize }),
  })
  onProgress?.({ type: 'bytes', subject, done: plan.contentSize, total: plan.contentSize })
  onProgress?.({ type: 'done', subject })
  return {
    ...written,
    counts: plan.counts,
    skipped: plan.skipped,
    image,
    utilityVm,
  }
}

/**
 * {@link layerFromWim} into a file of its own: written beside its place, then renamed, so that `output` is whole or not there.
 * Throws OUTPUT_EXISTS unless `force`.
 */
export async function writeLayerFromWim(
  wim: WimFile, output: string, { force = false, ...options }: LayerFromWimOptions & { readonly force?: boolean } = {},
): Promise<WindowsLayer> {
  return await writeLayerFile(output, { force, inputs: wim.parts, signal: options.signal }, target => layerFromWim(wim, target, options))
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

async function readTree(wim: WimFile, image: WimImage, root: string): Promise<LayerTree> {
  const metadata = await wim.metadata(image.index)
  const dentries: Dentry[] = []
  for (const batch of metadata.dentries) dentries.push(...batch)
  return { root, dentries, security: metadata.security }
}

/** Reparse data are a few hundred bytes each, and the plan needs them: read before anything is written. */
async function readReparseData(
  wim: WimFile, trees: readonly LayerTree[], { sizes, ranks }: BlobFacts,
  options: { signal: AbortSignal | undefined; threads: number },
): Promise<Map<Dentry, Buffer>> {
  const wanted: { dentry: Dentry; blob: number }[] = []
  for (const dentry of trees.flatMap(tree => tree.dentries)) {
    const blob = dentry.streams.find(stream => stream.type === 'reparse')?.blob
    if (!isLayerReparseTag(dentry.reparseTag) || blob === undefined || blob < 0) continue
    if ((sizes[blob] ?? 0) <= REPARSE_LIMIT) wanted.push({ dentry, blob })
  }
  wanted.sort((a, b) => (ranks[a.blob] ?? 0) - (ranks[b.blob] ?? 0))
  const data = new Map<Dentry, Buffer>()
  let pieces: Uint8Array[] = []
  for await (const piece of wim.readBlobs(wanted.map(({ blob }) => blob), options)) {
    pieces.push(piece.bytes)
    if (!piece.last) continue
    const dentry = wanted[piece.request]?.dentry
    if (dentry) data.set(dentry, Buffer.concat(pieces))
    pieces = []
  }
  return data
}
