/** Types for the base OS images that a source of any kind offers. */
import type { ImageVersion } from './version.js'

/** One base OS image that a source offers. */
export interface CatalogEntry {
  readonly name: string
  readonly version: ImageVersion
  readonly summary: string
  /** Name of the source. */
  readonly source: string
  readonly architecture: string | undefined
  readonly content: CatalogContent
}

/** The location of the image: a WIM on the web or in a folder, or a container image in a bundle or a registry. */
export type CatalogContent =
  | {
      readonly type: 'web'
      readonly url: string
      readonly sha256: string | undefined
      readonly size: number | undefined
    }
  | { readonly type: 'file'; readonly path: string; readonly sha256: string | undefined; readonly size: number }
  | {
      readonly type: 'image'
      readonly location: string
      readonly digest: string | undefined
      readonly size: number | undefined
    }
