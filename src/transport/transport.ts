/** What a transport is: how its locations are written, what can be read from it and written to it, and how it is opened. */
import type { BlobStage } from '../blob/blob-store.js'
import type { BlobDirectory } from '../blob/directory.js'
import type { SparseForm } from '../blob/stripped.js'
import type { EngineStore } from '../engine/store.js'
import type { ImageDestination } from '../image/image-destination.js'
import type { ImageSource } from '../image/image-source.js'
import type { ImageStore } from '../image/image-store.js'
import type { InspectedImage } from '../image/inspection.js'
import type { Shelf } from '../image/shelf.js'
import type { Digest } from '../oci/digest.js'
import type { Platform } from '../oci/platform.js'
import type { Reference } from '../oci/reference.js'
import type { WaitOptions } from '../progress.js'
import type { Registries } from '../registry/registries.js'
import type { WimDestinationOptions } from './wim/destination.js'
import type { WimLayerOptions } from './wim/source.js'

/** Where an image is, or goes: `oci:site/layout:v1` is the scheme `oci`, the path `site/layout` and the reference `v1`. */
export interface Location {
  /** Of its transport: `docker`, `oci`, `wim` … */
  readonly scheme: string
  /** A file or directory; of `docker` the name of the image or a prefix of names, of `docker-daemon` nothing. */
  readonly path: string
  /** One image of several: a name, a tag, a digest, or the number or name of an image in a WIM. */
  readonly ref?: string | undefined
}

/** What everyone who opens a location may need: the address of an engine, and the registries that this run speaks to. */
export interface OpenLocationOptions extends WaitOptions {
  /** Engine address; without it the engine that `docker` would use. */
  readonly host?: string | undefined
  readonly registries: Registries
}

export interface OpenSourceOptions extends OpenLocationOptions {
  /** Where a layer that is made here goes. */
  readonly stage: BlobStage
  /** Where a source files blobs before it knows which it needs; called only by those that do. */
  readonly spool: () => Promise<BlobDirectory>
  /** How a layer is made from a WIM or a directory. */
  readonly layer?: WimLayerOptions | undefined
  /** Name of an image that has none of its own. */
  readonly name?: Reference | undefined
  /** The one platform that an image made from a directory is for; Linux on the processor of this machine when left out. */
  readonly platforms?: readonly string[] | undefined
}

export interface OpenDestinationOptions extends OpenLocationOptions {
  /** How a WIM is written. */
  readonly wim?: Omit<WimDestinationOptions, 'imageName'> | undefined
  /** `keep`: a sparse index stays what it is, or is refused; else the destination may take what is left of it. */
  readonly sparse?: SparseForm | undefined
}

export interface InspectImagesOptions extends OpenLocationOptions {
  /** Only images for one of these; all where there are none. */
  readonly selectors: readonly Partial<Platform>[]
  /** The same, as they were written. */
  readonly platforms: readonly string[]
}

/** A transport that images are read from. */
export interface SourceTransport {
  /** How its locations are written: `oci:DIR[:REF]`. */
  readonly form: string
  open(location: Location, options: OpenSourceOptions): Promise<ImageSource>
  /** Whether reading the image makes its layer, so that neither its size nor its digest is known before. Never, when left out. */
  makesLayer?(location: Location): Promise<boolean>
  /** Options of its own for making that layer (`wims:` in an images file). */
  readonly layerOptions?: boolean
  /** `unread`: the place keeps no manifests of its own; it is asked by {@link Transport.inspect}. */
  readonly manifests: 'kept' | 'unread'
  /** How an images file pins an image: by its digest as a reference, by a digest in a repository that has tags, or not at all. */
  readonly pin?: 'ref' | 'repository'
}

/** A transport that images are written to. */
export interface DestinationTransport {
  /** How a place for images is written: `docker://HOST[:PORT][/PREFIX]`. */
  readonly form: string
  /** How it is written together with the name of an image, where it can be: `docker://NAME[:TAG]`. */
  readonly imageForm?: string
  open(location: Location, options: OpenDestinationOptions): Promise<ImageDestination>
  /** The location without the name of the image that it may have, and that name. Without it, a location names no image of its own. */
  named?(location: Location): { readonly location: Location; readonly name: Reference | undefined }
  /**
   * `names`: images keep their names. `prefix`: a registry; names are moved behind the location, and an image must have one.
   */
  readonly naming: 'names' | 'prefix'
  /** Whether an image named in the location (`FILE:REF`) says what the image is called there. */
  readonly takesRef: boolean
  /** Whether it takes what is not a container image: signatures, SBOMs and other artifacts. */
  readonly artifacts: boolean
  /** Whether it can take one more image later: not so a file that is written once. */
  readonly additive: boolean
  /** A path that temporary files of a copy belong beside; without it, the destination has no disk of ours. */
  disk?(location: Location): string
  /** Whether what is written is sealed in the end, with checksums of all of it: `pack` makes such, and `load` does not. */
  readonly seals?: boolean
  /** Whether its destinations have a place of their own for what a source unpacks before it is chosen. */
  readonly spools?: boolean
  /** What runs at the destination, where something does: an engine, which proves what it takes. */
  engine?(options: Pick<OpenLocationOptions, 'host' | 'signal'>): Promise<EngineStore>
  /** Notes what is there now. `undo` takes away blobs that a failed copy has added since. */
  trace?(location: Location): Promise<DestinationTrace>
}

export interface DestinationTrace {
  /** `blobs`: digests of all that was to be written. */
  undo(blobs: readonly Digest[]): Promise<void>
}

/** A transport that keeps images under names, to be listed, tagged and removed. */
export interface StoreTransport {
  readonly form: string
  /** A sealed store can be listed, and never changed. */
  readonly sealed: boolean
  open(location: Location, options: OpenLocationOptions): Promise<ImageStore>
}

/** Everything that is known of one kind of place. A transport is a folder of its own and a line in `list.ts`. */
export interface Transport {
  readonly scheme: string
  /** As a person calls it, where a sentence has no room for its address: `the Docker Engine`. */
  readonly title?: string
  /** Parses what follows `scheme:` in `text`; undefined if that is not a location of this transport. Throws INVALID_ARGUMENT. */
  parse(rest: string, text: string): Location | undefined
  /** Parses a location without a scheme; undefined if it is none. */
  parseBare?(text: string): Location | undefined
  format(location: Location): string
  /** Whether `path` of its locations is a path on this machine. */
  readonly onDisk: boolean
  readonly source?: SourceTransport
  readonly destination?: DestinationTransport
  readonly store?: StoreTransport
  /** What the images are, in the words of the place itself; undefined if their manifests are to be read. */
  inspect?(location: Location, options: InspectImagesOptions): Promise<readonly InspectedImage[] | undefined>
  /** Opens it to be served to registry clients; `name`: as it was named. */
  serve?(
    location: Location,
    options: { readonly name: string; readonly signal?: AbortSignal | undefined },
  ): Promise<Shelf>
  /** Whether every layer of the image is there, where reading them all is not the way to know. */
  isWhole?(location: Location): Promise<boolean>
}
