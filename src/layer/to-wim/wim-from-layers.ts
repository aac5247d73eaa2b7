/** WIM files made of layers: read, applied one to another, and written by the addon in one pass, with nothing extracted to disk. */
import { stat } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { abortError, StowageError } from '../../errors.js'
import type { OnProgress, WaitOptions } from '../../progress.js'
import { checkedLevel, compressionNumber } from '../../wim/compression.js'
import { checkedThreads } from '../../wim/flags.js'
import { checkArchitecture, checkWindowsVersion, encodeImages } from '../../wim/image-xml.js'
import { type Content, type EncodedImage, encodeMetadata } from '../../wim/metadata-writer.js'
import { fromSeconds } from '../../windows/filetime.js'
import { UTILITY_VM } from '../../windows/layer-paths.js'
import { writeLayerFile } from '../output-file.js'
import { type LayerFacts, type LayerSource, openLayer, readLayer } from '../read/read-layer.js'
import { decodeTarEntries } from '../read/tar-entry.js'
import { AppliedLayers, contentsOf } from './applied-layers.js'
import { Capture } from './capture.js'
import type { TreeNode } from './image-tree.js'
import { type Loss, Losses } from './losses.js'

export interface WimFromLayersOptions extends WaitOptions {
  readonly compression?: WimCompression | undefined
  /** Threads that compress; the machine's processors when left out. The bytes do not depend on it. */
  readonly threads?: number | undefined
  /** Write an integrity table. Default: no. */
  readonly integrityTable?: boolean | undefined
  /** Name of the first image; what the file is called, without `.wim`, when left out. */
  readonly imageName?: string | undefined
  readonly imageDescription?: string | undefined
  /** The layers are of Linux: all of them is one image, with owner, mode, devices and attributes as wimlib's `--unix-data` has them. */
  readonly unixData?: boolean | undefined
  /** What the image runs on, for its XML: GOARCH's word, and MAJOR.MINOR.BUILD.SPBUILD. Windows only. */
  readonly architecture?: string | undefined
  readonly osVersion?: string | undefined
  /** FILETIME of the images; that of their newest file when left out. */
  readonly created?: bigint | undefined
  /** Seconds since 1970, where no file has a time. */
  readonly epoch?: number | undefined
}

export interface WimCompression {
  readonly type: 'lzx' | 'xpress' | 'none'
  /** libwim's: 50 is its normal one, lower is faster. */
  readonly level?: number | undefined
}

/** A layer that can be read, more than once where there are several. */
export interface LayerOrigin {
  /** For errors and progress. */
  readonly name: string
  readonly open: () => Promise<LayerSource>
}

/** A WIM that was made, and what is in it. */
export interface WimFromLayers {
  /** In bytes. */
  readonly size: number
  readonly images: readonly WimFromLayersImage[]
  /** The layers as they were read, base layer first. */
  readonly layers: readonly LayerFacts[]
  /** What the layers have and the WIM has not. */
  readonly lost: readonly Loss[]
}

export interface WimFromLayersImage {
  readonly index: number
  readonly name: string
  /** The root is one. */
  readonly directories: number
  /** Names of everything else. */
  readonly files: number
  readonly totalBytes: number
}

/** Whose sizes are within 3 % (LZX) and 0.5 % of those of libwim's normal level, at several times and somewhat more of its speed. */
const LEVELS = { lzx: 20, xpress: 30, none: 0 } as const
/** A hash and the number before it, as `native/layer/layer_capture.h` tells them. */
const TOLD_SIZE = 24

/**
 * Applies `layers` in order and writes the images to `path`, an existing file: `Files` is the first, `UtilityVM/Files` the
 * second. Same layers, same options, same bytes. One layer is read once; of several, each twice, so that nothing is written
 * that another layer takes away. On an error what was written is the caller's to remove; {@link writeWimFromLayers} does it.
 * Throws INVALID_ARGUMENT, LAYER_CORRUPT, LAYER_UNSUPPORTED, NO_SPACE, ABORTED, and what reading the layers throws.
 */
export async function wimFromLayers(
  layers: readonly LayerOrigin[],
  { path, name }: { readonly path: string; readonly name: string },
  options: WimFromLayersOptions = {},
): Promise<WimFromLayers> {
  const { compression = { type: 'lzx' }, integrityTable = false, unixData = false, signal, onProgress } = options
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
        onBatch: batch =>
          decodeTarEntries(batch, false).forEach(entry => applied.add(entry, entry.head.toString('latin1'))),
      }),
    )
    applied.endLayer()
  }
  const images = several?.images ?? applied.images()
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
  const made = await seal(capture, images, applied, name, options)
  onProgress?.({ type: 'done', subject: name })
  return { ...made, layers: facts, lost: losses.list() }
}

/**
 * {@link wimFromLayers} of the files `layers` (one `-`: standard input) into a file of its own: written beside its place,
 * then renamed, so that `output` is whole or not there. Throws OUTPUT_EXISTS unless `force`.
 */
export async function writeWimFromLayers(
  layers: readonly string[],
  output: string,
  { force = false, ...options }: WimFromLayersOptions & { readonly force?: boolean } = {},
): Promise<WimFromLayers> {
  for (const layer of layers.length > 1 ? layers : []) {
    const facts = layer === '-' ? undefined : await stat(layer).catch(() => undefined) // what is not there says so when it is opened
    if (layer !== '-' && (!facts || facts.isFile() || facts.isDirectory())) continue
    throw new StowageError(
      'INVALID_ARGUMENT',
      `several layers are read twice each, which is not possible for ${layer === '-' ? 'standard input' : layer}`,
      {
        hint: 'Write it to a file first.',
      },
    )
  }
  const origins = layers.map(layer => ({
    name: layer === '-' ? 'standard input' : layer,
    open: async () => await openLayer(layer),
  }))
  const inputs = layers.filter(layer => layer !== '-')
  return await writeLayerFile(
    output,
    { force, inputs, signal: options.signal },
    async ({ path }) => await wimFromLayers(origins, { path, name: output }, options),
  )
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
    throw new StowageError('INVALID_ARGUMENT', `a version (${osVersion}) was given, but no architecture to go with it`)
  }
}

/** The first of two passes: what is in all layers together. */
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
  for (let at = 0; at + TOLD_SIZE <= batch.length; at += TOLD_SIZE) {
    const content = contents.get(batch.readUInt32LE(at))
    if (content) content.sha1 = batch.toString('latin1', at + 4, at + TOLD_SIZE)
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
  // The order in which links were met depends on nothing but the layers, but the tree may be walked in another way one day.
  const blobs = [...own].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, bytes]) => bytes)
  const size = await capture.seal(
    { blobs, images: encoded.map(({ bytes }) => bytes), xml: encodeImages(described) },
    name,
  )
  const images = described.map(({ directories, files, totalBytes, name: called }, n) => ({
    index: n + 1,
    name: called,
    directories,
    files,
    totalBytes,
  }))
  return { size, images }
}
