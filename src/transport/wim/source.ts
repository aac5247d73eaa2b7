/** `wim:FILE[#IMAGE]`: a Windows base OS image in a WIM, as a one-layer container image. */
import type { BlobStage, Bytes } from '../../blob/blob-store.js'
import { StowageError } from '../../errors.js'
import { rfc3339 } from '../../windows/filetime.js'
import { chooseImage, type LayerFromWimOptions, layerFromWim, type WindowsLayer } from '../../layer/make/from-wim.js'
import type { Descriptor } from '../../oci/descriptor.js'
import { BASE_IMAGE_PUBLISHER, identityLabels } from '../../oci/image-identity.js'
import { parsePlatformSelector, type Platform } from '../../oci/platform.js'
import { nameMadeOf, type Reference } from '../../oci/reference.js'
import type { WaitOptions } from '../../progress.js'
import type { WimImage } from '../../wim/image.js'
import { openWim, type WimFile } from '../../wim/wim-file.js'
import type { ImageSource, SourceImage } from '../../image/image-source.js'
import { MadeImage } from '../../image/made-image.js'
import { platformOf } from './platform.js'

/** How to create a layer from a WIM. */
export interface WimLayerOptions extends Omit<LayerFromWimOptions, 'image' | 'unixData' | keyof WaitOptions> {
  /** Other WIM files that hold blobs of this one, as for a delta WIM: paths or shell patterns. */
  readonly references?: readonly string[] | undefined
}

export interface WimSourceOptions extends Omit<LayerFromWimOptions, 'unixData'>, Pick<WimLayerOptions, 'references'> {
  /** The image's name; derived from the XML if left out: `nanoserver:10.0.14300.1010`. */
  readonly name?: Reference | undefined
  /** The platform, `os/arch[:os.version]`, of an image whose XML does not state its architecture. */
  readonly platforms?: readonly string[] | undefined
  /** Where to write the layer: once, to its final location. */
  readonly stage: BlobStage
}

/**
 * Opens `file`. Its one image is created when it is requested: the layer goes to the stage, where the code that copies
 * the image finds it; config and manifest are served from memory. Throws what {@link openWim} throws.
 */
export async function openWimSource(
  file: string,
  { name, stage, references, platforms = [], ...options }: WimSourceOptions,
): Promise<ImageSource> {
  const selectors = platforms.map(parsePlatformSelector)
  return new WimSource(await openReferencingWim(file, references, options.signal), name, selectors, stage, options)
}

/**
 * Opens `file` together with the WIM files that hold the blobs it lacks. Throws what {@link openWim} throws, and
 * FILE_NOT_FOUND for a pattern that matches no file.
 */
export async function openReferencingWim(
  file: string,
  references: readonly string[] = [],
  signal?: AbortSignal,
): Promise<WimFile> {
  const wim = await openWim(file)
  try {
    if (references.length > 0) await wim.referenceFiles(references, { glob: true, errorIfNoMatch: true, signal })
    return wim
  } catch (error) {
    await wim[Symbol.asyncDispose]()
    throw error
  }
}

class WimSource implements ImageSource {
  readonly #wim: WimFile
  readonly #name: Reference | undefined
  readonly #selectors: readonly Partial<Platform>[]
  readonly #stage: BlobStage
  readonly #options: LayerFromWimOptions
  readonly #image: MadeImage
  #made: Promise<SourceImage> | undefined

  constructor(
    wim: WimFile,
    name: Reference | undefined,
    selectors: readonly Partial<Platform>[],
    stage: BlobStage,
    options: LayerFromWimOptions,
  ) {
    this.#wim = wim
    this.#image = new MadeImage(wim.path ?? 'the WIM')
    this.#name = name
    this.#selectors = selectors
    this.#stage = stage
    this.#options = options
  }

  async images(): Promise<readonly SourceImage[]> {
    this.#made ??= this.#make()
    return [await this.#made]
  }

  async has(blob: Descriptor): Promise<boolean> {
    return await this.#image.has(blob)
  }

  fetch(blob: Descriptor): Bytes {
    return this.#image.fetch(blob)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#wim[Symbol.asyncDispose]()
  }

  async #make(): Promise<SourceImage> {
    const image = chooseImage(this.#wim, this.#options.image)
    const platform = platformOf(this.#wim, image, this.#selectors)
    const name = this.#name ?? wimImageName(this.#wim, image, platform)
    const layer = await this.#stage.create(target => layerFromWim(this.#wim, target, this.#options))
    return { root: { ...this.#image.make(configOf(layer, platform), [layer]), platform }, names: [name] }
  }
}

/** Source: OCI image-spec, config.md. */
function configOf(layer: WindowsLayer, platform: Platform): unknown {
  const time = layer.image.created === undefined ? undefined : rfc3339(layer.image.created)
  const created = time === undefined ? {} : { created: time }
  const version = platform['os.version'] ?? layer.image.name
  return {
    ...created,
    architecture: platform.architecture,
    os: platform.os,
    ...(platform['os.version'] ? { 'os.version': platform['os.version'] } : {}),
    config: {
      Cmd: ['c:\\windows\\system32\\cmd.exe'],
      Labels: identityLabels({
        name: layer.image.name,
        publisher: BASE_IMAGE_PUBLISHER,
        version: platform['os.version'] ?? '',
      }),
    },
    rootfs: { type: 'layers', diff_ids: [layer.diffId] },
    history: [{ ...created, created_by: `Apply image ${version}` }],
  }
}

/**
 * `NanoServer` with version 10.0.14300.1010 becomes `nanoserver:10.0.14300.1010`, as the 2016 provider tagged it.
 * Throws INVALID_REFERENCE.
 */
export function wimImageName(wim: WimFile, image: WimImage, platform: Platform): Reference {
  const name = nameMadeOf(image.name, platform['os.version'])
  if (name) return name
  throw new StowageError(
    'INVALID_REFERENCE',
    `${wim.path}: cannot derive an image name from ${JSON.stringify(image.name)}`,
    {
      hint: 'Name it with --tag.',
    },
  )
}
