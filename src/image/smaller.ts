/** What would make a copy of images smaller: fewer platforms, other compression. */
import type { ImageContent } from '../blob/closure.js'
import { compressionOfMediaType } from '../oci/compression.js'
import { eachOnce } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { isTarLayer } from '../oci/media-type.js'
import { formatPlatform } from '../oci/platform.js'
import { exactSize } from '../size-text.js'

interface SmallerOptions {
  /** Layers that are not copied. */
  readonly leftOut?: ReadonlySet<Digest>
  /** Number of images whose layers are made on the way. */
  readonly pendingImages?: number | undefined
  /** Whether the destination can be compressed as a whole. */
  readonly zstd?: boolean
}

/** Platforms to name: an image may have dozens. */
const MOST_NAMED = 8

/** Each as the end of a sentence that begins with "Free 3MB, or"; sizes are exact unless they are called estimates. */
export function smallerWays(
  images: readonly ImageContent[],
  { leftOut = new Set(), pendingImages = 0, zstd = false }: SmallerOptions = {},
): readonly string[] {
  const layers = eachOnce(images.flatMap(image => image.layers)).filter(({ digest }) => !leftOut.has(digest))
  const plain = layers
    .filter(({ mediaType }) => isTarLayer(mediaType) && compressionOfMediaType(mediaType) === undefined)
    .reduce((sum, { size }) => sum + size, 0)
  return [
    ...fewerPlatforms(images, leftOut),
    ...(pendingImages > 0
      ? ['or compress the layers that are made with --compression zstd (smaller, by an estimate)']
      : []),
    ...(zstd && plain > 0
      ? [
          `or pack it elsewhere as FILE.tar.zst and copy that: ${exactSize(plain)} are layers that are not compressed, which zstd makes half as large, by an estimate`,
        ]
      : []),
  ]
}

/** `or take fewer platforms (--platform): without linux/s390x it is 5MB (5000000 bytes) less; …`. */
function fewerPlatforms(images: readonly ImageContent[], leftOut: ReadonlySet<Digest>): readonly string[] {
  const owners = new Map<Digest, { readonly size: number; readonly platforms: Set<string> }>()
  const all = new Set<string>()
  for (const { descriptor, manifest, config } of images.flatMap(({ platforms }) => platforms)) {
    const platform = formatPlatform(config.platform)
    all.add(platform)
    for (const { digest, size } of [descriptor, manifest.config, ...manifest.layers]) {
      if (leftOut.has(digest)) continue
      const owner = owners.get(digest) ?? { size, platforms: new Set() }
      owner.platforms.add(platform)
      owners.set(digest, owner)
    }
  }
  if (all.size < 2) return []
  const own = [...all].map(platform => {
    const blobs = [...owners.values()].filter(({ platforms }) => platforms.size === 1 && platforms.has(platform))
    return { platform, size: blobs.reduce((sum, { size }) => sum + size, 0) }
  })
  const listed = own.sort((a, b) => b.size - a.size).slice(0, MOST_NAMED)
  const texts = listed.map(({ platform, size }) => `without ${platform} it is ${exactSize(size)} less`)
  return [`or take fewer platforms (--platform): ${texts.join('; ')}`]
}
