/** Receipts: what a load left at its destination, and which bundle it was; the next bundle can be compared with them. */
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { writeDurably } from '../blob/durable.js'
import { bundleInventory } from '../bundle/inventory.js'
import type { AssumedImage } from '../bundle/delta.js'
import type { BundleReader } from '../bundle/reader.js'
import { encodeInventory, INVENTORY_LIMIT, inventoryDocument, type LoadedBundle } from '../delta/inventory-file.js'
import type { LogHead } from '../custody/log-file.js'
import { fileError, StowageError } from '../errors.js'
import { type Digest, hexOf, isDigest } from '../oci/digest.js'
import { parseJson, record } from '../oci/json.js'
import { formatReference, parseReference } from '../oci/reference.js'
import { type KnownRelease, parseRelease, type Release } from '../signature/release.js'
import type { ImageKeeper } from '../image/image-destination.js'
import { nameAt } from '../transfer/names.js'
import type { Location } from '../transport/transport.js'
import type { LoadedImage } from './load.js'

/** What was loaded, from which bundle, and where to. */
export interface Loaded {
  /** The destination, as a location. */
  readonly to: string
  readonly location: Location
  readonly reader: BundleReader
  /** The images that a delta leaves out, and that were found there. */
  readonly present: readonly AssumedImage[]
  readonly loaded: readonly LoadedImage[]
  readonly keeper?: ImageKeeper | undefined
}

/** Where receipts go, and what else they say. */
export interface ReceiptOptions {
  /** A file. */
  readonly receipt?: string | undefined
  /** A directory, in which a new file is made. */
  readonly receipts?: string | undefined
  /** How far the logs went before. */
  readonly logHeads?: readonly LogHead[] | undefined
}

const RECEIPT = /^receipt-[0-9A-Za-z._-]+\.json$/
/** Values of a receipt that are read: enough for 50,000 images. */
const VALUE_LIMIT = 1_500_000

/**
 * Writes the inventory of the images that are at the destination now, under their names there, to the file `receipt` and to
 * a new file in the directory `receipts`; nothing if there is none. Format: docs/delta.md.
 */
export async function writeReceipts(
  { receipt, receipts, logHeads }: ReceiptOptions,
  { to, location, reader, present, loaded, keeper }: Loaded,
): Promise<void> {
  const known = new Map(reader.manifest.images.map(image => [image.names.join(' '), image]))
  const named = (names: readonly string[]) => names.map(name => formatReference(nameAt(location, parseReference(name))))
  const images = loaded.flatMap(({ names, id }) => {
    const image = id === undefined ? undefined : known.get(names.join(' '))
    return image ? [{ ...image, names: named(names) }] : []
  })
  if (images.length === 0 && present.length === 0) return
  const assumed = present.map(image => ({ ...image, names: named(image.names) }))
  const document = inventoryDocument(bundleInventory(to, images, assumed), {
    bundle: loadedBundle(reader),
    proof: keeper,
    logs: logHeads,
  })
  const bytes = Buffer.from(encodeInventory(document))
  if (receipt !== undefined) await writeDurably(receipt, bytes)
  if (receipts === undefined) return
  const time = document.created.replace(/[-:]|\.\d+/g, '')
  const digest = reader.digest === undefined ? 'stream' : hexOf(reader.digest).slice(0, 12)
  await writeDurably(join(receipts, `receipt-${time}-${digest}.json`), bytes)
}

/**
 * The newest release of each series that the receipts in `directory` know; those of bundles without a number are passed
 * over. Throws FILE_NOT_FOUND, and INVALID_MANIFEST for a receipt that cannot be read: it might be the one that counts.
 */
export async function newestReleases(directory: string): Promise<readonly KnownRelease[]> {
  const names = await readdir(directory).catch((error: unknown) => {
    throw fileError(error, directory)
  })
  const newest = new Map<string | undefined, KnownRelease>()
  for (const name of names.filter(each => RECEIPT.test(each)).sort()) {
    const release = await releaseIn(join(directory, name))
    if (release && release.serial >= (newest.get(release.series)?.serial ?? 0))
      newest.set(release.series, { ...release, source: join(directory, name), thisSeries: true })
  }
  return [...newest.values()]
}

/** The release of the bundle or the receipt `path`. Throws INVALID_ARGUMENT if it has none. */
export async function releaseOf(path: string): Promise<KnownRelease> {
  const receipt = path.endsWith('.json') && !(await stat(path).catch(() => undefined))?.isDirectory()
  const release = receipt ? await releaseIn(path) : await releaseOfBundle(path)
  if (release) return { ...release, source: path }
  throw new StowageError('INVALID_ARGUMENT', `${path} has no serial number to compare with`, {
    hint: 'Bundles that are packed with --serial have one, and receipts of such bundles.',
  })
}

async function releaseOfBundle(path: string): Promise<Release | undefined> {
  const { openBundleReader } = await import('../bundle/reader.js')
  await using reader = await openBundleReader(path, { layers: false })
  return reader.manifest.release
}

/** The release in the receipt `path`; undefined if its bundle had none. */
export async function releaseIn(path: string): Promise<Release | undefined> {
  const bundle = record(parseJson(await readReceipt(path), path, VALUE_LIMIT), path)['bundle']
  const release = bundle === undefined ? undefined : record(bundle, `${path}.bundle`)['release']
  return release === undefined ? undefined : parseRelease(release, `${path}.bundle.release`)
}

/** The hashes of the last lines of logs, as the receipt `path` has them. Throws INVALID_ARGUMENT if it has none. */
export async function logHeadsIn(path: string): Promise<readonly Digest[]> {
  const logs = record(parseJson(await readReceipt(path), path, VALUE_LIMIT), path)['logs']
  const heads = Array.isArray(logs) ? logs.map((log, n) => record(log, `${path}.logs[${n}]`)['head']) : []
  const digests = heads.filter(head => typeof head === 'string').filter(head => isDigest(head))
  if (digests.length > 0) return digests
  throw new StowageError('INVALID_ARGUMENT', `${path} says nothing of a log`, {
    hint: 'Receipts of "load --log" do, and those of a site whose policy has a log.',
  })
}

async function readReceipt(path: string): Promise<Uint8Array> {
  try {
    await using file = await open(path)
    const { size } = await file.stat()
    if (size <= INVENTORY_LIMIT) return await file.readFile()
  } catch (error) {
    throw fileError(error, path)
  }
  throw new StowageError('INVALID_MANIFEST', `${path} has over ${INVENTORY_LIMIT} bytes, which is no receipt`)
}

function loadedBundle({ digest, manifest: { release }, signatures }: BundleReader): LoadedBundle | undefined {
  return digest && { digest, ...(release ? { release } : {}), signedBy: signatures.signedBy }
}
