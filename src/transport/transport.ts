/** The interface of a transport: the form of its locations, what it can read and write, and how to open it. */
import type { BlobStage } from '../blob/blob-store.js'
import type { BlobDirectory } from '../blob/directory.js'
import type { SparseForm } from '../blob/stripped.js'
import type { EngineStore } from '../engine/store.js'
import type { DestinationSurvey } from '../image/destination-survey.js'
import type { ImageDestination } from '../image/image-destination.js'
import type { ImageSource } from '../image/image-source.js'
import type { ImageStore } from '../image/image-store.js'
import type { InspectedImage } from '../image/inspection.js'
import type { Inventory } from '../image/inventory.js'
import type { Shelf } from '../image/shelf.js'
import type { Digest } from '../oci/digest.js'
import type { Platform } from '../oci/platform.js'
import type { Reference } from '../oci/reference.js'
import type { WaitOptions } from '../progress.js'
import type { Registries } from '../registry/registries.js'
import type { Trust } from '../signature/trust.js'
import type { WimDestinationOptions } from './wim/destination.js'
import type { WimLayerOptions } from './wim/source.js'

/**
 * Where to read or write an image: `oci:site/layout:v1` has the scheme `oci`, the path `site/layout` and the reference
 * `v1`.
 */
export interface Location {
  /** The scheme of its transport: `docker`, `oci`, `wim` … */
  readonly scheme: string
  /** A file or directory; for `docker` the image's name or a prefix of names, for `docker-daemon` empty. */
  readonly path: string
  /** One image of several: a name, a tag, a digest, or the number or name of an image in a WIM. */
  readonly ref?: string | undefined
}

/** Options for opening any location: the address of an engine, and the registries of this run. */
export interface OpenLocationOptions extends WaitOptions {
  /** The engine's address; defaults to the engine that `docker` would use. */
  readonly host?: string | undefined
  readonly registries: Registries
}

export interface OpenSourceOptions extends OpenLocationOptions {
  /** What must be true of a bundle. */
  readonly trust?: Trust | undefined
  /** Called with notices for the user, one sentence each. */
  readonly onNotice?: ((sentence: string) => void) | undefined
  /** Where to write a layer that the source creates. */
  readonly stage: BlobStage
  /** Where to store blobs before it is known which are needed; called only by sources that do so. */
  readonly spool: () => Promise<BlobDirectory>
  /** The path beside which a source stores what it can read only once; by default, in the temporary directory. */
  readonly beside?: string | undefined
  /** Whether layers will be read (the default). */
  readonly layers?: boolean | undefined
  /** How to create a layer from a WIM or a directory. */
  readonly layer?: WimLayerOptions | undefined
  /** The name for an image that has none of its own. */
  readonly name?: Reference | undefined
  /** The one platform of an image created from a directory; defaults to Linux on this machine's architecture. */
  readonly platforms?: readonly string[] | undefined
}

export interface OpenDestinationOptions extends OpenLocationOptions {
  /** How to write a WIM. */
  readonly wim?: Omit<WimDestinationOptions, 'imageName'> | undefined
  /**
   * `keep`: a sparse index is written unchanged or refused; otherwise the destination may get it without its absent
   * manifests.
   */
  readonly sparse?: SparseForm | undefined
  /** Whether to read back what was written, if the transport can; undefined stands for what isReadBack() says. */
  readonly verify?: boolean | undefined
}

export interface OpenShelfOptions extends WaitOptions {
  /** What must be true of a bundle. */
  readonly trust?: Trust | undefined
  /** The name that the user gave it. */
  readonly name: string
  /** Where volumes of a bundle may be, besides its path. */
  readonly more?: readonly string[] | undefined
  /** Called with what a person should know, a sentence each. */
  readonly onNotice?: ((sentence: string) => void) | undefined
}

export interface InspectImagesOptions extends OpenLocationOptions {
  /** The platforms to describe; empty means all. */
  readonly selectors: readonly Partial<Platform>[]
  /** The same platforms, as text. */
  readonly platforms: readonly string[]
}

/** A transport that images are read from. */
export interface SourceTransport {
  /** The form of its locations: `oci:DIR[:REF]`. */
  readonly form: string
  open(location: Location, options: OpenSourceOptions): Promise<ImageSource>
  /**
   * Whether reading the image creates its layer, so that its size and digest are not known in advance. Defaults to
   * never.
   */
  makesLayer?(location: Location): Promise<boolean>
  /** Whether it has its own options for creating that layer (`wims:` in an images file). */
  readonly layerOptions?: boolean
  /**
   * `unread`: manifests are not available without creating or exporting the image; {@link Transport.inspect} describes
   * it.
   */
  readonly manifests: 'kept' | 'unread'
  /**
   * How an images file pins an image: `ref` by its digest as a reference, `repository` by a digest in a repository with
   * tags.
   */
  readonly pin?: 'ref' | 'repository'
}

/** A transport that images are written to. */
export interface DestinationTransport {
  /** The form of a location for images: `docker://HOST[:PORT][/PREFIX]`. */
  readonly form: string
  /** The form with an image's name, if it can have one: `docker://NAME[:TAG]`. */
  readonly imageForm?: string
  open(location: Location, options: OpenDestinationOptions): Promise<ImageDestination>
  /** Opens it only to find out what it has; left out if it has nothing yet and takes anything. */
  survey?(location: Location, options: OpenDestinationOptions): Promise<DestinationSurvey>
  /** Splits an image's name, if any, off the location. Left out if locations do not name an image. */
  named?(location: Location): { readonly location: Location; readonly name: Reference | undefined }
  /**
   * `names`: images keep their names. `prefix`: a registry; the location becomes the prefix of every name, and an image
   * must have one.
   */
  readonly naming: 'names' | 'prefix'
  /** Whether the reference in the location (`FILE:REF`) sets the image's name there. */
  readonly takesRef: boolean
  /** Whether it can hold signatures, SBOMs and other artifacts that are not container images. */
  readonly artifacts: boolean
  /** Whether images can be added later; not to a file, which is written once. */
  readonly additive: boolean
  /** Whether its destinations have `hold()`, so that a stream can be written to them while it is read. */
  readonly holds?: boolean
  /**
   * The path beside which a copy keeps its temporary files; left out if the destination is not on this machine's disk.
   */
  disk?(location: Location): string | undefined
  /**
   * Whether the result is sealed with checksums of all its files: `pack` writes such a destination, `load` does not.
   */
  readonly seals?: boolean
  /** Whether what was written can be read back before it gets its name. */
  readonly verifies?: boolean
  /** What the names of its files usually end with: `.tar`, nothing for a directory. It is suggested for such a name. */
  readonly extension?: string
  /** Whether it is standard output if its path is `-`. */
  readonly streams?: boolean
  /**
   * Whether its destinations have their own spool for blobs that a source stores before it is known which are needed.
   */
  readonly spools?: boolean
  /** Connects to the engine at the destination, if there is one, and returns what its store can hold. */
  engine?(options: Pick<OpenLocationOptions, 'host' | 'signal' | 'onProgress'>): Promise<EngineStore>
  /** Records the current contents, so that `undo` can remove the blobs that a failed copy has added since. */
  trace?(location: Location): Promise<DestinationTrace>
}

export interface DestinationTrace {
  /** `blobs`: the digests of everything that the copy was to write. */
  undo(blobs: readonly Digest[]): Promise<void>
}

/** A transport that stores named images, which can be listed, tagged and removed. */
export interface StoreTransport {
  readonly form: string
  /** A sealed store can be listed but not changed. */
  readonly sealed: boolean
  open(location: Location, options: OpenLocationOptions): Promise<ImageStore>
}

/** A transport whose contents can be listed for a delta. */
export interface InventoryTransport {
  readonly form: string
  read(location: Location, options: OpenInventoryOptions): Promise<Inventory>
}

export interface OpenInventoryOptions extends OpenLocationOptions {
  /** Called with notices for the user, one sentence each. */
  readonly onNotice?: ((sentence: string) => void) | undefined
}

/** One kind of location. Each transport has its own folder and an entry in `list.ts`. */
export interface Transport {
  readonly scheme: string
  /** Its name in messages that do not show the location: `the Docker Engine`. */
  readonly title?: string
  /**
   * Parses what follows `scheme:` in `text`; undefined if that is not a location of this transport. Throws
   * INVALID_ARGUMENT.
   */
  parse(rest: string, text: string): Location | undefined
  /** Parses a location without a scheme; undefined if it is not a location of this transport. */
  parseBare?(text: string): Location | undefined
  format(location: Location): string
  /** The hint for `SCHEME:rest` if that is not a location. */
  misread?(rest: string): string
  /** Whether `path` of its locations is a path on this machine. */
  readonly onDisk: boolean
  readonly source?: SourceTransport
  readonly destination?: DestinationTransport
  readonly store?: StoreTransport
  /** Describes the images without reading manifests; undefined if their manifests must be read. */
  inspect?(location: Location, options: InspectImagesOptions): Promise<readonly InspectedImage[] | undefined>
  /** Lists what it has, for a delta. */
  readonly inventory?: InventoryTransport
  /** Opens it to be served to registry clients. */
  serve?(location: Location, options: OpenShelfOptions): Promise<Shelf>
  /** Whether every layer of the image is present; left out if that is known only by reading the layers. */
  isWhole?(location: Location): Promise<boolean>
}
