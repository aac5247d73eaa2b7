/** Windows layers made from WIM images: read, planned, and run through the addon in one pass, with nothing extracted to disk. */
import { randomUUID } from 'node:crypto'
import { access, open, rename, rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import type { StagedBlob } from '../blob/blob-store.js'
import { PARTIAL } from '../blob/durable.js'
import { abortError, fileError, StowageError, systemCode } from '../errors.js'
import { type Digest, digestFromHex } from '../oci/digest.js'
import { OCI_LAYER, OCI_LAYER_GZIP } from '../oci/media-type.js'
import type { WaitOptions } from '../progress.js'
import { binding, nativeError, type NativeLayerResult } from '../wim/binding.js'
import { type Dentry, FILE_ATTRIBUTE_REPARSE_POINT } from '../wim/dentry.js'
import type { WimFile, WimImage } from '../wim/wim-file.js'
import { isLayerReparseTag, parseReparsePoint, type ReparsePoint } from './reparse-point.js'
import { type LayerCounts, type LayerPlan, type LayerTree, planWindowsLayer } from './windows-layer.js'

export interface LayerFromWimOptions extends WaitOptions {
  /** 1-based number or name; the WIM's only image (but for `UtilityVM`) when left out. */
  readonly image?: string | number | undefined
  readonly compression?: LayerCompression | undefined
  /** Leave out what a layer cannot hold (unknown reparse tags, encrypted files) instead of failing. */
  readonly skipUnsupported?: boolean | undefined
  /** Threads that decompress and compress; the machine's processors when left out. The bytes do not depend on it. */
  readonly threads?: number | undefined
}

export interface LayerCompression {
  readonly type: 'gzip' | 'none'
  /** gzip: 1 (fast, the default) to 12 (small), libdeflate's levels. */
  readonly level?: number
}

/** A layer that was made, and what is in it. */
export interface WindowsLayer extends StagedBlob {
  readonly mediaType: string
  /** SHA-256 of the uncompressed tar. */
  readonly diffId: Digest
  /** Of the tar, in bytes. */
  readonly uncompressedSize: number
  readonly counts: LayerCounts
  /** Paths that were left out, with the reason. */
  readonly skipped: readonly string[]
  /** The image that became `Files`, and the one that became `UtilityVM/Files`. */
  readonly image: WimImage
  readonly utilityVm: WimImage | undefined
}

const UTILITY_VM = 'UtilityVM'
const DEFAULT_LEVEL = 1
/** Plan bytes given to the addon ahead of its work. */
const PLAN_AHEAD = 2 * 1024 * 1024
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
  const { compression = { type: 'gzip' }, signal, onProgress, skipUnsupported = false } = options
  const gzipLevel = checkedLevel(compression)
  const threads = checkedThreads(options.threads)
  const image = chooseImage(wim, options.image)
  const utilityVm = image.name === UTILITY_VM ? undefined : wim.images().find(other => other.name === UTILITY_VM)
  const trees = [await readTree(wim, image, 'Files')]
  if (utilityVm) trees.push(await readTree(wim, utilityVm, 'UtilityVM/Files'))
  const points = await readReparsePoints(wim, trees, { signal, threads })
  const plan = planWindowsLayer(trees, wim.blobs(), (_tree, dentry) => points.get(dentry) ?? noReparseData(wim, dentry), {
    skipUnsupported,
  })
  if (signal?.aborted) throw new StowageError('ABORTED', 'interrupted before the end')
  const subject = wim.path
  onProgress?.({ type: 'stage', stage: 'convert', subject })
  const result = await runPlan(wim, plan, { ...target, gzipLevel, threads }, signal, written =>
    onProgress?.({ type: 'bytes', subject, done: Math.min(written, plan.contentSize), total: plan.contentSize }),
  )
  onProgress?.({ type: 'bytes', subject, done: plan.contentSize, total: plan.contentSize })
  onProgress?.({ type: 'done', subject })
  return {
    mediaType: gzipLevel === 0 ? OCI_LAYER : OCI_LAYER_GZIP,
    diffId: digestFromHex(result.diffId),
    digest: digestFromHex(result.digest),
    size: result.size,
    uncompressedSize: result.uncompressedSize,
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
  if (!force && (await exists(output))) {
    throw new StowageError('OUTPUT_EXISTS', `${output} exists already`, { hint: 'Choose another name, or overwrite it with --force.' })
  }
  const partial = `${output}.${randomUUID()}${PARTIAL}`
  try {
    await (await open(partial, 'wx')).close()
    const layer = await layerFromWim(wim, { path: partial, offset: 0 }, options)
    await rename(partial, output)
    return layer
  } catch (error) {
    await rm(partial, { force: true })
    throw abortError(fileError(error, output), options.signal)
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw fileError(error, path)
  }
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

function checkedLevel({ type, level = DEFAULT_LEVEL }: LayerCompression): number {
  if (type === 'none') return 0
  if (Number.isInteger(level) && level >= 1 && level <= 12) return level
  throw new StowageError('INVALID_ARGUMENT', `gzip has levels 1 to 12, not ${level}`)
}

function checkedThreads(threads: number = availableParallelism()): number {
  if (Number.isInteger(threads) && threads >= 1 && threads <= 256) return threads
  throw new StowageError('INVALID_ARGUMENT', `expected 1 to 256 threads but found ${threads}`)
}

async function readTree(wim: WimFile, image: WimImage, root: string): Promise<LayerTree> {
  const metadata = await wim.metadata(image.index)
  const dentries: Dentry[] = []
  for (const batch of metadata.dentries) dentries.push(...batch)
  return { root, dentries, security: metadata.security }
}

/** Reparse data are a few hundred bytes each, and the plan needs them: read before anything is written. */
async function readReparsePoints(
  wim: WimFile, trees: readonly LayerTree[], options: { signal: AbortSignal | undefined; threads: number },
): Promise<Map<Dentry, ReparsePoint>> {
  const { sizes, ranks } = wim.blobs()
  const wanted: { dentry: Dentry; blob: number }[] = []
  for (const dentry of trees.flatMap(tree => tree.dentries)) {
    if ((dentry.attributes & FILE_ATTRIBUTE_REPARSE_POINT) === 0 || !isLayerReparseTag(dentry.reparseTag)) continue
    const blob = dentry.streams.find(stream => stream.type === 'reparse')?.blob
    if (blob === undefined || blob < 0 || (sizes[blob] ?? 0) > REPARSE_LIMIT) throw noReparseData(wim, dentry)
    wanted.push({ dentry, blob })
  }
  wanted.sort((a, b) => (ranks[a.blob] ?? 0) - (ranks[b.blob] ?? 0))
  const points = new Map<Dentry, ReparsePoint>()
  let pieces: Uint8Array[] = []
  for await (const piece of wim.readBlobs(wanted.map(({ blob }) => blob), options)) {
    pieces.push(piece.bytes)
    if (!piece.last) continue
    const dentry = wanted[piece.request]?.dentry
    if (dentry) points.set(dentry, parseReparsePoint(dentry.reparseTag, Buffer.concat(pieces), dentry.name))
    pieces = []
  }
  return points
}

function noReparseData(wim: WimFile, dentry: Dentry): never {
  throw new StowageError('WIM_CORRUPT', `${wim.path}: ${dentry.name} is a reparse point without reparse data`)
}

/** Feeds the plan to the addon as fast as it takes it, and waits for the end. */
async function runPlan(
  wim: WimFile, plan: LayerPlan,
  options: { path: string; offset: number; gzipLevel: number; threads: number },
  signal: AbortSignal | undefined, onWritten: (uncompressed: number) => void,
): Promise<NativeLayerResult> {
  const segments = plan.segments()[Symbol.iterator]()
  let cancel: (() => void) | undefined
  try {
    return await new Promise<NativeLayerResult>((resolve, reject) => {
      let failure: unknown
      const job = new (binding().LayerJob)(wim.native, plan.blobs, options, (room, uncompressed, _written, result, error) => {
        if (error !== undefined) return reject(failure ?? nativeError(error, options.path))
        onWritten(uncompressed)
        if (result) return resolve(result)
        if (room) feed()
      })
      function feed(): void {
        try {
          for (;;) {
            const next = segments.next()
            if (next.done) return job.finish()
            if (job.push(next.value.bytes, next.value.cuts) > PLAN_AHEAD) return
          }
        } catch (error) {
          // The job then ends with ABORTED, when it has let go of the file; the reason is told in its place.
          failure = error
          job.cancel()
        }
      }
      cancel = () => job.cancel()
      signal?.addEventListener('abort', cancel, { once: true })
    })
  } finally {
    if (cancel) signal?.removeEventListener('abort', cancel)
  }
}
