/** Copy: copies one image from one location to another. */
import { isReadBack, type Verified } from '../archive/read-back.js'
import { abortError, StowageError } from '../errors.js'
import type { WrittenImage } from '../image/image-destination.js'
import type { Digest } from '../oci/digest.js'
import { formatPlatform } from '../oci/platform.js'
import { nameToGive } from '../oci/reference.js'
import { reportOn } from '../transfer/layer-report.js'
import type { LayerMakingOptions, TransferOptions, WimMakingOptions } from '../transfer/options.js'
import type { TransferPlan } from '../transfer/planner.js'
import { type Selection, Transfer } from '../transfer/transfer.js'
import { capability, destinationLocation, formatLocation } from '../transport/location.js'
import { sourceLocation } from '../transport/source-location.js'

export interface CopyOptions extends TransferOptions, LayerMakingOptions, WimMakingOptions {
  /** The name at the destination, `name[:tag]`; defaults to the image's own. */
  readonly name?: string | undefined
  /**
   * For a bundle or an archive: reads it back before it gets its name, from the medium and not from the page cache,
   * and compares it with what was written. By default if the medium is removable.
   */
  readonly verify?: boolean | undefined
}

export interface CopyResult extends Omit<WrittenImage, 'platforms'> {
  /** The platforms that were copied, `os/arch[/variant][:os.version]`. */
  readonly platforms: readonly string[]
  /** The roots of the referrers that were copied with it, in the order in which they were found. */
  readonly referrers: readonly Digest[]
  /** As locations. */
  readonly from: string
  readonly to: string
  /** What `layer.skipUnsupported` left out: paths in the layer, each with the reason. */
  readonly leftOut: readonly string[]
  /** Warnings about a layer created from a WIM, one sentence each. */
  readonly warnings: readonly string[]
  /** What was read back, if it was. */
  readonly verified?: Verified
}

/**
 * Copies the one image at `from`, for {@link sourceLocation}, to `to`, for {@link parseLocation}:
 * `copy('oci:layout:v1', 'wim:base.wim')`. Temporary files (an engine's export, a layer created from a WIM) are kept
 * beside the destination and removed at the end. Throws IMAGE_NOT_FOUND, INVALID_ARGUMENT if `from` holds several
 * images, and what the source and the destination throw. When it throws, no name has moved, unless it was a referrer
 * that could not be copied: referrers come after the image.
 */
export async function copy(from: string, to: string, options: CopyOptions = {}): Promise<CopyResult> {
  const { signal } = options
  const { origin, target, location, selection, verify } = await resolve(from, to, options)
  const { layer, leftOut, warnings } = reportOn(options.layer)
  try {
    await using transfer = new Transfer({ location, verify }, options)
    await using reading = await transfer.read(origin, { ...selection, layer })
    const [image] = reading.images
    if (!image) throw new StowageError('IMAGE_NOT_FOUND', `${from} holds no image`)
    await transfer.expect([image])
    const written = await transfer.write(image)
    const verified = await transfer.finish()
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
      ...(verified ? { verified } : {}),
    }
  } catch (error) {
    throw abortError(error, signal)
  }
}

/** What {@link copy} would do with the same arguments. Throws what it throws before it writes anything. */
export async function planCopy(from: string, to: string, options: CopyOptions = {}): Promise<TransferPlan> {
  const { origin, location, selection, verify } = await resolve(from, to, options)
  try {
    const { Planner } = await import('../transfer/planner.js')
    await using planner = new Planner(location, options)
    await planner.open()
    await planner.add(origin, selection)
    return { ...(await planner.result()), ...(verify === undefined ? {} : { verify }) }
  } catch (error) {
    throw abortError(error, options.signal)
  }
}

/** The two ends of a copy, and what to take from the first. Throws INVALID_ARGUMENT and INVALID_REFERENCE. */
async function resolve(from: string, to: string, options: CopyOptions) {
  const [origin, target] = [await sourceLocation(from), destinationLocation(to)]
  const name = options.name === undefined ? undefined : nameToGive(options.name)
  const destination = capability(target, 'copy to', transport => transport.destination)
  if (name && destination.naming === 'prefix') {
    throw new StowageError('INVALID_ARGUMENT', `two names were given: ${options.name} and ${to}`, {
      hint: 'The name in a registry is that of the destination.',
    })
  }
  const verify = destination.verifies ? await isReadBack(target.path, options.verify) : undefined
  if (options.verify && verify === undefined)
    throw new StowageError('INVALID_ARGUMENT', `${to} cannot be read back: --verify is for bundles and archives`, {
      hint: 'Leave out --verify.',
    })
  const { location, name: own } = destination.named?.(target) ?? { location: target, name: undefined }
  const given = name ?? own
  const selection: Selection = {
    names: given && [given],
    expectCount(count) {
      if (count === 1) return
      throw new StowageError('INVALID_ARGUMENT', `${from} holds ${count} images, but copy takes one`, {
        hint: `Name one: ${origin.scheme}:PATH:REF.`,
      })
    },
  }
  return { origin, target, location, selection, verify }
}
