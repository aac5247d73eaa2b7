/** What a page is told, and how much of it has room. */
import type { Generator } from '../generator.js'
import type { InspectedImage } from '../image/inspection.js'

export interface PageContents {
  /** A bundle, or any other place with images. */
  readonly place: PageBundle | PageLocation
  readonly generator: Generator
  /** In their order; what describes an image is shown with it. */
  readonly images: readonly InspectedImage[]
  /** All blobs and files, each once, in bytes; undefined if it is not known yet. */
  readonly size: number | undefined
}

export interface PageBundle {
  readonly type: 'bundle'
  /** RFC 3339. */
  readonly created?: string | undefined
  /** Carried files, with their paths in the bundle. */
  readonly files: readonly PageFile[]
  /** Digests of what describes an image and was left behind, by the root of the image. */
  readonly undelivered: ReadonlyMap<string, readonly string[]>
  /** Set for a delta. */
  readonly assumes?: PageAssumption | undefined
  /** The file name of the bundle, if it is known that it is one tar; the page inside a bundle cannot know. */
  readonly tar?: string | undefined
  /** Set if the bundle is a tar in volumes. */
  readonly volumes?: PageVolumes | undefined
  /** The ids of the keys that it says to be signed by. */
  readonly keys: readonly string[]
}

export interface PageLocation {
  readonly type: 'location'
  readonly location: string
}

export interface PageFile {
  readonly path: string
  /** In bytes. */
  readonly size: number
  readonly digest: string
}

/** What a delta leaves out. */
export interface PageAssumption {
  readonly sources: readonly { readonly place: string; readonly digest: string; readonly site?: number }[]
  readonly images: readonly {
    readonly names: readonly string[]
    readonly roots: readonly string[]
    readonly size: number
  }[]
  readonly layers: readonly { readonly digest: string; readonly size: number }[]
}

export interface PageVolumes {
  /** Of the tar that they are parts of: `x.tar`. */
  readonly name: string
  readonly count: number
  /** Of each but the last, in bytes. */
  readonly size: number
  /** Of all of them together, in bytes. */
  readonly total: number
}

/** More images than these are in the table only. */
export const DETAILED_IMAGES = 200
/** What the sections of images, the table of images, and each other table may take, in characters. */
export const DETAILS_ROOM = 2_000_000
export const TABLE_ROOM = 3_800_000
export const LIST_ROOM = 400_000
/** Bars in the picture. */
export const PICTURED = 40
/** Shared parts with a letter of their own. */
export const LETTERED = 26
/** What one image may show. */
export const SHOWN = { names: 20, platforms: 40, layers: 200, labels: 60, others: 60, text: 2_000, words: 300 } as const
