/** Pack: images from any source into one bundle. */
import { stat } from 'node:fs/promises'
import pMap from 'p-map'
import { type ImageContent, readImage } from '../blob/closure.js'
import { wantedBlobs } from '../blob/fill.js'
import { withPlainLayers } from '../blob/plain-layers.js'
import { readPlatforms } from '../blob/platforms.js'
import { carriedPath } from '../bundle/carried.js'
import type { BundleManifest } from '../bundle/manifest.js'
import { isTarPath } from '../bundle/files.js'
import { type BundleWriter, openBundleWriter } from '../bundle/writer.js'
import { copyContent, recorded } from './copy.js'
import { abortError, fileError, isInterruption, StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import { formatPlatform } from '../oci/platform.js'
import { formatReference, nameToGive, type Reference } from '../oci/reference.js'
import { makesLayer, openSource, type OpenSourceOptions } from '../transport/open.js'
import type { WaitOptions } from '../progress.js'
import { Registries } from '../registry/registries.js'
import type { ImageSource } from '../image/image-source.js'
import { parseLocation } from '../transport/location.js'
import { findReferrers } from '../image/referrers.js'
import type { WimLayerOptions } from '../transport/wim/source.js'
import { sourceDateEpoch } from '../tar/source-date-epoch.js'

/** One image to pack, with what holds for it alone. */
export interface PackImage {
  /** A location, see parseLocation(). */
  readonly image: string
  /** Names in the bundle instead of its own; only where the location is one image. */
  readonly names?: readonly string[] | undefined
  /** Instead of those of all images. */
  readonly platforms?: readonly string[] | undefined
  readonly referrers?: boolean | undefined
  /** How its layer is made of a WIM, beside what holds for all. */
  readonly layer?: PackOptions['layer']
}

export interface PackOptions extends WaitOptions {
  /** Names for the image instead of its own; only where one image is packed. */
  readonly names?: readonly string[] | undefined
  /** Of an index only these, `os[/arch[/variant]][:os.version]`; all its platforms where none is named. */
  readonly platforms?: readonly string[] | undefined
  /** Takes along what refers to the images: signatures, SBOMs and attestations, by `subject` or by cosign's tags. */
  readonly referrers?: boolean | undefined
  /** Foreign layers stay what they are (`keep`, the default), or are handed on as any other (`plain`): then the image's digest is another. */
  readonly foreignLayers?: 'keep' | 'plain' | undefined
  /** Blobs under way at a time. */
  readonly jobs?: number | undefined
  /** Files that are carried beside the images: `from` on this machine as `files/PATH` in the bundle. */
  readonly files?: readonly { readonly from: string; readonly path: string }[] | undefined
  /** A bundle that stands in the directory `output` already becomes what is packed now, and is what it was until the end. */
  readonly update?: boolean | undefined
  /** Looks at all images before the bundle is made whole: where it throws, the output is what it was before. */
  readonly accept?: ((packed: readonly PackedImage[]) => void) | undefined
  /** What a person should know while it goes on, a sentence each: a registry that lets little more be asked of it. */
  readonly onNotice?: ((sentence: string) => void) | undefined
  /** Engine address for `docker-daemon:` images. */
  readonly host?: string | undefined
  /** Registries (`host[:port]`) to speak plain http with; loopback ones need not be named. */
  readonly insecure?: readonly string[] | undefined
  /** How layers are made of WIMs; the bytes of every other image stay as they are. */
  readonly layer?: Omit<WimLayerOptions, 'onSkipped'> | undefined
  /** Seconds since 1970 for all times in the bundle; the environment's SOURCE_DATE_EPOCH when left out. */
  readonly epoch?: number | undefined
}

/** What became of one {@link PackImage}. */
export interface PackedImage {
  readonly image: string
  readonly root: Descriptor
  /** Full references. */
  readonly names: readonly string[]
  readonly platforms: readonly string[]
}

export interface PackResult {
  readonly path: string
  readonly form: 'directory' | 'tar'
  /** Of all files, in bytes. */
  readonly size: number
  readonly manifest: BundleManifest
  /** The very same bundle stood there before, and nothing was written. */
  readonly unchanged: boolean
  /** Every image that was asked for, in that order; a location of several images has several. */
  readonly packed: readonly PackedImage[]
  /** What `layer.skipUnsupported` left out of WIMs: paths in the layer with the reason. */
  readonly skipped: readonly string[]
  /** What is doubtful about layers made of WIMs, a sentence each. */
  readonly warnings: readonly string[]
}

/** An image that was read, with what is needed to copy it. */
interface Prepared {
  readonly request: PackImage
  readonly source: ImageSource
  readonly image: ImageContent
  readonly names: readonly Reference[]
}

/** Sources that are opened and read at a time: manifests and configs are small, and the way to them is long. */
const READ_AT_ONCE = 6

/**
 * Packs `images` (locations, see parseLocation(), or {@link PackImage}s) into the bundle `output`: one tar where the name ends
 * in `.tar`, else a directory. Everything but WIM layers is read and planned before the first byte is written. When it throws,
 * nothing is left; after ABORTED, or when a registry could no longer be reached, a directory keeps what came, and the same call
 * goes on with it. A bundle that stands in a directory stays where it holds just this, and where `update` says so becomes this.
 * Throws INVALID_ARGUMENT, OUTPUT_EXISTS, NO_SPACE, ABORTED, and what the sources throw.
 */
export async function pack(
  images: readonly (string | PackImage)[],
  output: string,
  options: PackOptions = {},
): Promise<PackResult> {
  const { names, insecure, layer, signal, epoch = sourceDateEpoch() } = options
  if (output === '' || output === '-') {
    throw new StowageError(
      'INVALID_ARGUMENT',
      `${JSON.stringify(output)} is no output: a bundle is a directory or a file`,
      {
        hint: 'Name a directory, or a file that ends in .tar; one that is really called "-" is ./-',
      },
    )
  }
  if (images.length === 0 && (options.files ?? []).length === 0)
    throw new StowageError('INVALID_ARGUMENT', 'no image was named to pack')
  if (names && names.length > 0 && images.length > 1) {
    throw new StowageError('INVALID_ARGUMENT', `a name was given for ${images.length} images`, {
      hint: 'Pack them one by one, or leave out --tag.',
    })
  }
  const requests = images.map(image => ({ names, ...(typeof image === 'string' ? { image } : image) }))
  for (const { image, names: given } of requests) [parseLocation(image), given?.map(nameToGive)]
  const places: string[] = []
  for (const { path } of options.files ?? []) places.push(carriedPath(path, places)) // told before images are copied, not after
  if (signal?.aborted) throw abortError(signal.reason, signal)
  const { making, leftOut: skipped, warnings } = recorded(layer)
  await using writer = await openBundleWriter(output, { signal, epoch, update: options.update })
  await using registries = new Registries({ insecure, onLimit: options.onNotice })
  const opened: ImageSource[] = []
  try {
    const prepared = await prepare(requests, writer, { ...options, layer: making, registries, opened })
    await copyAll(prepared, writer, output, options)
    for (const { from, path } of options.files ?? [])
      await writer.addFile(path, from, { signal, onProgress: options.onProgress })
    const packed = prepared.map(({ request, image, names: given }) => ({
      image: request.image,
      root: image.root,
      names: given.map(formatReference),
      platforms: image.platforms.map(({ config }) => formatPlatform(config.platform)),
    }))
    options.accept?.(packed)
    const manifest = await writer.seal()
    return {
      path: output,
      form: isTarPath(output) ? 'tar' : 'directory',
      size: await sizeOfBundle(output, manifest),
      manifest,
      unchanged: writer.unchanged,
      packed,
      skipped,
      warnings,
    }
  } catch (error) {
    const told = abortError(error, signal)
    if (writer.standing) throw told
    if (isInterruption(told)) writer.keep()
    throw withResumeHint(told, output)
  } finally {
    for (const source of opened) await source[Symbol.asyncDispose]()
  }
}

/** All blobs of all images in one queue, and then the images, which find them there. */
async function copyAll(
  prepared: readonly Prepared[],
  writer: BundleWriter,
  output: string,
  { jobs, signal, onProgress }: PackOptions,
): Promise<void> {
  const wanted = prepared.flatMap(({ source, image }) => wantedBlobs(image, source))
  const total = [...new Map(wanted.map(({ blob }) => [blob.digest, blob.size])).values()].reduce(
    (sum, size) => sum + size,
    0,
  )
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
  for (const { source, image, names } of prepared) await copyContent(source, image, writer, { names, signal })
  onProgress?.({ type: 'done', subject: output })
}

interface PrepareOptions extends PackOptions {
  readonly layer: NonNullable<OpenSourceOptions['layer']>
  readonly registries: Registries
  /** Takes the sources that were opened. */
  readonly opened: ImageSource[]
}

/** Opens and reads all images, those that are made here last; the result is in the order of `requests`. */
async function prepare(
  requests: readonly PackImage[],
  writer: BundleWriter,
  options: PrepareOptions,
): Promise<readonly Prepared[]> {
  const { host, registries, layer, signal, onProgress, opened } = options
  const read = new Map<PackImage, readonly Prepared[]>()
  const born: PackImage[] = []
  for (const request of requests) if (await makesLayer(parseLocation(request.image))) born.push(request)
  const found = requests.filter(request => !born.includes(request))
  let failure: { readonly error: unknown } | undefined
  await pMap(
    found,
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
  await writer.plan(
    requests.flatMap(request => read.get(request) ?? []),
    born.length,
    await sizeOfFiles(options.files ?? []),
  )
  for (const request of born) read.set(request, await open(request))
  return requests.flatMap(request => read.get(request) ?? [])

  async function open(request: PackImage): Promise<readonly Prepared[]> {
    const names = request.names?.map(nameToGive) ?? []
    const platforms = request.platforms ?? options.platforms
    const source = await openSource(parseLocation(request.image), {
      stage: writer,
      spool: async () => await writer.spool(),
      host,
      registries,
      layer: { ...layer, ...request.layer },
      name: names[0],
      platforms,
      signal,
      onProgress,
    })
    opened.push(source)
    const images = await source.images({ signal })
    if (images.length === 0) throw new StowageError('IMAGE_NOT_FOUND', `${request.image} holds no image`)
    if (names.length > 0 && images.length > 1) {
      throw new StowageError('INVALID_ARGUMENT', `a name was given for ${images.length} images`, {
        hint: 'Name one image of the bundle: bundle:PATH:REF.',
      })
    }
    const contents: Prepared[] = []
    for (const { root, names: own, absent } of images) {
      const image = await readPlatforms(source, root, { platforms, absent, name: request.image, signal })
      const given = names.length > 0 ? names : own
      contents.push({ request, source, image: prepared(image), names: given })
      if (request.referrers ?? options.referrers) contents.push(...(await about(request, source, image, given)))
    }
    return contents
  }

  function prepared(image: ImageContent): ImageContent {
    return options.foreignLayers === 'plain' ? withPlainLayers(image) : image
  }

  async function about(
    request: PackImage,
    source: ImageSource,
    image: ImageContent,
    given: readonly Reference[],
  ): Promise<readonly Prepared[]> {
    const found: Prepared[] = []
    for (const { root, names, absent } of await findReferrers(source, image, given, { signal })) {
      found.push({ request, source, image: await readImage(source, root, { absent, signal }), names })
    }
    return found
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

async function sizeOfBundle(output: string, manifest: BundleManifest): Promise<number> {
  try {
    const found = await stat(output)
    if (found.isFile()) return found.size
  } catch (error) {
    throw fileError(error, output)
  }
  return manifest.files.reduce((sum, file) => sum + file.size, 0)
}

function withResumeHint(error: unknown, output: string): unknown {
  if (!isInterruption(error)) return error
  if (isTarPath(output)) {
    return error.code === 'ABORTED'
      ? new StowageError('ABORTED', error.message, { hint: `Nothing is left of ${output}.`, cause: error.cause })
      : error
  }
  const kept = `What is finished stays in ${output}, marked INCOMPLETE: run the same command again and it goes on from there.`
  return new StowageError(error.code, error.message, {
    hint: error.hint === undefined ? kept : `${error.hint} ${kept}`,
    cause: error.cause,
  })
}
