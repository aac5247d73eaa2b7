/** A delta: a bundle without the layers and images that its destination has already. Format: docs/bundle-format.md. */
import { StowageError } from '../errors.js'
import { blobPath, checkLayout, LAYOUT_FILE } from '../oci/layout.js'
import type { Descriptor } from '../oci/descriptor.js'
import { type Digest, parseDigest } from '../oci/digest.js'
import { array, type JsonObject, record, size, string, wrong } from '../oci/json.js'
import type { ExpectedImage } from '../image/destination-survey.js'
import { formatReference, isReference, parseReference, type Reference } from '../oci/reference.js'

/** What a delta leaves out, in `bundle.json`. */
export interface BundleAssumption {
  /** The documents that say what is there, in the order of their digests. */
  readonly sources: readonly AssumptionSource[]
  /** Images that were asked for and are left out whole, sorted by their first name. */
  readonly images: readonly AssumedImage[]
  /** Layers of the images in the bundle that are left out, sorted by digest. */
  readonly layers: readonly AssumedLayer[]
}

/** An inventory or a bundle. */
export interface AssumptionSource {
  /** Of which place it is, as that document says: `docker-daemon:`. */
  readonly place: string
  /** The digest of the document: of an inventory, or of a bundle's bundle.json. */
  readonly digest: Digest
  /** If the delta is for several sites, each of which has what is left out: the number of the site, from 1. */
  readonly site?: number
}

/** An image that the destination has under all its names. */
export interface AssumedImage {
  /** Full references. */
  readonly names: readonly string[]
  /** Its manifest or index; of a sparse index, also the complete one that a place may have instead. */
  readonly roots: readonly Digest[]
  /** Of an index: the manifests of the platforms that are there. */
  readonly manifests?: readonly Digest[]
  /** Manifests that its index lists and that were not asked for. */
  readonly absent?: readonly Digest[]
  /** The configs of its platforms: some engines identify an image by one of them. */
  readonly configs: readonly Digest[]
  /** Of all its blobs, in bytes. */
  readonly size: number
}

export interface AssumedLayer {
  readonly digest: Digest
  readonly size: number
  /**
   * Manifests that were at the destination and have this layer. A store that reports whole images but not their blobs
   * proves by one of them that it has the layer.
   */
  readonly manifests?: readonly Digest[]
}

const WORDS = 'incomplete without what is at its destination: load it with "stowage load"'

/**
 * The `oci-layout` of a delta. Readers that look at the version refuse it; containerd and Docker quote it, and would
 * otherwise name images whose layers are missing.
 */
export const DELTA_LAYOUT: Uint8Array = new TextEncoder().encode(
  `${JSON.stringify({ imageLayoutVersion: `delta, ${WORDS}` })}\n`,
)

/** The `manifest.json` of a delta: engines that read it quote the path of the config, which does not exist. */
export const DELTA_DOCKER_MANIFEST: Uint8Array = new TextEncoder().encode(
  `${JSON.stringify([{ Config: `this is a delta, ${WORDS}`, RepoTags: [], Layers: [] }])}\n`,
)

/** Whether this `oci-layout` is that of a delta. */
export function isDeltaLayout(bytes: Uint8Array): boolean {
  return Buffer.compare(bytes, DELTA_LAYOUT) === 0
}

/** Checks the `oci-layout` of a bundle, which says whether it is a delta. Throws INVALID_MANIFEST. */
export function expectBundleLayout(bytes: Uint8Array, delta: boolean): void {
  if (!delta) checkLayout(bytes)
  else if (!isDeltaLayout(bytes))
    throw new StowageError('INVALID_MANIFEST', `${LAYOUT_FILE}: expected that of a delta, which the bundle is`)
}

/** Reads `assumes` of bundle.json. Throws INVALID_MANIFEST. */
export function parseAssumption(value: unknown, where: string): BundleAssumption {
  const object = record(value, where)
  const items = <T>(key: string, parse: (item: unknown, at: string) => T): readonly T[] =>
    array(object, key, where).map((item, n) => parse(item, `${where}.${key}[${n}]`))
  return {
    sources: items('sources', (item, at) => {
      const source = record(item, at)
      return {
        place: string(source, 'place', at),
        digest: parseDigest(source['digest'], `${at}.digest`),
        ...(source['site'] === undefined ? {} : { site: size(source, 'site', at) }),
      }
    }),
    images: items('images', (item, at) => {
      const image = record(item, at)
      const names = array(image, 'names', at).map((name, n) => parseFullName(name, `${at}.names[${n}]`))
      const roots = digestsOf(image, 'roots', at)
      const [manifests, absent] = ['manifests', 'absent'].map(key => optionalDigests(image, key, at))
      return {
        names,
        roots,
        ...(manifests ? { manifests } : {}),
        ...(absent ? { absent } : {}),
        configs: digestsOf(image, 'configs', at),
        size: size(image, 'size', at),
      }
    }),
    layers: items('layers', (item, at) => {
      const layer = record(item, at)
      const manifests = optionalDigests(layer, 'manifests', at)
      const digest = parseDigest(layer['digest'], `${at}.digest`)
      return { digest, size: size(layer, 'size', at), ...(manifests ? { manifests } : {}) }
    }),
  }
}

/** A list of digests that may be left out. Throws INVALID_MANIFEST. */
export function optionalDigests(object: JsonObject, key: string, where: string): readonly Digest[] | undefined {
  return object[key] === undefined ? undefined : digestsOf(object, key, where)
}

function digestsOf(object: JsonObject, key: string, where: string): readonly Digest[] {
  return array(object, key, where).map((item, n) => parseDigest(item, `${where}.${key}[${n}]`))
}

/** A name as bundles and inventories have it: a full reference in its one form. Throws INVALID_MANIFEST. */
export function parseFullName(name: unknown, where: string): string {
  if (typeof name === 'string' && isReference(name) && formatReference(parseReference(name)) === name) return name
  throw wrong(where, 'a full image reference', name)
}

/** As a destination is asked for it, under its names there. */
export function expectedImage(
  { names, ...image }: AssumedImage,
  nameThere: (name: Reference) => Reference = name => name,
): ExpectedImage {
  return { ...image, names: names.map(name => nameThere(parseReference(name))) }
}

/** The error if a layer is read that the delta `path` leaves out. */
export function leftOutOf(path: string, { digest }: Descriptor): StowageError {
  return new StowageError('BASE_MISSING', `${path} is a delta, which leaves out ${blobPath(digest)}`, {
    hint: mergeHint(path),
  })
}

/** How to make a whole bundle from the delta `path`. */
export function mergeHint(path: string): string {
  return `Make a whole bundle of it: stowage merge BASE ${path} -o OUTPUT, where BASE is a bundle that has the rest.`
}
