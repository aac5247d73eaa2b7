/** The two heads of a bundle, `index.json` for OCI readers and `manifest.json` for docker ones, made from its images. */
import type { ImageContent, PlatformImage } from '../blob/closure.js'
import { rootEntry, type SparseForm } from '../blob/stripped.js'
import { StowageError } from '../errors.js'
import { blobPath, namedDescriptor } from '../oci/layout.js'
import { OCI_INDEX } from '../oci/media-type.js'
import { formatReference, namesOnce, type Reference } from '../oci/reference.js'

/** Docker's own name for the list of images in an archive. */
export const DOCKER_FILE = 'manifest.json'

export interface NamedImage {
  readonly image: ImageContent
  readonly names: readonly Reference[]
}

/** Room the heads need, in bytes. */
export interface HeadSizes {
  readonly index: number
  readonly docker: number
}

/** More than one image that is not made yet can need in a head: a name of 384 bytes, twice, and eight layers. */
const UNMADE_ROOM = 4096

/**
 * `index.json`: a descriptor for each image and name, in their order, with the full name for containerd and a `ref.name`
 * for skopeo: the tag where no other image of the bundle has it, else the full name. `sparse`: as {@link rootEntry}.
 */
export function encodeIndex(images: readonly NamedImage[], sparse?: SparseForm): Uint8Array {
  const tags = new Map<string, number>()
  for (const name of images.flatMap(({ names }) => engineNames(names)))
    tags.set(name.tag, (tags.get(name.tag) ?? 0) + 1)
  const manifests = images.flatMap(({ image, names }) => {
    const root = rootEntry(image, sparse)
    const named = engineNames(names).map(name =>
      namedDescriptor(root, name, tags.get(name.tag) === 1 ? name.tag : formatReference(name)),
    )
    return named.length === 0 ? [root] : named
  })
  return encode({ schemaVersion: 2, mediaType: OCI_INDEX, manifests })
}

/**
 * `manifest.json`: one entry an image, for the one platform that {@link dockerPlatform} chooses, with full names. Windows
 * images come last: a Linux engine stops at the first of them, and has loaded those before.
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

/** linux/amd64 where the image has it, else its first Linux, else its first platform: a docker archive has one each. */
export function dockerPlatform(platforms: readonly PlatformImage[]): PlatformImage | undefined {
  const linux = platforms.filter(({ config }) => config.platform.os === 'linux')
  return linux.find(({ config }) => config.platform.architecture === 'amd64') ?? linux[0] ?? platforms[0]
}

/**
 * Names an engine can have: with a tag and without a digest, each once. A name that is a digest alone is in bundle.json
 * only.
 */
export function engineNames(names: readonly Reference[]): readonly (Reference & { readonly tag: string })[] {
  return namesOnce(names.flatMap(({ domain, path, tag }) => (tag === undefined ? [] : [{ domain, path, tag }])))
}

/** What the heads of these images need at most, with `unmade` more of which nothing is known yet. */
export function reserveHeads(images: readonly NamedImage[], unmade: number, sparse?: SparseForm): HeadSizes {
  // ref.name may yet turn from a tag into a full name when an unmade image takes the same tag
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
 * `json` filled with spaces up to `size`, with its line feed at the end: still the same JSON. Throws UNSUPPORTED when it is
 * longer.
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
