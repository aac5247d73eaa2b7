/** What a pack would do: its dry run. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { NamedImage } from '../archive/heads.js'
import { isReadBack } from '../archive/read-back.js'
import type { BundleAssumption } from '../bundle/delta.js'
import { FILES } from '../bundle/contents.js'
import { isTarPath } from '../bundle/files.js'
import { BUNDLE_FILE } from '../bundle/manifest.js'
import type { PlannedBundle } from '../bundle/size.js'
import { writingOf } from '../bundle/writer-space.js'
import { abortError, StowageError } from '../errors.js'
import type { PlannedWriting } from '../image/destination-survey.js'
import { compressionOfName } from '../oci/compression.js'
import type { Digest } from '../oci/digest.js'
import { formatPlatform } from '../oci/platform.js'
import { sourceDateEpoch } from '../tar/source-date-epoch.js'
import type { TransferPlan } from '../transfer/planner.js'
import type { SelectedImage } from '../transfer/transfer.js'
import { parseLocation } from '../transport/location.js'
import { leaveOut, readSites, withoutLayers } from './pack-delta.js'
import { checkRequests, measureFiles, type PackImage, type PackOptions, selectionOf } from './pack-requests.js'

/**
 * What {@link pack} would do with the same arguments, an image for each of `images` in their order; without `output`,
 * how much there is to write. Reads manifests and configs only.
 */
export async function planPack(
  images: readonly (string | PackImage)[],
  output: string | undefined,
  options: PackOptions = {},
): Promise<TransferPlan> {
  const requests = await checkRequests(images, output, options)
  try {
    const { Planner } = await import('../transfer/planner.js')
    await using planner = new Planner(output === undefined ? undefined : parseLocation(`bundle:${output}`), options)
    await planner.open()
    const sites = await readSites(options)
    const wanted = requests.map(request => ({ from: request.location, selection: selectionOf(request) }))
    let carried: readonly SelectedImage[] = []
    let assumes: BundleAssumption | undefined
    await planner.addAll(wanted, async read => {
      const all = read.flatMap(image => [image, ...image.referrers])
      const leaving = await leaveOut(all, sites)
      ;[carried, assumes] = [leaving.carried, leaving.assumes]
      return withoutLayers(leaving)
    })
    const files = await measureFiles(options.files ?? [])
    planner.addFiles(files.reduce((sum, { size }) => sum + size, 0))
    const bundle: PlannedBundle = {
      images: carried.map(({ content, names }): NamedImage => ({ image: content, names })),
      undelivered: undeliveredOf(carried),
      files,
      assumes,
      sparse: options.sparse,
      epoch: options.epoch ?? sourceDateEpoch(),
      release: options.release,
      pendingImages: planner.made,
    }
    const plan = {
      ...(await planner.result(
        output === undefined ? undefined : await planOutput(bundle, output, planner.estimated, options),
      )),
      ...(output === undefined ? {} : { verify: await isReadBack(output, options.verify) }),
    }
    if (output !== undefined && !options.update) await refuseOther(output, plan, options)
    return plan
  } catch (error) {
    throw abortError(error, options.signal)
  }
}

/** The referrers that are left behind, by the root of their image. */
export function undeliveredOf(images: readonly SelectedImage[]): ReadonlyMap<Digest, readonly Digest[]> {
  return new Map(
    images.flatMap(({ content, undelivered = [] }) =>
      undelivered.length > 0 ? [[content.root.digest, undelivered] as const] : [],
    ),
  )
}

/** `more`: bytes of layers whose sizes are estimates. */
async function planOutput(
  bundle: PlannedBundle,
  output: string,
  more = 0,
  { volumeSize, recovery, update = false }: PackOptions,
): Promise<PlannedWriting> {
  const form = { path: output, tar: isTarPath(output), compression: compressionOfName(output), volumeSize, recovery }
  return await writingOf(bundle, form, { more, update })
}

/** Throws OUTPUT_EXISTS if `output` is a bundle that holds other images, names or files than `plan`. */
async function refuseOther(
  output: string,
  { images }: TransferPlan,
  { files = [], signal }: PackOptions,
): Promise<void> {
  if (isTarPath(output) || !(await stat(join(output, BUNDLE_FILE)).catch(() => undefined))) return
  const { openBundleReader } = await import('../bundle/reader.js')
  await using reader = await openBundleReader(output, { layers: false, signal })
  const { manifest } = reader
  const held = manifest.images.map(({ root, original = root, names, platforms }) =>
    [original.digest, ...names.toSorted(), ...platforms.map(({ platform }) => formatPlatform(platform))].join(' '),
  )
  const planned = images.map(({ digest, names, platforms }) => [digest, ...names.toSorted(), ...platforms].join(' '))
  const carried = manifest.files.flatMap(({ path }) => (path.startsWith(`${FILES}/`) ? [path] : []))
  const same =
    sameSet(held, planned) &&
    sameSet(
      carried,
      files.map(({ path }) => `${FILES}/${path}`),
    )
  if (same) return
  throw new StowageError('OUTPUT_EXISTS', `${output} is a bundle already, which holds something else`, {
    hint: 'Name another output, or change this one with --update.',
  })
}

function sameSet(one: readonly string[], other: readonly string[]): boolean {
  const [left, right] = [new Set(one), new Set(other)]
  return left.size === right.size && [...left].every(each => right.has(each))
}
