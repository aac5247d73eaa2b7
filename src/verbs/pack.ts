/** Pack: packs images from any source into one bundle. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import pMap from 'p-map'
import { type WantedBlob, wantedBlobs } from '../blob/fill.js'
import { carriedPath } from '../bundle/carried.js'
import { FILES } from '../bundle/contents.js'
import { isTarPath } from '../bundle/files.js'
import { BUNDLE_FILE, type BundleManifest } from '../bundle/manifest.js'
import { type BundleWriter, openBundleWriter } from '../bundle/writer.js'
import { abortError, fileError, isInterruption, StowageError } from '../errors.js'
import { type ArchiveCompression, compressionOfName } from '../oci/compression.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { formatPlatform } from '../oci/platform.js'
import { formatReference, nameToGive } from '../oci/reference.js'
import { sourceDateEpoch } from '../tar/source-date-epoch.js'
import { reportOn } from '../transfer/layer-report.js'
import type { LayerMakingOptions, TransferOptions } from '../transfer/options.js'
import type { TransferPlan } from '../transfer/planner.js'
import { type SelectedImage, type Selection, Transfer } from '../transfer/transfer.js'
import { parseLocation } from '../transport/location.js'
import { sourceLocation } from '../transport/source-location.js'
import type { Location } from '../transport/transport.js'
import { makesLayer } from '../transport/open.js'
import type { WimLayerOptions } from '../transport/wim/source.js'
import { sizeOfBundle, withResumeHint } from './packed-bundle.js'
import type { ProtectResult } from './protect.js'

/** One image to pack, with the options that apply to it alone. */
export interface PackImage {
  /** A location, see {@link sourceLocation}. */
  readonly image: string
  /** The names in the bundle, which replace its own; only for a location of one image. */
  readonly names?: readonly string[] | undefined
  /** Overrides the option for all images; so do the next two. */
  readonly platforms?: readonly string[] | undefined
  readonly referrers?: boolean | undefined
  readonly foreignLayers?: PackOptions['foreignLayers']
  /** How to create its layer from a WIM or a directory; added to the options for all images. */
  readonly layer?: PackOptions['layer']
}

export interface PackOptions extends TransferOptions, LayerMakingOptions {
  /** The names of the image, which replace its own; only if one image is packed. */
  readonly names?: readonly string[] | undefined
  /** Files to include in the bundle: `from` on this machine becomes `files/PATH` in the bundle. */
  readonly files?: readonly { readonly from: string; readonly path: string }[] | undefined
  /**
   * Whether to replace the contents of a bundle that already exists in `output`; the old bundle stays valid until the
   * end.
   */
  readonly update?: boolean | undefined
  /**
   * Recovery blocks to make for every hundred blocks of the bundle, see `protectBundle`; not for standard output. None by
   * default.
   */
  readonly recovery?: number | undefined
  /** Called with all images before the bundle is completed; if it throws, the output stays as it was before. */
  readonly accept?: ((packed: readonly PackedImage[]) => void) | undefined
  /** Seconds since 1970 for all times in the bundle; defaults to the environment's SOURCE_DATE_EPOCH. */
  readonly epoch?: number | undefined
}

/** The result for one {@link PackImage}. */
export interface PackedImage {
  readonly image: string
  readonly root: Descriptor
  /** Full references. */
  readonly names: readonly string[]
  readonly platforms: readonly string[]
  /** Media types of its layers, each once. */
  readonly layerTypes: readonly string[]
}

export interface PackResult {
  readonly path: string
  readonly form: 'directory' | 'tar'
  /** Of a tar that is compressed. */
  readonly compression?: ArchiveCompression
  /**
   * The size of the tar, or of all files of the directory, in bytes; of standard output, of the files that bundle.json
   * lists.
   */
  readonly size: number
  readonly manifest: BundleManifest
  /** Whether the same bundle already existed, so that nothing was written. */
  readonly unchanged: boolean
  /** The requested images in their order; a location of several images has one entry for each. */
  readonly packed: readonly PackedImage[]
  /** Roots of referrers that were found but not packed: they describe the original index, and `sparse` is `strip`. */
  readonly undelivered: readonly Digest[]
  /** What `layer.skipUnsupported` left out: paths in the layer, each with the reason. */
  readonly skipped: readonly string[]
  /** Warnings about layers created from WIMs, one sentence each. */
  readonly warnings: readonly string[]
  /** The recovery data, if it was asked for. */
  readonly recovery?: ProtectResult
}

/** A {@link PackImage} and where it is. */
interface Request extends PackImage {
  readonly location: Location
}

/** An image that was read, with its request. */
interface Prepared extends SelectedImage {
  readonly request: Request
}

/** The number of sources to open and read at a time: manifests and configs are small, so latency dominates. */
const READ_AT_ONCE = 6

/**
 * Packs `images` (locations, see {@link sourceLocation}, or {@link PackImage}s) into the bundle `output`: a single tar if the
 * name ends in `.tar`, a compressed one for `.tar.gz`, `.tar.zst` or `.tar.xz`, a tar on standard output for `-`,
 * otherwise a directory. Reads and plans everything except created layers before the first byte is written. Leaves
 * nothing behind if it throws; but after ABORTED, or if a registry can no longer be reached or refuses, a directory
 * keeps the blobs that were copied, if there are any, and the same call resumes. A bundle that already exists in the directory is left
 * alone if it has the same contents, and replaced if `update` is set. Throws INVALID_ARGUMENT, OUTPUT_EXISTS, NO_SPACE,
 * ABORTED, and what the sources throw.
 */
export async function pack(
  images: readonly (string | PackImage)[],
  output: string,
  options: PackOptions = {},
): Promise<PackResult> {
  const { recovery } = options
  if (recovery !== undefined) {
    const { packProtected } = await import('./protect.js')
    return await packProtected(output, recovery, options, async () => await packBundle(images, output, options))
  }
  const result = await packBundle(images, output, options)
  if (!options.update || result.unchanged) return result
  const { dropRecovery } = await import('./protect.js')
  await dropRecovery(output, options.onNotice)
  return result
}

async function packBundle(
  images: readonly (string | PackImage)[],
  output: string,
  options: PackOptions,
): Promise<PackResult> {
  const { signal, files = [], epoch = sourceDateEpoch() } = options
  const requests = await checkRequests(images, output, options)
  if (signal?.aborted) throw abortError(signal.reason, signal)
  const { layer, leftOut: skipped, warnings } = reportOn(options.layer)
  const compression = compressionOfName(output)
  await using writer = await openBundleWriter(output, {
    signal,
    epoch,
    update: options.update,
    sparse: options.sparse,
  })
  await using transfer = new Transfer({ location: parseLocation(`bundle:${output}`), destination: writer }, options)
  const opened: AsyncDisposable[] = []
  try {
    const prepared = await prepare(requests, writer, transfer, opened, { ...options, layer })
    await copyAll(prepared, writer, transfer, output, options)
    for (const { from, path } of files) await writer.addFile(path, from, { signal, onProgress: options.onProgress })
    const packed = prepared.map(({ request, content, names }) => ({
      image: request.image,
      root: content.root,
      names: names.map(formatReference),
      platforms: content.platforms.map(({ config }) => formatPlatform(config.platform)),
      layerTypes: [...new Set(content.layers.map(({ mediaType }) => mediaType))],
    }))
    options.accept?.(packed)
    const manifest = await writer.seal()
    return {
      path: output,
      form: isTarPath(output) ? 'tar' : 'directory',
      ...(compression ? { compression } : {}),
      size: await sizeOfBundle(output, manifest),
      manifest,
      unchanged: writer.unchanged,
      packed,
      undelivered: prepared.flatMap(({ undelivered = [] }) => undelivered),
      skipped,
      warnings,
    }
  } catch (error) {
    const reported = abortError(error, signal)
    if (writer.standing) throw reported
    if (!isInterruption(reported)) throw reported
    writer.keep()
    await writer[Symbol.asyncDispose]()
    throw await withResumeHint(reported, output)
  } finally {
    for (const reading of opened) await reading[Symbol.asyncDispose]()
  }
}

/**
 * What {@link pack} would do with the same arguments, an image for each of `images` in their order; without `output`,
 * how much there is to write. Reads manifests and configs only.
 */
export async function planPack(
  images: readonly (string | PackImage)[],
  output: string | undefined,
  options: PackOptions = {},
): Promise<TransferPlan> {
  const requests = await checkRequests(images, output, options)
  try {
    const { Planner } = await import('../transfer/planner.js')
    await using planner = new Planner(output === undefined ? undefined : parseLocation(`bundle:${output}`), options)
    await planner.open()
    await planner.addAll(requests.map(request => ({ from: request.location, selection: selectionOf(request) })))
    planner.addFiles(await sizeOfFiles(options.files ?? []))
    const plan = await planner.result()
    if (output !== undefined && !options.update) await refuseOther(output, plan, options)
    return plan
  } catch (error) {
    throw abortError(error, options.signal)
  }
}

/**
 * Checks the arguments before anything is opened. Throws INVALID_ARGUMENT and what parsing locations and names throws.
 */
async function checkRequests(
  images: readonly (string | PackImage)[],
  output: string | undefined,
  { names, files = [] }: PackOptions,
): Promise<readonly Request[]> {
  if (output === '') {
    throw new StowageError('INVALID_ARGUMENT', '"" is not an output: a bundle is a directory or a file', {
      hint: 'Name a directory, or a file that ends in .tar; - is standard output.',
    })
  }
  if (images.length === 0 && files.length === 0)
    throw new StowageError('INVALID_ARGUMENT', 'no image was named to pack')
  if (names && names.length > 0 && images.length > 1) {
    throw new StowageError('INVALID_ARGUMENT', `a name was given for ${images.length} images`, {
      hint: 'Pack them one by one, or leave out --tag.',
    })
  }
  const requests: Request[] = []
  for (const image of images) {
    const request = { names, ...(typeof image === 'string' ? { image } : image) }
    requests.push({ ...request, location: await sourceLocation(request.image) })
    request.names?.forEach(name => nameToGive(name))
  }
  const paths: string[] = []
  for (const { path } of files) paths.push(carriedPath(path, paths))
  return requests
}

/** Copies the blobs of all images in one queue, then writes the images, whose blobs are then present. */
async function copyAll(
  prepared: readonly Prepared[],
  writer: BundleWriter,
  transfer: Transfer,
  output: string,
  { jobs, signal, onProgress }: PackOptions,
): Promise<void> {
  const wanted = prepared.flatMap(({ blobs, content }) => wantedBlobs(content, blobs))
  const total = sizeOfWanted(wanted)
  let done = 0
  onProgress?.({ type: 'stage', stage: 'copy', subject: output })
  await writer.fill(wanted, {
    jobs,
    signal,
    onBytes(_kind, size) {
      done = Math.min(done + size, total)
      onProgress?.({ type: 'bytes', subject: output, done, total })
    },
  })
  for (const image of prepared) await transfer.write({ ...image, referrers: [] }, { silent: true })
  onProgress?.({ type: 'done', subject: output })
}

/** The size of all blobs, each once, in bytes. */
function sizeOfWanted(wanted: readonly WantedBlob[]): number {
  const sizes = new Map(wanted.map(({ blob }) => [blob.digest, blob.size]))
  return [...sizes.values()].reduce((sum, size) => sum + size, 0)
}

/** Opens and reads all images, those whose layer must be created last; the result is in the order of `requests`. */
async function prepare(
  requests: readonly Request[],
  writer: BundleWriter,
  transfer: Transfer,
  opened: AsyncDisposable[],
  { layer, files = [], recovery = 0 }: PackOptions & { readonly layer: WimLayerOptions },
): Promise<readonly Prepared[]> {
  const read = new Map<Request, readonly Prepared[]>()
  const made: Request[] = []
  for (const request of requests) if (await makesLayer(request.location)) made.push(request)
  let failure: { readonly error: unknown } | undefined
  await pMap(
    requests.filter(request => !made.includes(request)),
    async request => {
      if (failure) return
      try {
        read.set(request, await open(request))
      } catch (error) {
        failure ??= { error }
      }
    },
    { concurrency: READ_AT_ONCE },
  )
  if (failure) throw failure.error
  const planned = requests.flatMap(request => read.get(request) ?? [])
  const fileSize = await sizeOfFiles(files)
  const wanted = planned.flatMap(({ blobs, content }) => wantedBlobs(content, blobs))
  await writer.plan(
    planned.map(({ content, names }) => ({ image: content, names })),
    { pendingImages: made.length, fileSize: fileSize + ((sizeOfWanted(wanted) + fileSize) * recovery) / 100 },
  )
  for (const request of made) read.set(request, await open(request))
  return requests.flatMap(request => read.get(request) ?? [])

  async function open(request: Request): Promise<readonly Prepared[]> {
    const reading = await transfer.read(request.location, {
      ...selectionOf(request),
      layer: { ...layer, ...request.layer },
    })
    opened.push(reading)
    return reading.images.flatMap(image => [image, ...image.referrers].map(each => ({ ...each, request })))
  }
}

function selectionOf(request: PackImage): Selection {
  const names = request.names?.map(nameToGive) ?? []
  return {
    names,
    platforms: request.platforms,
    referrers: request.referrers,
    foreignLayers: request.foreignLayers,
    expectCount(count) {
      if (names.length === 0 || count === 1) return
      throw new StowageError('INVALID_ARGUMENT', `a name was given for ${count} images`, {
        hint: 'Name one image of the bundle: bundle:PATH:REF.',
      })
    },
  }
}

async function sizeOfFiles(files: readonly { readonly from: string }[]): Promise<number> {
  let size = 0
  for (const { from } of files) {
    const found = await stat(from).catch((error: unknown) => {
      throw fileError(error, from)
    })
    size += found.size
  }
  return size
}

/** Throws OUTPUT_EXISTS if `output` is a bundle that holds other images, names or files than `plan`. */
async function refuseOther(
  output: string,
  { images }: TransferPlan,
  { files = [], signal }: PackOptions,
): Promise<void> {
  if (isTarPath(output) || !(await stat(join(output, BUNDLE_FILE)).catch(() => undefined))) return
  const { openBundleReader } = await import('../bundle/reader.js')
  await using reader = await openBundleReader(output, { layers: false, signal })
  const { manifest } = reader
  const held = manifest.images.map(({ root, original = root, names, platforms }) =>
    [original.digest, ...names.toSorted(), ...platforms.map(({ platform }) => formatPlatform(platform))].join(' '),
  )
  const planned = images.map(({ digest, names, platforms }) => [digest, ...names.toSorted(), ...platforms].join(' '))
  const carried = manifest.files.flatMap(({ path }) => (path.startsWith(`${FILES}/`) ? [path] : []))
  const same =
    sameSet(held, planned) &&
    sameSet(
      carried,
      files.map(({ path }) => `${FILES}/${path}`),
    )
  if (same) return
  throw new StowageError('OUTPUT_EXISTS', `${output} is a bundle already, which holds something else`, {
    hint: 'Name another output, or change this one with --update.',
  })
}

function sameSet(one: readonly string[], other: readonly string[]): boolean {
  const [left, right] = [new Set(one), new Set(other)]
  return left.size === right.size && [...left].every(each => right.has(each))
}
