/** Encodes the two heads of a bundle or an archive: `index.json` for OCI readers, `manifest.json` for docker. */
import type { ImageContent, PlatformImage } from '../blob/closure.js'
import { rootEntry, type SparseForm } from '../blob/stripped.js'
import { StowageError } from '../errors.js'
import { blobPath, namedDescriptor } from '../oci/layout.js'
import { OCI_INDEX } from '../oci/media-type.js'
import { formatReference, namesOnce, type Reference } from '../oci/reference.js'

/** Docker's file name for the list of images in an archive. */
export const DOCKER_FILE = 'manifest.json'

export interface NamedImage {
  readonly image: ImageContent
  readonly names: readonly Reference[]
}

/** Sizes of the heads, in bytes. */
export interface HeadSizes {
  readonly index: number
  readonly docker: number
}

/**
 * Bytes to reserve in a head for one image that is not created yet: enough for a 384-byte name, twice, and eight
 * layers.
 */
const UNMADE_ROOM = 4096

/**
 * `index.json`: one descriptor per image and name (one if the image has no name), with the full name for containerd and
 * a `ref.name` for skopeo: the tag if no other name has it, otherwise the full name. `sparse`: see {@link rootEntry}.
 * A name by digest is left out where the index lists another digest than that.
 */
export function encodeIndex(images: readonly NamedImage[], sparse?: SparseForm): Uint8Array {
  const tags = new Map<string, number>()
  for (const name of images.flatMap(({ names }) => engineNames(names)))
    tags.set(name.tag, (tags.get(name.tag) ?? 0) + 1)
  const manifests = images.flatMap(({ image, names }) => {
    const root = rootEntry(image, sparse)
    const tagged = engineNames(names).map(name =>
      namedDescriptor(root, name, tags.get(name.tag) === 1 ? name.tag : formatReference(name)),
    )
    const byDigest = names.filter(({ tag, digest }) => tag === undefined && digest === root.digest)
    const named = [...tagged, ...byDigest.map(name => namedDescriptor(root, name, formatReference(name)))]
    return named.length === 0 ? [root] : named
  })
  return encode({ schemaVersion: 2, mediaType: OCI_INDEX, manifests })
}

/**
 * `manifest.json`: one entry per image, for the platform that {@link dockerPlatform} chooses, with full names. Windows
 * images come last: a Linux engine stops at the first one, after it has loaded all images before it.
 */
export function encodeDockerManifest(images: readonly NamedImage[]): Uint8Array {
  const entries = images.flatMap(({ image, names }) => {
    const chosen = dockerPlatform(image.platforms)
    if (!chosen) return []
    const entry = {
      Config: blobPath(chosen.manifest.config.digest),
      RepoTags: engineNames(names).map(formatReference),
      Layers: chosen.manifest.layers.map(layer => blobPath(layer.digest)),
    }
    return [{ entry, windows: chosen.config.platform.os === 'windows' }]
  })
  const ordered = [...entries.filter(({ windows }) => !windows), ...entries.filter(({ windows }) => windows)]
  return encode(ordered.map(({ entry }) => entry))
}

/** linux/amd64, else the first Linux platform, else the first platform: a docker archive has one per image. */
export function dockerPlatform(platforms: readonly PlatformImage[]): PlatformImage | undefined {
  const linux = platforms.filter(({ config }) => config.platform.os === 'linux')
  return linux.find(({ config }) => config.platform.architecture === 'amd64') ?? linux[0] ?? platforms[0]
}

/**
 * The names that an engine can hold: each with a tag and without a digest, once. A name that has only a digest is
 * listed in bundle.json only.
 */
export function engineNames(names: readonly Reference[]): readonly (Reference & { readonly tag: string })[] {
  return namesOnce(names.flatMap(({ domain, path, tag }) => (tag === undefined ? [] : [{ domain, path, tag }])))
}

/** The largest sizes that the heads of these images can have, plus `unmade` images that are not known yet. */
export function reserveHeads(images: readonly NamedImage[], unmade: number, sparse?: SparseForm): HeadSizes {
  // ref.name may still change from a tag to a full name if an image added later takes the same tag
  const growth =
    unmade === 0
      ? 0
      : images.flatMap(({ names }) => engineNames(names)).reduce((sum, name) => sum + formatReference(name).length, 0)
  return {
    index: encodeIndex(images, sparse).length + growth + unmade * UNMADE_ROOM,
    docker: encodeDockerManifest(images).length + unmade * UNMADE_ROOM,
  }
}

/**
 * `json` padded with spaces to `size` bytes before its final line feed: still the same JSON. Throws UNSUPPORTED if it
 * is longer.
 */
export function padHead(json: Uint8Array, size: number, file: string): Uint8Array {
  if (json.length > size) {
    throw new StowageError(
      'UNSUPPORTED',
      `${file} has ${json.length} bytes, but only ${size} were reserved for it at the start of the tar`,
      { hint: 'Write the bundle as a directory, whose heads are written last.' },
    )
  }
  const padded = new Uint8Array(size).fill(0x20)
  padded.set(json.subarray(0, json.length - 1))
  padded[size - 1] = 0x0a
  return padded
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value)}\n`)
}
