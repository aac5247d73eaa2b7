/** What a list of images asks for, whichever form it has. */
import type { Reference } from '../oci/reference.js'
import type { TagRule } from '../registry/tags.js'
import { transportOf } from '../transport/location.js'
import type { Location } from '../transport/transport.js'
import type { WimLayerOptions } from '../transport/wim/source.js'
import type { Position } from './document.js'

/** What a list was recognized as, by its content alone. */
export type ListKind = 'images.yaml' | 'references' | 'compose' | 'kubernetes'

export interface ImagesFile {
  readonly kind: ListKind
  readonly path: string
  /** Registries to reach over plain http. */
  readonly insecure: readonly string[]
  /** Hosts whose certificates are accepted without verification. */
  readonly tlsSkipVerify: readonly string[]
  readonly images: readonly ImageEntry[]
  readonly wims: readonly WimEntry[]
  readonly files: readonly FileEntry[]
}

interface Entry {
  readonly at: Position
  /** The fields that the file gives for the entry. The lock repeats them, so that it can be matched to the file. */
  readonly request: Readonly<Record<string, unknown>>
}

export interface NameEntry {
  readonly at: Position
  /** Without a tag, it takes the tag of the image. */
  readonly name: Reference
}

export interface ImageEntry extends Entry {
  /** Its path is relative to the current directory, not to the file. */
  readonly location: Location
  /** Tags of a repository, instead of one image. */
  readonly tags?:
    readonly { readonly tag: string; readonly at: Position }[] | { readonly rule: TagRule; readonly at: Position }
  /** Empty means all platforms. If missing, the setting for the whole run applies. */
  readonly platforms?: readonly string[]
  readonly names: readonly NameEntry[]
  readonly referrers: boolean
}

export interface WimEntry extends Entry {
  readonly file: string
  /** Number or name. */
  readonly image?: string
  readonly names: readonly NameEntry[]
  /** Whether to pack the WIM as a file too, or only as a file. */
  readonly carry: boolean | 'only'
  readonly layer: Omit<WimLayerOptions, 'onSkipped' | 'onWarning'>
}

export interface FileEntry extends Entry {
  readonly from: string
  /** The path below `files/` in the bundle, with `/`. */
  readonly to: string
}

/** Whether it is in a registry, where a repository has tags and an image is pinned by its digest. */
export function isRepository(location: Location): boolean {
  return transportOf(location).source?.pin === 'repository'
}
