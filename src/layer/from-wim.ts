/** Windows layers made from WIM images: read, planned, and run through the addon in one pass, with nothing extracted to disk. */
import { randomUUID } from 'node:crypto'
import type { Stats } from 'node:fs'
import { link, lstat, open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { StagedBlob } from '../blob/blob-store.js'
import { PARTIAL } from '../blob/durable.js'
import { abortError, fileError, outputError, StowageError, systemCode } from '../errors.js'
import { type Digest, digestFromHex } from '../oci/digest.js'
import { OCI_LAYER, OCI_LAYER_GZIP } from '../oci/media-type.js'
import type { WaitOptions } from '../progress.js'
import { binding, nativeError, type NativeLayerJob, type NativeLayerResult } from '../wim/binding.js'
import type { Dentry } from '../wim/dentry.js'
import { checkedThreads } from '../wim/flags.js'
import type { WimImage } from '../wim/image.js'
import type { WimFile } from '../wim/wim-file.js'
import { isLayerReparseTag } from './reparse-point.js'
import type { LayerTree } from './layer-entries.js'
import { type BlobFacts, type LayerCounts, type LayerPlan, planWindowsLayer } from './windows-layer.js'

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
  const blobs = wim.blobs()
  const reparseData = await readReparseData(wim, trees, blobs, { signal, threads })
  const plan = planWindowsLayer(trees, blobs, dentry => reparseData.get(dentry), { skipUnsupported })
  if (signal?.aborted) throw new StowageError('ABORTED', 'interrupted before the end')
  if (plan.skipped.length > 0) options.onSkipped?.(plan.skipped)
  const subject = wim.path ?? 'a new WIM'
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
  await checkOutput(wim, output, force)
  const partial = join(dirname(output), `${basename(output).slice(0, 40)}.${randomUUID().slice(0, 8)}${PARTIAL}`)
  try {
    await (await open(partial, 'wx')).close()
    const layer = await layerFromWim(wim, { path: partial, offset: 0 }, options)
    await (force ? rename(partial, output) : placeNew(partial, output))
    return layer
  } catch (error) {
    throw abortError(outputError(error, output), options.signal)
  } finally {
    await rm(partial, { force: true }).catch(() => undefined) // the error that brought us here says more
  }
}

/** Before any work: the output must be a name for a new file, or with `force` a regular file that is not the WIM itself. */
async function checkOutput(wim: WimFile, output: string, force: boolean): Promise<void> {
  if (output === '') throw new StowageError('INVALID_ARGUMENT', 'the output has no name')
  let found: Stats
  try {
    found = await lstat(output)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return
    throw fileError(error, output)
  }
  if (!found.isFile()) {
    throw new StowageError('INVALID_ARGUMENT', `${output} exists and is not a regular file`, { hint: 'Name a file to be made.' })
  }
  if (!force) throw occupied(output)
  for (const part of wim.parts) {
    const { dev, ino } = await stat(part)
    if (dev !== found.dev || ino !== found.ino) continue
    throw new StowageError('INVALID_ARGUMENT', `${output} is the WIM that is read`, { hint: 'Name another output.' })
  }
}

/** Gives `partial` the name `output`, unless somebody else was faster. Where there are no hard links (FAT), it renames. */
async function placeNew(partial: string, output: string): Promise<void> {
  try {
    await link(partial, output)
  } catch (error) {
    if (systemCode(error) === 'EEXIST') throw occupied(output)
    await rename(partial, output)
  }
}

function occupied(output: string): StowageError {
  return new StowageError('OUTPUT_EXISTS', `${output} exists already`, { hint: 'Choose another name, or overwrite it with --force.' })
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

/** Feeds the plan to the addon as fast as it takes it, and waits for the end. */
async function runPlan(
  wim: WimFile, plan: LayerPlan,
  options: { path: string; offset: number; gzipLevel: number; threads: number },
  signal: AbortSignal | undefined, onWritten: (uncompressed: number) => void,
): Promise<NativeLayerResult> {
  const segments = plan.segments()[Symbol.iterator]()
  let job: NativeLayerJob | undefined
  const cancel = (): void => job?.cancel()
  signal?.addEventListener('abort', cancel, { once: true })
  try {
    return await new Promise<NativeLayerResult>((resolve, reject) => {
      // What went wrong on this side: the job then ends with ABORTED, when it has let go of the file.
      let failure: { readonly error: unknown } | undefined
      function attempt(work: () => void): void {
        try {
          work()
        } catch (error) {
          failure ??= { error }
          cancel()
        }
      }
      const create = binding().LayerJob
      job = new create(wim.native, plan.blobs, options, (room, uncompressed, _written, result, error) => {
        if (!failure) attempt(() => onWritten(uncompressed))
        if (failure && (result || error !== undefined)) reject(failure.error)
        else if (error !== undefined) reject(nativeError(error, wim.path ?? 'a new WIM'))
        else if (result) resolve(result)
        else if (room && !failure) attempt(feed)
      })
      function feed(): void {
        for (;;) {
          const next = segments.next()
          if (next.done) return job?.finish()
          if ((job?.push(next.value.bytes, next.value.cuts) ?? 0) > PLAN_AHEAD) return
        }
      }
    })
  } finally {
    signal?.removeEventListener('abort', cancel)
    job?.close()
  }
}
