/** What a place has: its images, and by what it knows their layers. */
import type { Digest } from '../oci/digest.js'

/**
 * `blobs`: a place that keeps blobs as they are, and knows a layer by its digest. `layers`: an engine that keeps layers
 * unpacked, and knows one by its diffID and those of all layers below it. `manifests`: an engine that keeps blobs but
 * reports only which manifests are whole.
 */
export type InventoryKind = 'blobs' | 'layers' | 'manifests'

export interface Inventory {
  /** The place, as a location. */
  readonly place: string
  readonly kind: InventoryKind
  readonly images: readonly InventoryImage[]
}

export interface InventoryImage {
  /** Full references. */
  readonly names: readonly string[]
  /** The digest of its manifest or index; of its config if `kind` is `layers`. */
  readonly id: Digest
  /** All that it has, each once; if `kind` is `layers`, base first, as diffIDs; none if `kind` is `manifests`. */
  readonly layers: readonly InventoryLayer[]
  /** The configs of its platforms, if they are known and not its ID. */
  readonly configs?: readonly Digest[]
  /** Of an index: the manifests of its images that are whole. */
  readonly manifests?: readonly Digest[]
  /** Of an index: manifests that it lists and that are not there. */
  readonly absent?: readonly Digest[]
}

export interface InventoryLayer {
  readonly digest: Digest
  /** In bytes, as stored; left out if it is known by its diffID. */
  readonly size?: number
}
