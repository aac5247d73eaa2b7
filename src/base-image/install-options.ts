/** What installing a base OS image is told, and what it says of it. */
import type { TransferOptions } from '../transfer/options.js'
import { StowageError } from '../errors.js'
import type { LayerFinding } from '../layer/read/check.js'
import type { HttpOptions } from '../http/connection.js'
import { type WimLayerOptions } from '../transport/wim/source.js'

export interface InstallOptions extends TransferOptions, Omit<HttpOptions, 'insecure'> {
  /** `docker-daemon:`, `oci:DIR`, `oci:`, `bundle:PATH` or `docker://HOST[/PREFIX]`; the engine when left out, or the default store where none answers. */
  readonly to?: string | undefined
  /** Of the one image that is installed, instead of the name that its WIM's XML makes, `nanoserver:10.0.14300.1010`, or that it has. */
  readonly name?: string | undefined
  /** The tag `latest` as well: of several versions of one name that were found, the newest; of WIM files, the last. */
  readonly latest?: boolean | undefined
  /** Installs again what is there, replaces another image of the name, and lets an engine keep what its host does not run. */
  readonly force?: boolean | undefined
  /** Installs what breaks a rule of docs/layer-check.md too: what was found is told all the same. */
  readonly skipCheck?: boolean | undefined
  /** Only says what would be done. */
  readonly whatIf?: boolean | undefined
  /** How the layer is made. */
  readonly layer?: Omit<WimLayerOptions, 'onSkipped' | 'onWarning'> | undefined
  /** Told what a person should know, a sentence each. */
  readonly onNote?: ((sentence: string) => void) | undefined
}

export interface InstallWimOptions extends InstallOptions {
  /** Number or name of the image in the WIM; its only one (but for `UtilityVM`) when left out. */
  readonly image?: string | undefined
}

export interface InstallImagesOptions extends InstallOptions {
  /** A folder that keeps the WIM files, by the rules of {@link saveImage}; without it they are gone afterwards. */
  readonly path?: string | undefined
}

/** What became of one image; `error` stands where it was not installed. */
export interface InstalledImage {
  /** The WIM, or where the source says the image is, without what may be a key. */
  readonly from: string
  /**
   * `CN=Microsoft_NanoServer_10.0.14300.1010`; empty if it is not known yet. Of a container image that is copied
   * it is what {@link identityOf} makes of it: without labels it has no publisher.
   */
  readonly fullName: string
  readonly name: string
  readonly version: string
  /** `windows/amd64:10.0.14300.1010`; undefined if it is not known yet. */
  readonly platform: string | undefined
  /** Full references. */
  readonly names: readonly string[]
  /** How the target calls it: an engine's image ID, elsewhere the root's digest. */
  readonly id: string | undefined
  /** Bytes sent, and bytes left out because the target had them. */
  readonly sent: number
  readonly skipped: number
  readonly result: 'installed' | 'exists' | 'what-if' | 'failed'
  /** What breaks a rule of base layers, errors first. */
  readonly findings: readonly LayerFinding[]
  /** What `layer.skipUnsupported` left out: paths in the layer, each with the reason. */
  readonly leftOut: readonly string[]
  readonly error?: StowageError
}

export interface InstallResult {
  /** Where the images went, as a location. */
  readonly to: string
  readonly images: readonly InstalledImage[]
}

export const UNKNOWN = {
  fullName: '',
  name: '',
  version: '',
  platform: undefined,
  names: [],
  id: undefined,
  sent: 0,
  skipped: 0,
  findings: [],
  leftOut: [],
} as const
