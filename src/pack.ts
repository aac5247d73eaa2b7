/** Pack: images from any source into one bundle. */
import { stat } from 'node:fs/promises'
import { type ImageContent, readImage } from './blob/closure.js'
import type { BundleManifest } from './bundle/manifest.js'
import { type BundleWriter, isTarPath, openBundleWriter } from './bundle/writer.js'
import { copyContent } from './copy.js'
import { abortError, fileError, StowageError } from './errors.js'
import { nameToGive, type Reference } from './oci/reference.js'
import { openSource, type OpenSourceOptions } from './open.js'
import type { WaitOptions } from './progress.js'
import type { ImageSource } from './source/image-source.js'
import { type Location, parseLocation } from './source/location.js'
import type { WimLayerOptions } from './source/wim.js'
import { sourceDateEpoch } from './tar/source-date-epoch.js'

export interface PackOptions extends WaitOptions {
  /** Names for the image instead of its own; only where one image is packed. */
  readonly names?: readonly string[] | undefined
  /** Engine address for `docker-daemon:` images. */
  readonly host?: string | undefined
  /** Registries (`host[:port]`) to speak plain http with; loopback ones need not be named. */
  readonly insecure?: readonly string[] | undefined
  /** How layers are made of WIMs; the bytes of every other image stay as they are. */
  readonly layer?: Omit<WimLayerOptions, 'onSkipped'> | undefined
  /** Seconds since 1970 for all times in the bundle; the environment's SOURCE_DATE_EPOCH when left out. */
  readonly epoch?: number | undefined
}

export interface PackResult {
  readonly path: string
  readonly form: 'directory' | 'tar'
  /** Of all files, in bytes. */
  readonly size: number
  readonly manifest: BundleManifest
  /** What `layer.skipUnsupported` left out of WIMs: paths in the layer with the reason. */
  readonly skipped: readonly string[]
  /** What is doubtful about layers made of WIMs, a sentence each. */
  readonly warnings: readonly string[]
}

/** An image that was read, with what is needed to copy it. */
interface Prepared {
  readonly source: ImageSource
  readonly image: ImageContent
  readonly names: readonly Reference[]
}

/**
 * Packs `images` (locations, see parseLocation()) into the bundle `output`: one tar where the name ends in `.tar`, else a
 * directory. Everything but WIM layers is read and planned before the first byte is written. When it throws, nothing is
 * left;
 * after ABORTED a directory keeps its finished blobs, and the same call goes on with them.
 * Throws INVALID_ARGUMENT, OUTPUT_EXISTS, NO_SPACE, ABORTED, and what the sources throw.
 */
export async function pack(images: readonly string[], output: string, options: PackOptions = {}): Promise<PackResult> {
  const { names, host, insecure, layer, signal, onProgress, epoch = sourceDateEpoch() } = options
  if (output === '' || output === '-') {
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(output)} is no output: a bundle is a directory or a file`, {
      hint: 'Name a directory, or a file that ends in .tar; one that is really called "-" is ./-',
    })
  }
  if (images.length === 0) throw new StowageError('INVALID_ARGUMENT', 'no image was named to pack')
  if (names && names.length > 0 && images.length > 1) {
    throw new StowageError('INVALID_ARGUMENT', `a name was given for ${images.length} images`, {
      hint: 'Pack them one by one, or leave out --tag.',
    })
  }
  const locations = images.map(parseLocation)
  const references = names?.map(nameToGive) ?? []
  if (signal?.aborted) throw abortError(signal.reason, signal)
  const sources: ImageSource[] = []
  const skipped: string[] = []
  const warnings: string[] = []
  const onWarning = (warning: string): void => {
    warnings.push(warning)
    layer?.onWarning?.(warning)
  }
  const writer = await openBundleWriter(output, { signal, epoch })
  try {
    const prepared = await prepare(locations, writer, sources, {
      names: references,
      host,
      insecure,
      layer: { ...layer, onSkipped: paths => skipped.push(...paths), onWarning },
      signal,
      onProgress,
    })
    for (const { source, image, names: own } of prepared) {
      await copyContent(source, image, writer, { names: own, signal, onProgress })
    }
    const manifest = await writer.seal()
    return {
      path: output,
      form: isTarPath(output) ? 'tar' : 'directory',
      size: await sizeOfBundle(output, manifest),
      manifest,
      skipped,
      warnings,
    }
  } catch (error) {
    throw withResumeHint(abortError(error, signal), output)
  } finally {
    for (const source of sources) await source[Symbol.asyncDispose]()
    await writer[Symbol.asyncDispose]()
  }
}

interface PrepareOptions extends WaitOptions {
  readonly names: readonly Reference[]
  readonly host: string | undefined
  readonly insecure: readonly string[] | undefined
  readonly layer: OpenSourceOptions['layer']
}

/** Opens and reads all images, those that are made here last; the result is in the order of `locations`. */
async function prepare(
  locations: readonly Location[],
  writer: BundleWriter,
  sources: ImageSource[],
  { names, host, insecure, layer, signal, onProgress }: PrepareOptions,
): Promise<readonly Prepared[]> {
  const prepared = new Map<Location, readonly Prepared[]>()
  const born = locations.filter(location => location.type === 'wim')
  for (const location of locations) if (location.type !== 'wim') prepared.set(location, await read(location))
  await writer.plan([...prepared.values()].flat(), born.length)
  for (const location of born) prepared.set(location, await read(location))
  const all = locations.flatMap(location => prepared.get(location) ?? [])
  if (names.length > 0 && all.length > 1) {
    throw new StowageError('INVALID_ARGUMENT', `a name was given for ${all.length} images`, {
      hint: 'Name one image of the bundle: bundle:PATH:REF.',
    })
  }
  return all

  async function read(location: Location): Promise<readonly Prepared[]> {
    const source = await openSource(location, {
      stage: writer,
      spool: async () => await writer.spool(),
      host,
      insecure,
      layer,
      name: names[0],
      signal,
      onProgress,
    })
    sources.push(source)
    const found: Prepared[] = []
    for (const image of await source.images({ signal })) {
      const content = await readImage(source, image.root, { signal })
      found.push({ source, image: content, names: names.length > 0 ? names : image.names })
    }
    return found
  }
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
  if (!(error instanceof StowageError) || error.code !== 'ABORTED') return error
  const hint = isTarPath(output)
    ? `Nothing is left of ${output}.`
    : `What is finished stays in ${output}, marked INCOMPLETE: run the same command again and it goes on from there.`
  return new StowageError('ABORTED', error.message, { hint, cause: error.cause })
}
