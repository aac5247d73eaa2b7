/** The file of an inventory. Format: docs/delta.md. */
import { StowageError } from '../errors.js'
import { type Generator, thisGenerator } from '../generator.js'
import type { ImageKeeper } from '../image/image-destination.js'
import type { Inventory, InventoryImage, InventoryKind, InventoryLayer } from '../image/inventory.js'
import { type Digest, digestFromHex, hexOf } from '../oci/digest.js'
import { array, type JsonObject, optionalArray, parseJson, record, shown, string, wrong } from '../oci/json.js'
import type { Release } from '../signature/release.js'
import { parseFullName } from '../bundle/delta.js'
import type { LogHead } from '../custody/log-file.js'
import { sourceDateEpoch } from '../tar/source-date-epoch.js'

export const INVENTORY_SCHEMA = 'stowage.inventory/v1'

/** The largest inventory that is read, in bytes. */
export const INVENTORY_LIMIT = 64 * 1024 * 1024
/** Values that one may hold: enough for 50,000 images. */
const VALUE_LIMIT = 1_500_000

const KINDS: readonly InventoryKind[] = ['blobs', 'layers', 'manifests']

/** The inventory as a document: each digest is there once, in Base64, and images refer to it by its number. */
export interface InventoryDocument {
  readonly schema: typeof INVENTORY_SCHEMA
  readonly generator: Generator
  /** RFC 3339. */
  readonly created: string
  readonly place: string
  /** Of a receipt: the bundle that was loaded. */
  readonly bundle?: LoadedBundle
  readonly proof?: ImageKeeper
  /** How far the logs went before the load, for `log verify --receipt`. */
  readonly logs?: readonly LogHead[]
  readonly kind: InventoryKind
  /** SHA-256, in Base64. */
  readonly digests: readonly string[]
  /** Of the blobs with these digests, in bytes; left out if `kind` is not `blobs`, and 0 for what is no layer. */
  readonly sizes?: readonly number[]
  readonly images: readonly InventoryEntry[]
}

/** What a receipt says besides its inventory. */
export interface ReceiptFacts {
  readonly bundle?: LoadedBundle | undefined
  readonly proof?: ImageKeeper | undefined
  readonly logs?: readonly LogHead[] | undefined
}

/** What a receipt says of the bundle that was loaded. */
export interface LoadedBundle {
  /** Of its bundle.json. */
  readonly digest: Digest
  readonly release?: Release
  /** The keys, by their ids, and the identities, whose signatures were checked. */
  readonly signedBy: readonly string[]
}

/** An image, which refers to `digests` by their numbers. */
export interface InventoryEntry {
  readonly names: readonly string[]
  readonly id: number
  readonly layers?: readonly number[]
  readonly configs?: readonly number[]
  readonly manifests?: readonly number[]
  readonly absent?: readonly number[]
}

/** The document of `inventory`, made now, or at SOURCE_DATE_EPOCH if that is set; of a receipt, with its `bundle`. */
export function inventoryDocument(
  { place, kind, images }: Inventory,
  { bundle, proof, logs = [] }: ReceiptFacts = {},
): InventoryDocument {
  const epoch = sourceDateEpoch()
  const numbers = new Map<Digest, number>()
  const sizes: number[] = []
  const numberOf = (digest: Digest, size = 0): number => {
    const number = numbers.get(digest) ?? numbers.size
    numbers.set(digest, number)
    sizes[number] = Math.max(sizes[number] ?? 0, size)
    return number
  }
  const listed = images.map(({ names, id, layers, configs = [], manifests = [], absent = [] }) => ({
    names,
    id: numberOf(id),
    ...(layers.length > 0 ? { layers: layers.map(({ digest, size }) => numberOf(digest, size)) } : {}),
    ...(configs.length > 0 ? { configs: configs.map(digest => numberOf(digest)) } : {}),
    ...(manifests.length > 0 ? { manifests: manifests.map(digest => numberOf(digest)) } : {}),
    ...(absent.length > 0 ? { absent: absent.map(digest => numberOf(digest)) } : {}),
  }))
  return {
    schema: INVENTORY_SCHEMA,
    generator: thisGenerator(),
    created: new Date(epoch === undefined ? Date.now() : epoch * 1000).toISOString(),
    place,
    ...(bundle ? { bundle } : {}),
    ...(proof ? { proof } : {}),
    ...(logs.length > 0 ? { logs } : {}),
    kind,
    digests: [...numbers.keys()].map(digest => Buffer.from(hexOf(digest), 'hex').toString('base64')),
    ...(kind === 'blobs' ? { sizes } : {}),
    images: listed,
  }
}

/** As it is in a file: a line for each image and each digest, so that a person can read and compare it. */
export function encodeInventory({ digests, sizes, images, ...head }: InventoryDocument): string {
  const lists = { digests, ...(sizes ? { sizes: [sizes.join(',')] } : {}), images }
  const rows = Object.entries(lists).map(([key, items]) => {
    const lines = items.map(item => (key === 'sizes' ? String(item) : JSON.stringify(item)))
    return `"${key}":[\n${lines.join(',\n')}\n]`
  })
  return `${JSON.stringify(head).slice(0, -1)},\n${rows.join(',\n')}}\n`
}

/** Reads the file `where` of an inventory. Throws INVALID_MANIFEST, and UNSUPPORTED for a later version. */
export function parseInventory(bytes: Uint8Array, where: string): Inventory {
  const object = record(parseJson(bytes, where, VALUE_LIMIT), where)
  expectSchema(object, where)
  const kind = string(object, 'kind', where)
  if (!isKind(kind)) throw wrong(`${where}.kind`, KINDS.join(' or '), kind)
  const digests = array(object, 'digests', where).map((text, n) => parseBase64(text, `${where}.digests[${n}]`))
  const sizes = optionalArray(object, 'sizes', where)
  const images = array(object, 'images', where).map((item, n): InventoryImage => {
    const at = `${where}.images[${n}]`
    const image = record(item, at)
    const list = (key: string): readonly Digest[] =>
      optionalArray(image, key, at).map((number, at2) => digestAt(number, `${at}.${key}[${at2}]`))
    const [configs, manifests, absent] = [list('configs'), list('manifests'), list('absent')]
    return {
      names: array(image, 'names', at).map((name, at2) => parseFullName(name, `${at}.names[${at2}]`)),
      id: digestAt(image['id'], `${at}.id`),
      layers: optionalArray(image, 'layers', at).map((number, at2) => layerAt(number, `${at}.layers[${at2}]`)),
      ...(configs.length > 0 ? { configs } : {}),
      ...(manifests.length > 0 ? { manifests } : {}),
      ...(absent.length > 0 ? { absent } : {}),
    }
  })
  return { place: string(object, 'place', where), kind, images }

  function digestAt(number: unknown, at: string): Digest {
    const digest = typeof number === 'number' ? digests[number] : undefined
    if (digest === undefined) throw wrong(at, `the number of one of ${digests.length} digests`, number)
    return digest
  }

  function layerAt(number: unknown, at: string): InventoryLayer {
    const digest = digestAt(number, at)
    const size = kind === 'blobs' ? sizes[Number(number)] : undefined
    if (kind !== 'blobs') return { digest }
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw wrong(at, 'a size in bytes', size)
    return { digest, size }
  }
}

/** Whether `bytes`, the first ones of a file, may be those of an inventory: no bundle begins like that. */
export function mayBeInventory(bytes: Uint8Array): boolean {
  return /^\s*\{/.test(Buffer.from(bytes).toString('latin1'))
}

function expectSchema(object: JsonObject, where: string): void {
  const { schema } = object
  if (schema === INVENTORY_SCHEMA) return
  if (typeof schema === 'string' && /^stowage\.inventory\/v\d+$/.test(schema)) {
    throw new StowageError('UNSUPPORTED', `${where} is ${schema}; this version of Stowage reads ${INVENTORY_SCHEMA}`, {
      hint: 'Install a later version of Stowage to read it.',
    })
  }
  throw new StowageError('INVALID_MANIFEST', `${where} is not an inventory: its schema is ${shown(schema)}`, {
    hint: 'Make one: stowage inventory > FILE.',
  })
}

function isKind(text: string): text is InventoryKind {
  return (KINDS as readonly string[]).includes(text)
}

function parseBase64(text: unknown, where: string): Digest {
  if (typeof text === 'string' && /^[A-Za-z0-9+/]{43}=$/.test(text))
    return digestFromHex(Buffer.from(text, 'base64').toString('hex'))
  throw wrong(where, 'a SHA-256 digest in Base64', text)
}
