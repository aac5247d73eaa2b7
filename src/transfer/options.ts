/** What every verb that copies images can be told, declared once. */
import type { SparseForm } from '../blob/stripped.js'
import type { WaitOptions } from '../progress.js'
import type { WimDestinationOptions } from '../transport/wim/destination.js'
import type { WimLayerOptions } from '../transport/wim/source.js'

export interface TransferOptions extends WaitOptions {
  /** Of an index only these, `os[/arch[/variant]][:os.version]`; all its platforms where none is named. */
  readonly platforms?: readonly string[] | undefined
  /** Copies what refers to the images as well: signatures, SBOMs and attestations, by `subject` or by cosign's tags. */
  readonly referrers?: boolean | undefined
  /**
   * Foreign layers stay what they are (`keep`, the default), or become ordinary layers (`plain`), which changes the digests of the
   * image's manifests.
   */
  readonly foreignLayers?: 'keep' | 'plain' | undefined
  /**
   * Of an image of which only some platforms are copied: `keep` its index as it is, digest and all, and fail where that is
   * refused; `strip` from the index what is absent, which changes its digest. Left out, the index is kept where the destination
   * accepts it, and a bundle holds both.
   */
  readonly sparse?: SparseForm | undefined
  /** Blobs copied at a time. */
  readonly jobs?: number | undefined
  /** Engine address for `docker-daemon:`; without it the engine that `docker` would use. */
  readonly host?: string | undefined
  /** Registries (`host[:port]`) to speak plain http with; loopback ones need not be named. */
  readonly insecure?: readonly string[] | undefined
  /** Called with what a person should know while it goes on, a sentence each: a registry's rate limit that is nearly used up. */
  readonly onNotice?: ((sentence: string) => void) | undefined
}

/** For verbs that may make the layer of an image, from a WIM or a directory. */
export interface LayerMakingOptions {
  /** How a layer is made from a WIM; the bytes of every other image stay as they are. */
  readonly layer?: Omit<WimLayerOptions, 'onSkipped'> | undefined
}

/** For verbs that may write a WIM. */
export interface WimMakingOptions {
  /** How a WIM is written. */
  readonly wim?: Omit<WimDestinationOptions, 'imageName'> | undefined
}
