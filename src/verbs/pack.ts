/** Pack: packs images from any source into one bundle. */
import { readdir } from 'node:fs/promises'
import pMap from 'p-map'
import type { Verified } from '../archive/read-back.js'
import { wantedBlobs } from '../blob/fill.js'
import { comparePaths } from '../bundle/checksums.js'
import { isSignature } from '../bundle/contents.js'
import { isTarPath } from '../bundle/files.js'
import type { LayerProofs } from '../bundle/layer-comparison.js'
import type { BundleManifest } from '../bundle/manifest.js'
import { type BundleWriter, type BundleWriterOptions, openBundleWriter } from '../bundle/writer.js'
import { abortError, StowageError } from '../errors.js'
import { type ArchiveCompression, compressionOfName } from '../oci/compression.js'
import type { Digest } from '../oci/digest.js'
import { formatPlatform } from '../oci/platform.js'
import { formatReference } from '../oci/reference.js'
import { checkRelease } from '../signature/release.js'
import { sourceDateEpoch } from '../tar/source-date-epoch.js'
import { reportOn } from '../transfer/layer-report.js'
import { type SelectedImage, Transfer } from '../transfer/transfer.js'
import { parseLocation } from '../transport/location.js'
import { makesLayer } from '../transport/open.js'
import type { WimLayerOptions } from '../transport/wim/source.js'
import type { WrittenVolumes } from '../volumes/write-volumes.js'
import { leaveOut, readSites } from './pack-delta.js'
import { undeliveredOf } from './pack-plan.js'
import {
  checkRequests,
  measureFiles,
  requestKey,
  type PackedImage,
  type PackImage,
  type PackOptions,
  type PackRequest,
  selectionOf,
} from './pack-requests.js'
import { fillBundle, giveUp, sizeOfBundle } from './packed-output.js'
import type { ProtectResult } from './protect.js'
import type { SignResult } from './sign.js'

export interface PackResult {
  readonly path: string
  readonly form: 'directory' | 'tar' | 'volumes'
  /** If the tar was cut. */
  readonly volumes?: WrittenVolumes
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
  /** Whether layers were decompressed and compared with what the configs of the images say of them. */
  readonly deep: boolean
  readonly layers: LayerProofs
  /** The requested images in their order; a location of several images has one entry for each. */
  readonly packed: readonly PackedImage[]
  /** Roots of referrers that were found but not packed: they describe the original index, and `sparse` is `strip`. */
  readonly undelivered: readonly Digest[]
  /** What `layer.skipUnsupported` left out: paths in the layer, each with the reason. */
  readonly skipped: readonly string[]
  /** Warnings about layers created from WIMs, one sentence each. */
  readonly warnings: readonly string[]
  /** What was read back, if it was. */
  readonly verified?: Verified
  /** The recovery data, if it was asked for. */
  readonly recovery?: ProtectResult
  /** The signature, if it was asked for. */
  readonly signature?: SignResult
}

/** An image that was read, with its request. */
interface Prepared extends SelectedImage {
  readonly request: PackRequest
}

/** The number of sources to open and read at a time: manifests and configs are small, so latency dominates. */
const READ_AT_ONCE = 6

/**
 * Packs `images` (locations, see {@link sourceLocation}, or {@link PackImage}s) into the bundle `output`: a single tar if the
 * name ends in `.tar`, a compressed one for `.tar.gz`, `.tar.zst` or `.tar.xz`, a tar on standard output for `-`,
 * otherwise a directory. Reads and plans everything except created layers before the first byte is written. Leaves
 * nothing behind if it throws; but if the user, a registry, an engine, a full disk or a medium interrupts it
 * (ABORTED, REGISTRY_UNREACHABLE, NO_SPACE …), the blobs that were copied stay, in a directory marked INCOMPLETE or in
 * `<output>.partial`, and the same call resumes. A bundle that already exists in the directory is left alone if it has the same contents, and replaced if `update` is set. Throws INVALID_ARGUMENT, OUTPUT_EXISTS, NO_SPACE,
 * MEDIUM_FAILED,
 * ABORTED, and what the sources throw.
 */
export async function pack(
  images: readonly (string | PackImage)[],
  output: string,
  options: PackOptions = {},
): Promise<PackResult> {
  const { signer, ...others } = options
  if (!signer) return await packUnsigned(images, output, options)
  const { refuseStream, signSealed } = await import('./sign.js')
  refuseStream(output)
  const result = await packUnsigned(images, output, others).catch((error: unknown) => {
    if (!(error instanceof StowageError) || error.code !== 'OUTPUT_EXISTS') throw error
    throw error.withHint(
      `If an earlier run was to sign it, go on with: stowage sign ${output} --key KEY; or name another output.`,
    )
  })
  return { ...result, signature: await signSealed(output, signer, options) }
}

async function packUnsigned(
  images: readonly (string | PackImage)[],
  output: string,
  options: PackOptions,
): Promise<PackResult> {
  const { recovery } = options
  if (recovery !== undefined) {
    const { packProtected } = await import('./protect.js')
    return await packProtected(output, recovery, options, async () => await packBundle(images, output, options))
  }
  const signatures = options.update ? await signaturesIn(output) : []
  const result = await packBundle(images, output, options)
  if (!options.update || result.unchanged) return result
  if (signatures.length > 0)
    options.onNotice?.(`The bundle before was signed, and the new one is not: ${signatures.join(', ')} was removed.`)
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
    release: options.release === undefined ? undefined : checkRelease(options.release),
    update: options.update,
    sparse: options.sparse,
    verify: options.verify,
    onProgress: options.onProgress,
    deep: options.deep,
    volumes: volumesOf(options),
  })
  const location = parseLocation(`bundle:${output}`)
  await using transfer = new Transfer({ location, destination: writer, stage: !options.have?.length }, options)
  const opened: AsyncDisposable[] = []
  try {
    const { prepared, carried, leftOut } = await prepare(requests, writer, transfer, opened, { ...options, layer })
    await copyAll(carried, leftOut, writer, transfer, output, options)
    for (const { from, path } of files.toSorted((a, b) => comparePaths(a.path, b.path)))
      await writer.addFile(path, from, { signal, onProgress: options.onProgress })
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
      form: writer.volumes ? 'volumes' : isTarPath(output) ? 'tar' : 'directory',
      ...(writer.volumes ? { volumes: writer.volumes } : {}),
      ...(compression ? { compression } : {}),
      size: writer.volumes?.total ?? (await sizeOfBundle(output, manifest)),
      manifest,
      unchanged: writer.unchanged,
      deep: options.deep ?? true,
      layers: writer.layers,
      packed,
      undelivered: prepared.flatMap(({ undelivered = [] }) => undelivered),
      skipped,
      warnings,
      ...(writer.verified ? { verified: writer.verified } : {}),
    }
  } catch (error) {
    throw await giveUp(writer, output, abortError(error, signal))
  } finally {
    for (const reading of opened) await reading[Symbol.asyncDispose]()
  }
}

/** Copies the blobs of all images in one queue, then writes the images, whose blobs are then present. */
async function copyAll(
  prepared: readonly Prepared[],
  leftOut: ReadonlySet<Digest>,
  writer: BundleWriter,
  transfer: Transfer,
  output: string,
  { jobs, signal, onProgress }: PackOptions,
): Promise<void> {
  const all = prepared.flatMap(({ blobs, content }) => wantedBlobs(content, blobs))
  const wanted = all.filter(({ blob }) => !leftOut.has(blob.digest))
  await fillBundle(writer, wanted, output, {
    jobs,
    signal,
    onProgress,
    async write() {
      for (const image of inOrder(prepared)) await transfer.write({ ...image, referrers: [] }, { silent: true })
    },
  })
}

/** In an order that does not depend on that of the arguments: an image may be named twice, with other platforms. */
function inOrder(prepared: readonly Prepared[]): readonly Prepared[] {
  const keyed = prepared.map(image => {
    const { content, names } = image
    const parts = [content.root.digest, ...content.manifests.map(({ descriptor }) => descriptor.digest)]
    return { key: [...parts, ...names.map(formatReference)].join(' '), image }
  })
  return keyed.sort((a, b) => comparePaths(a.key, b.key)).map(({ image }) => image)
}

async function signaturesIn(output: string): Promise<readonly string[]> {
  const names = await readdir(output).catch(() => []) // what is not a directory has none
  return names.filter(isSignature)
}

/** What is packed, in the order of the requests. */
interface Preparation {
  readonly prepared: readonly Prepared[]
  /** Those that are in the bundle: a delta leaves out the others. */
  readonly carried: readonly Prepared[]
  /** Layers that are left out. */
  readonly leftOut: ReadonlySet<Digest>
}

/** Opens and reads all images, those whose layer must be created last, unless it has to be known what they can be without. */
async function prepare(
  requests: readonly PackRequest[],
  writer: BundleWriter,
  transfer: Transfer,
  opened: AsyncDisposable[],
  options: PackOptions & { readonly layer: WimLayerOptions },
): Promise<Preparation> {
  const { layer, files = [], recovery = 0, have = [] } = options
  const sites = await readSites(options)
  const read = new Map<PackRequest, readonly Prepared[]>()
  const made: PackRequest[] = []
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
  if (have.length > 0) await makeLayers()
  const planned = requests.flatMap(request => read.get(request) ?? [])
  const leaving = await leaveOut(planned, sites)
  const leftOut = new Set(leaving.assumes?.layers.map(({ digest }) => digest))
  await writer.plan(
    leaving.carried.map(({ content, names }) => ({ image: content, names })),
    {
      pendingImages: have.length > 0 ? 0 : made.length,
      files: await measureFiles(files),
      undelivered: undeliveredOf(leaving.carried),
      recovery,
      assumes: leaving.assumes,
    },
  )
  if (have.length === 0) await makeLayers()
  const prepared = requests.flatMap(request => read.get(request) ?? [])
  return { prepared, carried: have.length > 0 ? leaving.carried : prepared, leftOut }

  /** In an order that does not depend on that of the arguments, nor on where the files are. */
  async function makeLayers(): Promise<void> {
    for (const request of made.toSorted((a, b) => comparePaths(requestKey(a), requestKey(b))))
      read.set(request, await open(request))
  }

  async function open(request: PackRequest): Promise<readonly Prepared[]> {
    const reading = await transfer.read(request.location, {
      ...selectionOf(request),
      layer: { ...layer, ...request.layer },
    })
    opened.push(reading)
    return reading.images.flatMap(image => [image, ...image.referrers].map(each => ({ ...each, request })))
  }
}

function volumesOf({
  volumeSize,
  askForMedium,
  onNotice,
  onProgress,
  signal,
}: PackOptions): BundleWriterOptions['volumes'] {
  if (volumeSize === undefined) return undefined
  return { size: volumeSize, askForMedium, onNotice, onProgress, signal }
}
