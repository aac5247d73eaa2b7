/** Which images of a bundle are loaded, and where to. */
import { FILES } from '../bundle/contents.js'
import type { AssumedImage } from '../bundle/delta.js'
import type { BundleImage, BundleManifest } from '../bundle/manifest.js'
import { entriesOf } from '../bundle/reader.js'
import { StowageError } from '../errors.js'
import { type NamedEntry, selectImage } from '../image/selection.js'
import { formatPlatform, matchesPlatform, type Platform } from '../oci/platform.js'
import { formatReference, parseReference } from '../oci/reference.js'
import { nameAt } from '../transfer/names.js'
import { formatLocation, transportOf } from '../transport/location.js'
import { expectDestination } from '../transport/open.js'
import type { DestinationTransport, Location } from '../transport/transport.js'

/** A requested platform. */
export interface Selector {
  readonly text: string
  readonly selector: Partial<Platform>
}

/** The `selectors` that match the image; not every image of a bundle has every platform. */
export function selectorsOf({ platforms }: BundleImage, selectors: readonly Selector[]): readonly string[] {
  return selectors
    .filter(({ selector }) => platforms.some(({ platform }) => matchesPlatform(platform, selector)))
    .map(({ text }) => text)
}

/** What is selected of a bundle. */
export interface ChosenImages {
  readonly images: readonly BundleImage[]
  /** Of a delta: those that it leaves out whole. */
  readonly present: readonly AssumedImage[]
}

/**
 * The images of the bundle `path` that `names` (or all) and `selectors` select. Throws IMAGE_NOT_FOUND if there is none,
 * or none for a name.
 */
export function chooseImages(
  manifest: BundleManifest,
  path: string,
  selectors: readonly Selector[],
  names: readonly string[],
): ChosenImages {
  const { images, assumes } = manifest
  if (images.length === 0 && !assumes) {
    throw new StowageError('IMAGE_NOT_FOUND', `${path} holds no image`, {
      hint: manifest.files.some(file => file.path.startsWith(`${FILES}/`))
        ? `It contains only files, below ${FILES}/: copy them from there, or use tar -xf if the bundle is a tar.`
        : undefined,
    })
  }
  const entries = [...entriesOf(manifest), ...(assumes?.images ?? []).flatMap(assumedEntries)]
  const wanted = new Set(names.map(name => selectImage(entries, name, path).root.digest))
  const named = names.length === 0 ? images : images.filter(({ root, original = root }) => wanted.has(original.digest))
  const present = (assumes?.images ?? []).filter(
    ({ roots }) => names.length === 0 || roots.some(root => wanted.has(root)),
  )
  const chosen = selectors.length === 0 ? named : named.filter(image => selectorsOf(image, selectors).length > 0)
  if (chosen.length === 0 && present.length === 0) {
    const there = [
      ...new Set(named.flatMap(({ platforms }) => platforms.map(({ platform }) => formatPlatform(platform)))),
    ]
    throw new StowageError('IMAGE_NOT_FOUND', `${path} has no image for the requested platforms`, {
      hint: `It has images for ${there.join(', ')}.`,
    })
  }
  return { images: chosen, present }
}

function assumedEntries({ names, roots: [digest] }: AssumedImage): readonly NamedEntry[] {
  if (digest === undefined) return []
  return names.map(name => ({ root: { mediaType: '', digest, size: 0 }, name: parseReference(name) }))
}

/**
 * In a registry, every image needs a name of its own under `location`. Throws INVALID_ARGUMENT if two images would get
 * the same name, or an image has none.
 */
export function expectNames(location: Location, images: readonly BundleImage[]): void {
  const owners = new Map<string, string>()
  for (const { names, root } of images) {
    if (names.length === 0) {
      throw new StowageError('INVALID_ARGUMENT', `the image ${root.digest} has no name, but a registry requires one`, {
        hint: `Copy it by itself: stowage copy bundle:PATH:${root.digest} docker://NAME.`,
      })
    }
    for (const name of names) {
      const moved = formatReference(nameAt(location, parseReference(name)))
      const other = owners.get(moved)
      if (other !== undefined && other !== root.digest) {
        throw new StowageError('INVALID_ARGUMENT', `two images of the bundle would be ${moved}`, {
          hint: 'Load them one by one, each under its own prefix.',
        })
      }
      owners.set(moved, root.digest)
    }
  }
}

/** Throws INVALID_ARGUMENT for a location that cannot be written, and for a bundle, which `pack` writes. */
export function expectLoadable(location: Location, path: string): DestinationTransport {
  if (transportOf(location).destination?.seals) {
    throw new StowageError(
      'INVALID_ARGUMENT',
      `cannot load to ${formatLocation(location)}: it would be a bundle again`,
      {
        hint: `Pack it: stowage pack bundle:${path} -o ${location.path}.`,
      },
    )
  }
  return expectDestination(location, 'load to')
}
