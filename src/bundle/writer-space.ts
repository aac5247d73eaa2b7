/** Whether a bundle fits on its medium. */
import { stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type Advice, checkSpace, type Need } from '../archive/space.js'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import { BlobDirectory, type Missing } from '../blob/directory.js'
import { PARTIAL } from '../blob/durable.js'
import type { PlannedWriting } from '../image/destination-survey.js'
import { volumesOf } from '../volumes/description.js'
import { heldOfSet } from '../volumes/room.js'
import { BLOBS } from './contents.js'
import { BUNDLE_FILE } from './manifest.js'
import type { BundleMedium } from './medium.js'
import { adviceFor, type BundleForm, type BundleSize, measureBundle, type PlannedBundle, storedSize } from './size.js'

/** The marker of an unfinished bundle, or the record of who owns a directory of temporary files. */
const MARKER = 512
/** `blobs` and `blobs/sha256`, and that of the bundle. */
const DIRECTORIES = 3
/** What stat() counts the blocks of a file in, in bytes. */
const UNIT = 512

/** What writing the bundle needs. `begun`: the medium has its directories and its marker already. */
export async function needOf(
  size: BundleSize,
  form: BundleForm,
  { blobs, held }: Missing,
  { begun = false, more = 0 }: { readonly begun?: boolean; readonly more?: number } = {},
): Promise<Need> {
  const stored = await storedSize(size, form, more)
  // Recovery data is made in a directory of temporary files
  const [par2, temporary] = stored.par2.length > 0 ? [[...stored.par2, MARKER], 1] : [[], 0]
  const estimate = more > 0
  if (form.compression) {
    // The plain tar is there until the compressed one is complete, which is hardly larger
    const sizes = [size.tar + more, ...stored.bundle, ...par2, MARKER]
    return { sizes, directories: 1 + temporary, held, estimate }
  }
  if (form.tar) return { sizes: [...stored.bundle, ...par2], directories: temporary, held, estimate }
  const carried = [...size.others.keys()].filter(path => path.includes('/')).map(path => dirname(path))
  const sizes = [...blobs.map(blob => blob.size), ...size.others.values(), ...par2, ...(more > 0 ? [more] : [])]
  return {
    sizes: begun ? sizes : [...sizes, MARKER],
    directories: (begun ? 0 : DIRECTORIES) + new Set(carried).size + temporary,
    held,
    estimate,
  }
}

/** Throws NO_SPACE if there is no room for what `bundle` needs and the medium does not have. */
export async function checkRoom(
  medium: Pick<BundleMedium, 'missing' | 'where'>,
  bundle: PlannedBundle,
  form: BundleForm,
): Promise<void> {
  const size = measureBundle(bundle, form.tar)
  const need = await needOf(size, form, await medium.missing(size.blobs), { begun: true })
  await checkSpace(medium.where, need, adviceFor(bundle, form))
}

/** What volumes of `bundle` need besides, and what to say if they do not fit. */
export async function adviceOn(
  bundle: PlannedBundle,
  form: BundleForm,
): Promise<{ readonly advice: Advice; readonly also: readonly number[] }> {
  const known = (bundle.pendingImages ?? 0) === 0 && (form.recovery ?? 0) > 0
  const also = known ? [...(await storedSize(measureBundle(bundle, true), form)).par2, MARKER, MARKER] : []
  return { advice: adviceFor(bundle, form), also }
}

/**
 * What writing `bundle` takes, for a dry run: nothing is opened. `more`: bytes of layers whose sizes are estimates;
 * `update`: a bundle that is there is changed.
 */
export async function writingOf(
  bundle: PlannedBundle,
  form: BundleForm,
  { more = 0, update = false }: { readonly more?: number; readonly update?: boolean } = {},
): Promise<PlannedWriting> {
  const size = measureBundle(bundle, form.tar)
  const { output, par2 } = await storedSize(size, form, more)
  const same = !update && !form.tar && (await isThere(join(form.path, BUNDLE_FILE)))
  const need = same
    ? { sizes: par2 }
    : await needOf(size, form, await missingAt(form, size), { more, begun: await isThere(join(form.path, BLOBS)) })
  return { output, need, advice: adviceFor(bundle, form) }
}

/** What is not at the place of the bundle yet, as far as a look at it tells. */
async function missingAt({ path, tar, volumeSize, compression }: BundleForm, size: BundleSize): Promise<Missing> {
  const { blobs } = size
  if (path === STANDARD_STREAM || compression) return { blobs, held: 0 }
  if (!tar) return await new BlobDirectory(path).missing(blobs)
  if (volumeSize !== undefined) {
    const { length } = volumesOf(size.tar, volumeSize)
    return { blobs, held: await heldOfSet(dirname(path), basename(path), length) }
  }
  const left = await stat(`${path}${PARTIAL}`).catch(() => undefined) // of a tar that was never begun
  return { blobs, held: left ? Math.min(left.blocks * UNIT, left.size) : 0 }
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}
