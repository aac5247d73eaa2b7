/** Verifies a delta against what it leaves out. */
import { stat } from 'node:fs/promises'
import type { Finding } from '../bundle/graph.js'
import { type BundleImage, sourceImageOf } from '../bundle/manifest.js'
import { type BundleReader, openBundleReader } from '../bundle/reader.js'
import { verifyBundle, type VerifyBundleOptions } from '../bundle/verify.js'
import type { VerifyReport } from '../bundle/verify-report.js'
import { expectedImage } from '../bundle/delta.js'
import { missingFrom, readHeld } from '../delta/held.js'
import { abortError, StowageError } from '../errors.js'
import { blobPath } from '../oci/layout.js'
import { formatReference, parseReference } from '../oci/reference.js'
import { findMissingBase } from '../transfer/left-out.js'
import { nameAt } from '../transfer/names.js'
import type { TransferOptions } from '../transfer/options.js'
import { Transfer } from '../transfer/transfer.js'
import { destinationLocation } from '../transport/location.js'

export interface VerifyAgainstOptions
  extends VerifyBundleOptions, Pick<TransferOptions, 'host' | 'insecure' | 'tlsSkipVerify'> {}

export interface VerifyAgainstReport extends VerifyReport {
  /** What was compared with what the bundle leaves out. */
  readonly against: readonly string[]
}

/**
 * {@link verifyBundle}, and whether `against` together have what the bundle leaves out: inventories, bundles, or one
 * destination, see loadBundle(), which is then asked. What is missing is a finding BASE_MISSING. Throws what verifying
 * and reading `against` throws.
 */
export async function verifyAgainst(
  path: string,
  against: readonly string[],
  options: VerifyAgainstOptions = {},
): Promise<VerifyAgainstReport> {
  const report = await verifyBundle(path, options)
  // A bundle with other defects may not even be readable
  if (!report.assumes || !report.ok) return { ...report, against }
  try {
    await using reader = await openBundleReader(path, { ...options, layers: false })
    const found = await missing(path, reader, against, options)
    return { ...report, ok: found.length === 0, findings: found, against }
  } catch (error) {
    throw abortError(error, options.signal)
  }
}

async function missing(
  path: string,
  reader: BundleReader,
  against: readonly string[],
  options: VerifyAgainstOptions,
): Promise<readonly Finding[]> {
  const files = await Promise.all(against.map(async each => await isFile(each)))
  if (files.every(Boolean)) {
    const places = []
    for (const each of against) places.push(await readHeld(each, options))
    const { layers, images } = missingFrom(places, reader.manifest)
    const users = (digest: string): readonly string[] => reader.manifest.images.filter(has(digest)).map(titleOf)
    return findings(
      layers.map(layer => ({ ...layer, images: users(layer.digest) })),
      images.flatMap(({ names }) => names),
    )
  }
  const [place, ...others] = against
  if (place === undefined || others.length > 0)
    throw new StowageError('INVALID_ARGUMENT', 'a delta is compared with one destination at a time', {
      hint: 'Name one, or inventories and bundles only.',
    })
  const location = destinationLocation(place)
  await using transfer = new Transfer({ location, layers: false }, options)
  const selected = []
  for (const image of reader.manifest.images) {
    const names = image.names.map(name => nameAt(location, parseReference(name)))
    selected.push(await transfer.select(reader, sourceImageOf(image), { names, subject: path }))
  }
  const assumed = reader.manifest.assumes?.images ?? []
  const expected = assumed.map(image => expectedImage(image, name => nameAt(location, name)))
  const { layers, images } = await findMissingBase(location, transfer.registries, selected, expected, options)
  return findings(layers, images.map(formatReference))
}

function has(digest: string): (image: BundleImage) => boolean {
  return ({ platforms }) => platforms.some(({ layers }) => layers.some(layer => layer.digest === digest))
}

function titleOf({ names: [name], root }: BundleImage): string {
  return name ?? root.digest
}

function findings(
  layers: readonly { readonly digest: Parameters<typeof blobPath>[0]; readonly images: readonly string[] }[],
  images: readonly string[],
): readonly Finding[] {
  return [
    ...layers.map(({ digest, images: users }) => ({
      code: 'BASE_MISSING' as const,
      path: blobPath(digest),
      message: `it is left out, and is not there; ${users.join(', ')} needs it`,
    })),
    ...images.map(name => ({
      code: 'BASE_MISSING' as const,
      path: name,
      message: 'the image is left out, and is not there under this name, or is another one',
    })),
  ]
}

async function isFile(place: string): Promise<boolean> {
  return (await stat(place.replace(/^bundle:/, '')).catch(() => undefined)) !== undefined
}
