/** The options and results of installing base OS images. */
import type { Room } from '../archive/space.js'
import type { TransferOptions } from '../transfer/options.js'
import { StowageError } from '../errors.js'
import type { LayerFinding } from '../layer/read/check.js'
import type { HttpOptions } from '../http/connection.js'
import { type WimLayerOptions } from '../transport/wim/source.js'

export interface InstallOptions extends TransferOptions, HttpOptions {
  /**
   * `docker-daemon:`, `oci:DIR`, `oci:`, `bundle:PATH` or `docker://HOST[/PREFIX]`. By default the engine, or the
   * default store if none answers.
   */
  readonly to?: string | undefined
  /**
   * Name of the image, if only one is installed. By default it is made from the XML of the WIM,
   * `nanoserver:10.0.14300.1010`, or is the name of the container image.
   */
  readonly name?: string | undefined
  /** Also set the tag `latest`: to the newest of several versions of one name, or to the last of several WIM files. */
  readonly latest?: boolean | undefined
  /**
   * Install an existing image again, replace another image of the name, and let an engine hold what its host cannot
   * run.
   */
  readonly force?: boolean | undefined
  /** Install even a layer that breaks a rule of docs/layer-check.md. Its findings are still reported. */
  readonly skipCheck?: boolean | undefined
  /** Only report what would be done. */
  readonly whatIf?: boolean | undefined
  /** Options for the layer made from a WIM. */
  readonly layer?: Omit<WimLayerOptions, 'onSkipped' | 'onWarning'> | undefined
  /** Called with a sentence for each thing that the user should know. */
  readonly onNote?: ((sentence: string) => void) | undefined
}

export interface InstallWimOptions extends InstallOptions {
  /** Number or name of the image in the WIM; by default its only one, apart from `UtilityVM`. */
  readonly image?: string | undefined
}

export interface InstallImagesOptions extends InstallOptions {
  /** A folder to keep the WIM files in, by the rules of {@link saveImage}. Without it they are temporary. */
  readonly path?: string | undefined
}

/** The result for one image; `error` is set if it was not installed. */
export interface InstalledImage {
  /** The WIM, or the location of the image in its source, without parts that may be secret. */
  readonly from: string
  /**
   * `CN=Microsoft_NanoServer_10.0.14300.1010`; empty if not known yet. For a container image that is copied, the result
   * of {@link identityOf}, which has no publisher if the image has no labels.
   */
  readonly fullName: string
  readonly name: string
  readonly version: string
  /** `windows/amd64:10.0.14300.1010`; undefined if not known yet. */
  readonly platform: string | undefined
  /** Full references. */
  readonly names: readonly string[]
  /** The ID in the target: the image ID of an engine, elsewhere the digest of the root. */
  readonly id: string | undefined
  /** Bytes sent, and bytes skipped because the target already had them. */
  readonly sent: number
  readonly skipped: number
  readonly result: 'installed' | 'exists' | 'what-if' | 'failed'
  /** Findings of the layer check, errors first. */
  readonly findings: readonly LayerFinding[]
  /** What `layer.skipUnsupported` omitted: paths in the layer, each with the reason. */
  readonly leftOut: readonly string[]
  /** With `whatIf`: the room for its layer, at most; left out if that is not known. */
  readonly room?: Room
  readonly error?: StowageError
}

export interface InstallResult {
  /** The location of the target. */
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
