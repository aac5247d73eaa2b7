/** Copy: one image from one place to another. */
import { abortError, StowageError } from '../errors.js'
import type { WrittenImage } from '../image/image-destination.js'
import type { Digest } from '../oci/digest.js'
import { formatPlatform } from '../oci/platform.js'
import { nameToGive } from '../oci/reference.js'
import { reportOn } from '../transfer/layer-report.js'
import type { LayerMakingOptions, TransferOptions, WimMakingOptions } from '../transfer/options.js'
import { Transfer } from '../transfer/transfer.js'
import { capability, formatLocation, parseLocation } from '../transport/location.js'

export interface CopyOptions extends TransferOptions, LayerMakingOptions, WimMakingOptions {
  /** Name of the image at the destination instead of its own, `name[:tag]`. */
  readonly name?: string | undefined
}

export interface CopyResult extends Omit<WrittenImage, 'platforms'> {
  /** What was copied runs on these, `os/arch[/variant][:os.version]`. */
  readonly platforms: readonly string[]
  /** What refers to the image and came with it: roots, in the order they were found. */
  readonly referrers: readonly Digest[]
  /** As locations. */
  readonly from: string
  readonly to: string
  /** What `layer.skipUnsupported` left out of a WIM: paths in the layer with the reason. */
  readonly leftOut: readonly string[]
  /** What is doubtful about a layer made from a WIM, a sentence each. */
  readonly warnings: readonly string[]
}

/**
 * Copies the one image of `from` to `to`, both as {@link parseLocation} has them: `copy('oci:layout:v1', 'wim:base.wim')`.
 * Temporary files (the export of an engine, a layer that is made from a WIM) are beside the destination, and are gone
 * afterwards. Throws IMAGE_NOT_FOUND, INVALID_ARGUMENT if `from` holds several images, and what source and destination
 * throw; then no name has moved.
 */
export async function copy(from: string, to: string, options: CopyOptions = {}): Promise<CopyResult> {
  const { signal } = options
  const [origin, target] = [parseLocation(from), parseLocation(to)]
  const name = options.name === undefined ? undefined : nameToGive(options.name)
  const destination = capability(target, 'copy to', transport => transport.destination)
  if (name && destination.naming === 'prefix') {
    throw new StowageError('INVALID_ARGUMENT', `two names were given: ${options.name} and ${to}`, {
      hint: 'The name in a registry is that of the destination.',
    })
  }
  const { location, name: own } = destination.named?.(target) ?? { location: target, name: undefined }
  const given = name ?? own
  const { layer, leftOut, warnings } = reportOn(options.layer)
  try {
    await using transfer = new Transfer({ location }, options)
    await using reading = await transfer.read(origin, {
      names: given && [given],
      layer,
      expectCount(count) {
        if (count === 1) return
        throw new StowageError('INVALID_ARGUMENT', `${from} holds ${count} images, but copy takes one`, {
          hint: `Name one: ${origin.scheme}:PATH:REF.`,
        })
      },
    })
    const [image] = reading.images
    if (!image) throw new StowageError('IMAGE_NOT_FOUND', `${from} holds no image`)
    const written = await transfer.write(image)
    await transfer.finish()
    return {
      ...written,
      from: formatLocation(origin),
      to: formatLocation(target),
      platforms: (written.platforms ?? image.content.platforms.map(({ config }) => config.platform)).map(
        formatPlatform,
      ),
      referrers: image.referrers.map(({ root }) => root),
      leftOut,
      warnings,
    }
  } catch (error) {
    throw abortError(error, signal)
  }
}
