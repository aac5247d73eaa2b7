/** Inspect: describes an image at any location without reading its layers. */
import { abortError, StowageError } from '../errors.js'
import { type InspectedImage, type ReadInspection, readInspection } from '../image/inspection.js'
import { formatPlatform, parsePlatformSelector } from '../oci/platform.js'
import type { WaitOptions } from '../progress.js'
import { Registries } from '../registry/registries.js'
import { readSource } from '../transfer/read-source.js'
import { formatLocation, transportOf } from '../transport/location.js'
import { sourceLocation } from '../transport/source-location.js'
import type { Location } from '../transport/transport.js'

export interface InspectOptions extends WaitOptions {
  /** The platforms to describe, `os[/arch[/variant]][:os.version]`; defaults to all. */
  readonly platforms?: readonly string[] | undefined
  /** The engine's address for `docker-daemon:`. */
  readonly host?: string | undefined
  /** Registries (`host[:port]`) to contact over plain HTTP; loopback addresses need not be listed. */
  readonly insecure?: readonly string[] | undefined
  /** Hosts (`host[:port]`) whose certificates are accepted without verification; `onNotice` is told so. */
  readonly tlsSkipVerify?: readonly string[] | undefined
  /** Called with notices for the user, one sentence each. */
  readonly onNotice?: ((sentence: string) => void) | undefined
}

export interface Inspection {
  /** The location, as {@link sourceLocation} reads it. */
  readonly location: string
  /** The one image; without a reference, all images of a bundle, an archive or a WIM. */
  readonly images: readonly InspectedImage[]
}

/**
 * Describes what is at `location`: reads and verifies manifests and configs, but not layers. Queries an engine, and
 * reads only the XML of a WIM. Throws IMAGE_NOT_FOUND (also if no platform matches), INVALID_ARGUMENT, and what the
 * source throws.
 */
export async function inspect(location: string, options: InspectOptions = {}): Promise<Inspection> {
  const { platforms = [], insecure, tlsSkipVerify, onNotice, onProgress, signal } = options
  const place = await sourceLocation(location)
  const selectors = platforms.map(parsePlatformSelector)
  try {
    await using registries = new Registries({ insecure, tlsSkipVerify, onNotice, onProgress })
    const own = await transportOf(place).inspect?.(place, { ...options, platforms, selectors, registries })
    const images = own ?? (await readAll(place, options)).map(({ image }) => image)
    return { location: formatLocation(place), images }
  } catch (error) {
    throw abortError(error, signal)
  }
}

/**
 * The exact bytes of the manifest (with `platforms`, that of the platform) or of the config.
 * Throws INVALID_ARGUMENT if several match, UNSUPPORTED if the location stores none, and what {@link inspect} throws.
 */
export async function inspectRaw(
  location: string,
  document: 'manifest' | 'config',
  options: InspectOptions = {},
): Promise<Uint8Array> {
  const place = await sourceLocation(location)
  if (transportOf(place).source?.manifests === 'unread') {
    throw new StowageError(
      'UNSUPPORTED',
      `${formatLocation(place)} has no ${document} until an image is made from it`,
      {
        hint: 'Inspect it without --raw and --config, or copy it first: stowage copy FROM oci:DIR.',
      },
    )
  }
  try {
    const [found, ...others] = await readAll(place, options)
    if (!found || others.length > 0) {
      throw new StowageError(
        'INVALID_ARGUMENT',
        `${location} holds ${others.length + (found ? 1 : 0)} images, and one has a ${document}`,
        { hint: 'Name one: bundle:PATH:REF.' },
      )
    }
    if (document === 'manifest' && (options.platforms ?? []).length === 0) return found.root
    const [platform, ...more] = found.platforms
    if (!platform || more.length > 0) {
      const there = found.platforms.map(({ inspected }) => formatPlatform(inspected.platform)).join(', ')
      throw new StowageError(
        'INVALID_ARGUMENT',
        `${location} has ${found.platforms.length} images that run, and one has a ${document}`,
        {
          hint: there === '' ? undefined : `Choose one with --platform: ${there}.`,
        },
      )
    }
    return document === 'manifest' ? platform.manifest : platform.config
  } catch (error) {
    throw abortError(error, options.signal)
  }
}

async function readAll(
  place: Location,
  { platforms = [], ...options }: InspectOptions,
): Promise<readonly ReadInspection[]> {
  const selectors = platforms.map(parsePlatformSelector)
  return await readSource(place, options, async source => {
    const read: ReadInspection[] = []
    for (const image of await source.images(options)) read.push(await readInspection(source, image, selectors, options))
    return read
  })
}
