/** What is said of an image that does not arrive everywhere as it is at its source. */
import type { WrittenImage } from '../image/image-destination.js'
import { COMPRESSIONS } from '../oci/compression.js'
import { formatPlatform } from '../oci/platform.js'
import type { BundleImage } from '../bundle/manifest.js'
import type { PackResult } from '../verbs/pack.js'
import type { PackedImage } from '../verbs/pack-requests.js'
import { familiarNames } from './image-names.js'
import { count, printable } from './render.js'

/** Lines about the images of a bundle that some registries, engines or tools do not take, or not as they were. */
export function packedText({ manifest, packed, unchanged, deep, layers }: PackResult): readonly string[] {
  const systems = new Set(manifest.images.flatMap(({ platforms }) => platforms.map(({ platform }) => platform.os)))
  const mixed = systems.has('windows') && systems.size > 1
  return [
    ...manifest.images.flatMap(sparseText),
    ...packed.flatMap(limitText),
    ...(mixed
      ? ['Some images are for Windows: "docker load" on Linux fails at them, after it has loaded the others.']
      : []),
    ...(unchanged ? [] : unprovedText(deep, layers)),
  ]
}

/** Lines about layers of which it is not known whether they are what the configs of their images say. */
function unprovedText(deep: boolean, { unproved }: PackResult['layers']): readonly string[] {
  if (!deep) return ['Not proved without decompressing: that the layers are what the configs of their images say.']
  const byReason = new Map<string, string[]>()
  for (const { digest, reason } of unproved) byReason.set(reason, [...(byReason.get(reason) ?? []), digest])
  return [...byReason].map(([reason, [first = '', ...others]]) => {
    const which = others.length > 0 ? `${first} and ${count(others.length, 'other layer')}` : first
    return `Not proved that ${which} is what the config of its image says: ${printable(reason)}.`
  })
}

/** A line for an image whose index names platforms that are absent. */
function sparseText({ names, root, original, platforms, absent = [] }: BundleImage): readonly string[] {
  if (absent.length === 0) return []
  const has = platforms.map(({ platform }) => formatPlatform(platform)).join(', ')
  const what = `${familiarNames(names)}: only ${has || 'some'} of its platforms; ${count(absent.length, 'manifest')} left behind`
  if (!original) {
    return [`${what}. Its index ${root.digest} still names them, and many registries and engines refuse it.`]
  }
  return [`${what}. ${root.digest} loads everywhere; the original index ${original.digest} is in the bundle beside it.`]
}

/** Lines about what `npm run test:consumers` finds to be refused, whichever bundle it is in. */
function limitText({ names, root, platforms, layerTypes }: PackedImage): readonly string[] {
  const name = names.length > 0 ? familiarNames(names) : root.digest
  return [
    ...(platforms.length === 0
      ? [
          `${name} is an artifact, not a container image: registries, skopeo and oras take it, engines do not, and "ctr images import" of containerd 1.6 fails on a tar that holds one.`,
        ]
      : []),
    ...(layerTypes.includes(COMPRESSIONS.zstd.mediaType)
      ? [`${name} has zstd layers, which Docker 20.10 and umoci 0.4 cannot read.`]
      : []),
  ]
}

/** Lines about an image that its destination took in another form; empty if it has it as it was. */
export function deliveredText(
  name: string,
  { id, strippedFrom, undelivered = [] }: Pick<WrittenImage, 'id' | 'strippedFrom' | 'undelivered'>,
): readonly string[] {
  return [
    ...(strippedFrom
      ? [
          `${name}: the destination refused the index ${strippedFrom}, which names absent platforms. It has ${id} instead.`,
        ]
      : []),
    ...undelivered.map(
      digest => `${name}: ${digest} was not delivered: it describes an index that the destination does not have`,
    ),
  ]
}
