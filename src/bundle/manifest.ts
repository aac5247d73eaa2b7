/** `bundle.json`, the bundle's own manifest, lists its images and files. Format: docs/bundle-format.md. */
import ssri from 'ssri'
import { sizeOf } from '../blob/closure.js'
import type { ImageContent, PlatformImage } from '../blob/closure.js'
import { rootEntry, type SparseForm, withStripped } from '../blob/stripped.js'
import { StowageError } from '../errors.js'
import { type Generator, thisGenerator } from '../generator.js'
import type { SourceImage } from '../image/image-source.js'
import { type Descriptor, parseDescriptor } from '../oci/descriptor.js'
import { type Digest, digestFromHex, hexOf, parseDigest } from '../oci/digest.js'
import { array, optionalString, parseJson, record, shown, size, string, textIn, wrong } from '../oci/json.js'
import { parsePlatform, type Platform } from '../oci/platform.js'
import { formatReference, parseReference, type Reference } from '../oci/reference.js'
import { MEMBER_LIMIT } from '../tar/archive.js'
import { parseRelease, type Release } from '../signature/release.js'
import { type BundleAssumption, optionalDigests, parseAssumption, parseFullName } from './delta.js'

export const BUNDLE_FILE = 'bundle.json'
export const SCHEMA_VERSION = 1

/** How many wrong fields are reported at once: a file that is wrong throughout must not fill the memory. */
const FAULT_LIMIT = 20
/** Values that bundle.json may hold: enough for 10,000 images of two platforms with fifteen layers each. */
const VALUE_LIMIT = 1_500_000

export interface BundleManifest {
  readonly schemaVersion: typeof SCHEMA_VERSION
  readonly generator: Generator
  /** RFC 3339; present only if SOURCE_DATE_EPOCH was set. */
  readonly created?: string
  /** Its place in a series, if it was packed with one. */
  readonly release?: Release
  readonly images: readonly BundleImage[]
  /** Set if it is a delta: what it leaves out, because its destination has it. */
  readonly assumes?: BundleAssumption
  /** Every file of the bundle except bundle.json and SHA256SUMS, sorted by the bytes of the path. */
  readonly files: readonly BundleFileEntry[]
}

export interface BundleImage {
  /** Full references, in the order they were given. */
  readonly names: readonly string[]
  /** The descriptor in index.json, without annotations. */
  readonly root: Descriptor
  /** Total size of its blobs in bytes, including those shared with other images. */
  readonly size: number
  readonly platforms: readonly BundlePlatform[]
  /** The index of the image at its source, if `root` replaces it without the manifests in `absent`. */
  readonly original?: Descriptor
  /** Manifests that `original`, or else `root`, lists but the bundle leaves out: platforms that were not requested. */
  readonly absent?: readonly Digest[]
  /** Roots of referrers that were left behind, because they describe an index that is not in the bundle. */
  readonly undelivered?: readonly Digest[]
}

export interface BundlePlatform {
  readonly platform: Platform
  readonly manifest: Digest
  readonly config: Digest
  readonly layers: readonly BundleLayer[]
}

export interface BundleLayer {
  readonly digest: Digest
  readonly size: number
  readonly diffId: Digest
}

export interface BundleFileEntry {
  /** Relative, with `/`. */
  readonly path: string
  readonly size: number
  /** Subresource Integrity, `sha256-<base64>`. */
  readonly integrity: string
}

/**
 * Reads `bundle.json`. Throws INVALID_MANIFEST listing up to 20 fields that do not match docs/bundle-format.md, and
 * UNSUPPORTED if a later version of Stowage wrote it.
 */
export function parseBundleManifest(bytes: Uint8Array, where: string = BUNDLE_FILE): BundleManifest {
  const object = record(parseJson(bytes, where, VALUE_LIMIT), where)
  expectSchema(object, where)
  const faults: StowageError[] = []
  const generator = attempt(faults, () => {
    const value = record(object['generator'], `${where}.generator`)
    return {
      name: string(value, 'name', `${where}.generator`),
      version: string(value, 'version', `${where}.generator`),
    }
  })
  const created = attempt(faults, () => optionalString(object, 'created', where))
  const release =
    object['release'] === undefined
      ? undefined
      : attempt(faults, () => parseRelease(object['release'], `${where}.release`))
  const images = list(object['images'], `${where}.images`, faults, parseImage)
  const assumes =
    object['assumes'] === undefined
      ? undefined
      : attempt(faults, () => parseAssumption(object['assumes'], `${where}.assumes`))
  const files = list(object['files'], `${where}.files`, faults, parseFile)
  const [first] = faults
  if (first || !generator) {
    throw new StowageError('INVALID_MANIFEST', faults.map(fault => fault.message).join('; '), { cause: first })
  }
  return {
    schemaVersion: SCHEMA_VERSION,
    generator,
    ...(created ? { created } : {}),
    ...(release ? { release } : {}),
    images,
    ...(assumes ? { assumes } : {}),
    files,
  }
}

/** Accepts the versions that are read: all that Stowage ever wrote. */
function expectSchema(object: Readonly<Record<string, unknown>>, where: string): void {
  const { schemaVersion: version, generator } = object
  if (version === SCHEMA_VERSION) return
  if (typeof version !== 'number' || !Number.isInteger(version) || version < SCHEMA_VERSION) {
    throw new StowageError(
      'INVALID_MANIFEST',
      `${where}.schemaVersion: expected ${SCHEMA_VERSION} but found ${shown(version)}`,
    )
  }
  const own = thisGenerator()
  const maker = [textIn(generator, 'name'), textIn(generator, 'version')].map(text => text?.slice(0, 60))
  const made = maker.includes(undefined) ? 'a later version of Stowage' : maker.join(' ')
  throw new StowageError(
    'UNSUPPORTED',
    `${where} has schemaVersion ${version}, written by ${made}; ${own.name} ${own.version} reads version ${SCHEMA_VERSION}`,
    { hint: `Install ${made} or later to read this bundle.` },
  )
}

/** Encodes `bundle.json`: the same manifest gives the same bytes. */
export function encodeBundleManifest(manifest: BundleManifest): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`)
}

/** The entry of an image in `bundle.json`. `sparse`: see {@link rootEntry}. */
export function describeImage(
  image: ImageContent,
  names: readonly Reference[],
  sparse: SparseForm | undefined,
  undelivered: readonly Digest[] = [],
): BundleImage {
  const { mediaType, digest, size } = rootEntry(image, sparse)
  return {
    names: names.map(formatReference),
    root: { mediaType, digest, size },
    size: sizeOf(withStripped(image, sparse)),
    platforms: image.platforms.map(describePlatform),
    ...(digest === image.root.digest ? {} : { original: bareRoot(image) }),
    ...(image.absent.length > 0 ? { absent: image.absent.map(({ digest }) => digest) } : {}),
    ...(undelivered.length > 0 ? { undelivered } : {}),
  }
}

function bareRoot({ root: { mediaType, digest, size } }: ImageContent): Descriptor {
  return { mediaType, digest, size }
}

/** The image as an image source returns it: with the original index as its root, if there is one. */
export function sourceImageOf({ root, original = root, names, absent }: BundleImage): SourceImage {
  return { root: original, names: names.map(parseReference), absent }
}

/** `digest` as Subresource Integrity (`sha256-<base64>`), the form in `bundle.json`. */
export function integrityOf(digest: Digest): string {
  return ssri.fromHex(hexOf(digest), 'sha256').toString()
}

/** The SHA-256 of an `integrity` that parseBundleManifest() has validated. */
export function digestOfIntegrity(integrity: string): Digest {
  return digestFromHex(Buffer.from(integrity.slice('sha256-'.length), 'base64').toString('hex'))
}

function describePlatform({ descriptor, manifest, config }: PlatformImage): BundlePlatform {
  return {
    platform: config.platform,
    manifest: descriptor.digest,
    config: manifest.config.digest,
    layers: manifest.layers.flatMap(({ digest, size }, n) => {
      const diffId = config.diffIds[n]
      return diffId === undefined ? [] : [{ digest, size, diffId }]
    }),
  }
}

function parseImage(value: unknown, where: string): BundleImage {
  const object = record(value, where)
  const [absent, undelivered] = ['absent', 'undelivered'].map(key => optionalDigests(object, key, where))
  return {
    names: array(object, 'names', where).map((name, n) => parseFullName(name, `${where}.names[${n}]`)),
    root: parseDescriptor(object['root'], `${where}.root`),
    size: size(object, 'size', where),
    platforms: array(object, 'platforms', where).map((item, n) =>
      parseBundlePlatform(item, `${where}.platforms[${n}]`),
    ),
    ...(object['original'] === undefined ? {} : { original: parseDescriptor(object['original'], `${where}.original`) }),
    ...(absent ? { absent } : {}),
    ...(undelivered ? { undelivered } : {}),
  }
}

function parseBundlePlatform(value: unknown, where: string): BundlePlatform {
  const object = record(value, where)
  return {
    platform: parsePlatform(object['platform'], `${where}.platform`),
    manifest: parseDigest(object['manifest'], `${where}.manifest`),
    config: parseDigest(object['config'], `${where}.config`),
    layers: array(object, 'layers', where).map((item, n) => {
      const at = `${where}.layers[${n}]`
      const layer = record(item, at)
      return {
        digest: parseDigest(layer['digest'], `${at}.digest`),
        size: size(layer, 'size', at),
        diffId: parseDigest(layer['diffId'], `${at}.diffId`),
      }
    }),
  }
}

function parseFile(value: unknown, where: string): BundleFileEntry {
  const object = record(value, where)
  const path = string(object, 'path', where)
  if (!isBundlePath(path)) throw wrong(`${where}.path`, 'a relative path with "/"', path)
  const integrity = string(object, 'integrity', where)
  if (!/^sha256-[A-Za-z0-9+/]{43}=$/.test(integrity)) throw wrong(`${where}.integrity`, 'sha256-<base64>', integrity)
  return { path, size: size(object, 'size', where), integrity }
}

/** Whether `path` stays inside the bundle on every platform. */
export function isBundlePath(path: string): boolean {
  return (
    !/[\\\0\n\r]/.test(path) &&
    !/^[A-Za-z]:/.test(path) &&
    path.split('/').every(part => part !== '' && part !== '.' && part !== '..')
  )
}

/** Parses every item of a list; a fault in one item does not hide faults in the next. */
function list<T>(
  value: unknown,
  where: string,
  faults: StowageError[],
  parse: (item: unknown, where: string) => T,
): readonly T[] {
  if (!Array.isArray(value)) {
    faults.push(wrong(where, 'an array', value))
    return []
  }
  if (value.length > MEMBER_LIMIT) {
    faults.push(wrong(where, `at most ${MEMBER_LIMIT} entries`, value.length))
    return []
  }
  return value.flatMap((item, n) =>
    faults.length < FAULT_LIMIT ? (attempt(faults, () => [parse(item, `${where}[${n}]`)]) ?? []) : [],
  )
}

function attempt<T>(faults: StowageError[], parse: () => T): T | undefined {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof StowageError)) throw error
    faults.push(error)
    return undefined
  }
}
