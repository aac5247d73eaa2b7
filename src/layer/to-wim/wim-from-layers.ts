/** Makes WIM files from layers, which the addon reads, applies and writes without extracting files to disk. */
import { stat } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { STANDARD_STREAM } from '../../archive/standard-stream.js'
import { abortError, StowageError } from '../../errors.js'
import type { OnProgress, WaitOptions } from '../../progress.js'
import { checkedLevel, compressionNumber } from '../../wim/compression.js'
import { checkedThreads } from '../../wim/flags.js'
import { checkArchitecture, checkWindowsVersion, encodeImages } from '../../wim/image-xml.js'
import { type Content, type EncodedImage, encodeMetadata } from '../../wim/metadata-writer.js'
import { fromSeconds } from '../../windows/filetime.js'
import { UTILITY_VM } from '../../windows/layer-paths.js'
import { writeLayerFile } from '../output-file.js'
import { type LayerFacts, type LayerOrigin, openLayer, readLayer } from '../read/read-layer.js'
import { decodeTarEntries } from '../read/tar-entry.js'
import { AppliedLayers, contentsOf } from './applied-layers.js'
import { Capture } from './capture.js'
import { type HiveMerge, mergeDeltaHives, refuseDeltaHives } from './delta-hives.js'
import type { TreeNode } from './image-tree.js'
import { type Loss, Losses } from './losses.js'

export interface WimFromLayersOptions extends WaitOptions {
  readonly compression?: WimCompression | undefined
  /** Threads for compression, by default one per processor. The bytes do not depend on it. */
  readonly threads?: number | undefined
  /** Write an integrity table; by default not. */
  readonly integrityTable?: boolean | undefined
  /** Name of the first image, by default the name of the file without `.wim`. */
  readonly imageName?: string | undefined
  readonly imageDescription?: string | undefined
  /** For Linux layers: make one image with owners, modes, devices and attributes, as wimlib does with `--unix-data`. */
  readonly unixData?: boolean | undefined
  /** GOARCH value and MAJOR.MINOR.BUILD.SPBUILD for the XML of a Windows image. */
  readonly architecture?: string | undefined
  readonly osVersion?: string | undefined
  /** Leave out the delta hives of Windows layers, instead of merging them into the registry hives of the base. */
  readonly withoutHiveChanges?: boolean | undefined
  /** FILETIME of the images, by default that of their newest file. */
  readonly created?: bigint | undefined
  /** Seconds since 1970, used if no file has a time. */
  readonly epoch?: number | undefined
}

export interface WimCompression {
  readonly type: 'lzx' | 'xpress' | 'none'
  /** A level of libwim: 50 is normal, lower is faster. */
  readonly level?: number | undefined
}

/** A new WIM, and what is in it. */
export interface WimFromLayers {
  /** In bytes. */
  readonly size: number
  readonly images: readonly WimFromLayersImage[]
  /** The layers that were read, base layer first. */
  readonly layers: readonly LayerFacts[]
  /** The registry hives into which delta hives were merged. */
  readonly hives: readonly HiveMerge[]
  /** What the layers contain and the WIM does not. */
  readonly lost: readonly Loss[]
}

export interface WimFromLayersImage {
  readonly index: number
  readonly name: string
  /** Number of directories, including the root. */
  readonly directories: number
  /** Number of names of everything else. */
  readonly files: number
  /** Total size of all streams in bytes, counted for each name of a file. */
  readonly size: number
}

/**
 * Default levels: sizes are within 3 % of those at libwim's normal level. LZX at its normal level takes several times as
 * long.
 */
const LEVELS = { lzx: 20, xpress: 50, none: 0 } as const
/** Size of a number and a hash in a batch of `native/layer/layer_capture.h`. */
const HASH_RECORD = 24

/**
 * Applies `layers` in order and writes the images to `path`, an existing file: `Files` is the first, `UtilityVM/Files`
 * the second. The same layers and options give the same bytes. A single layer is read once; several are each read
 * twice, so that content that a later layer deletes is not written. On an error, the caller must remove what was
 * written; {@link writeWimFromLayers} does that. Throws INVALID_ARGUMENT, LAYER_CORRUPT, LAYER_UNSUPPORTED, NO_SPACE,
 * ABORTED, and what reading the layers throws.
 */
export async function wimFromLayers(
  layers: readonly LayerOrigin[],
  { path, name }: { readonly path: string; readonly name: string },
  options: WimFromLayersOptions = {},
): Promise<WimFromLayers> {
  const { compression = { type: 'lzx' }, integrityTable = false, unixData = false, signal, onProgress } = options
  const { withoutHiveChanges = false } = options
  checkOptions(layers, options)
  const settings = {
    path,
    integrityTable,
    compression: compressionNumber(compression.type),
    level: checkedLevel(compression.level) || LEVELS[compression.type],
    threads: checkedThreads(options.threads),
  }
  const losses = new Losses()
  const applied = new AppliedLayers({ unixData, losses })
  if (signal?.aborted) throw new StowageError('ABORTED', 'interrupted before the end')
  const [only] = layers
  onProgress?.({ type: 'stage', stage: 'convert', subject: name })
  let done = 0
  const onBytes =
    (total: number | undefined) =>
    (size: number): void => {
      done += size
      onProgress?.({ type: 'bytes', subject: name, done, total })
    }
  const several = layers.length > 1 ? await applyAll(layers, applied, onBytes(undefined), signal) : undefined
  const facts: LayerFacts[] = []
  using capture = new Capture(settings, signal)
  if (!several && only) {
    const source = await only.open()
    applied.beginLayer()
    facts.push(
      await capture.layer(source, {
        keep: undefined,
        roots: applied.roots,
        onBytes: onBytes(source.size),
        onBatch: batch => {
          decodeTarEntries(batch, false).forEach(entry => applied.add(entry, entry.head.toString('latin1')))
          if (!withoutHiveChanges) refuseDeltaHives(applied.deltaHives)
        },
      }),
    )
    applied.endLayer()
  }
  const images = several?.images ?? applied.images()
  const hives = await mergeDeltaHives(withoutHiveChanges ? [] : layers, applied, losses, signal)
  if (several) {
    const kept = await applied.kept(images)
    const total = 2 * several.facts.reduce((sum, { size }) => sum + size, 0)
    for (const [n, layer] of layers.entries()) {
      const contents = kept.get(n) ?? new Map<number, Content>()
      const keep = new Uint8Array([...contents.keys()].reduce((most, number) => Math.max(most, number + 1), 0))
      for (const number of contents.keys()) keep[number] = 1
      const found = await capture.layer(await layer.open(), {
        keep,
        roots: [],
        onBytes: onBytes(total),
        onBatch: batch => takeHashes(batch, contents),
      })
      if (found.digest !== several.facts[n]?.digest) {
        throw new StowageError('LAYER_CORRUPT', `${layer.name} changed while it was read`, {
          hint: 'Run the command again.',
        })
      }
      facts.push(found)
    }
  }
  const sealed = await seal(capture, images, applied, name, options)
  onProgress?.({ type: 'done', subject: name })
  return { ...sealed, layers: facts, hives, lost: losses.list() }
}

/**
 * Calls {@link wimFromLayers} for the files `layers` (a single `-` is standard input) to write a new file atomically.
 * Throws OUTPUT_EXISTS unless `force`.
 */
export async function writeWimFromLayers(
  layers: readonly string[],
  output: string,
  { force = false, ...options }: WimFromLayersOptions & { readonly force?: boolean } = {},
): Promise<WimFromLayers> {
  for (const layer of layers.length > 1 ? layers : []) {
    const facts = layer === STANDARD_STREAM ? undefined : await stat(layer).catch(() => undefined) // opening it reports errors
    if (layer !== STANDARD_STREAM && (!facts || facts.isFile() || facts.isDirectory())) continue
    throw new StowageError(
      'INVALID_ARGUMENT',
      `with several layers, each is read twice, which is not possible for ${layer === STANDARD_STREAM ? 'standard input' : layer}`,
      {
        hint: 'Write it to a file first.',
      },
    )
  }
  const origins = layers.map(layer => ({
    name: layer === STANDARD_STREAM ? 'standard input' : layer,
    open: async () => await openLayer(layer, { signal: options.signal }),
  }))
  const inputs = layers.filter(layer => layer !== STANDARD_STREAM)
  return await writeLayerFile(
    output,
    { force, inputs, signal: options.signal, onProgress: options.onProgress },
    async ({ path }) =>
      await wimFromLayers(origins, { path, name: output === STANDARD_STREAM ? wimNameOf(layers) : output }, options),
  )
}

/** The file name for a WIM that gets none: that of the top layer. */
function wimNameOf(layers: readonly string[]): string {
  const top = layers.at(-1) ?? STANDARD_STREAM
  return top === STANDARD_STREAM ? 'layer.wim' : `${basename(top).replace(/\.(tar(\.\w+)?|tgz|tzst)$/, '')}.wim`
}

function checkOptions(
  layers: readonly LayerOrigin[],
  { architecture, osVersion, unixData }: WimFromLayersOptions,
): void {
  if (layers.length === 0) throw new StowageError('INVALID_ARGUMENT', 'no layer was named')
  if (architecture !== undefined) checkArchitecture(architecture)
  if (osVersion === undefined) return
  checkWindowsVersion(osVersion)
  if (architecture === undefined && !unixData) {
    throw new StowageError('INVALID_ARGUMENT', `a version (${osVersion}) was given without an architecture`)
  }
}

/** The first of two passes: applies all layers. */
async function applyAll(
  layers: readonly LayerOrigin[],
  applied: AppliedLayers,
  onBytes: (size: number) => void,
  signal: AbortSignal | undefined,
): Promise<{ readonly images: readonly TreeNode[]; readonly facts: readonly LayerFacts[] }> {
  const facts: LayerFacts[] = []
  for (const layer of layers) {
    applied.beginLayer()
    let read = 0
    const onProgress: OnProgress = event => {
      if (event.type !== 'bytes') return
      onBytes(event.done - read)
      read = event.done
    }
    facts.push(
      await readLayer(await layer.open(), { signal, onProgress }, entries =>
        entries.forEach(entry => applied.add(entry, '')),
      ),
    )
    applied.endLayer()
  }
  return { images: applied.images(), facts }
}

function takeHashes(batch: Buffer, contents: ReadonlyMap<number, Content>): void {
  for (let at = 0; at + HASH_RECORD <= batch.length; at += HASH_RECORD) {
    const content = contents.get(batch.readUInt32LE(at))
    if (content) content.sha1 = batch.toString('latin1', at + 4, at + HASH_RECORD)
  }
}

async function seal(
  capture: Capture,
  roots: readonly TreeNode[],
  applied: AppliedLayers,
  name: string,
  options: WimFromLayersOptions,
): Promise<Pick<WimFromLayers, 'size' | 'images'>> {
  const { imageName, imageDescription, unixData, architecture, osVersion, epoch, signal } = options
  const own = new Map<string, Buffer>()
  for await (const { sha1, bytes } of contentsOf(roots)) if (bytes) own.set(sha1, bytes)
  const encoded: EncodedImage[] = []
  for (const root of roots) encoded.push(await encodeMetadata(root, applied.security.list))
  if (signal?.aborted) throw abortError(signal.reason, signal)
  const created = options.created ?? (applied.newest > 0n ? applied.newest : fromSeconds(epoch ?? 0).time)
  const windows = architecture === undefined || unixData ? undefined : { architecture, version: osVersion }
  const names = [imageName ?? basename(name, extname(name)), UTILITY_VM]
  const described = encoded.map(({ bytes: _bytes, ...counts }, n) => ({
    ...counts,
    name: names[n] ?? '',
    description: n === 0 ? imageDescription : undefined,
    created,
    windows: n === 0 ? windows : undefined,
  }))
  // Sorted, so that the bytes do not depend on the order in which the tree is walked
  const blobs = [...own].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, bytes]) => bytes)
  const size = await capture.seal(
    { blobs, images: encoded.map(({ bytes }) => bytes), xml: encodeImages(described), rpfix: applied.rpfix },
    name,
  )
  const images = described.map(({ directories, files, size: contentSize, name: called }, n) => ({
    index: n + 1,
    name: called,
    directories,
    files,
    size: contentSize,
  }))
  return { size, images }
}
