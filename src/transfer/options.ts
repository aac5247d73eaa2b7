/** The options shared by every command that copies images, and those of them that say how to reach a location. */
import type { SparseForm } from '../blob/stripped.js'
import type { WaitOptions } from '../progress.js'
import type { Trust } from '../signature/trust.js'
import type { WimDestinationOptions } from '../transport/wim/destination.js'
import type { WimLayerOptions } from '../transport/wim/source.js'

export interface TransferOptions extends WaitOptions {
  /** The platforms to copy from an index, `os[/arch[/variant]][:os.version]`; all of them if empty or left out. */
  readonly platforms?: readonly string[] | undefined
  /**
   * Also copies the referrers of the images: signatures, SBOMs and attestations, found by `subject` or by cosign's
   * tags.
   */
  readonly referrers?: boolean | undefined
  /**
   * `keep` (the default) leaves foreign layers as they are; `plain` turns them into ordinary layers, which changes the
   * digests of the image's manifests.
   */
  readonly foreignLayers?: 'keep' | 'plain' | undefined
  /**
   * If only some platforms of an image are copied: `keep` copies its index unchanged, with its digest, and fails if the
   * destination rejects that; `strip` removes the absent platforms from the index, which changes its digest. If left
   * out, the index is kept where the destination accepts it, and a bundle holds both.
   */
  readonly sparse?: SparseForm | undefined
  /** The number of blobs to copy at a time. */
  readonly jobs?: number | undefined
  /** The engine's address for `docker-daemon:`; defaults to the engine that `docker` would use. */
  readonly host?: string | undefined
  /** Registries (`host[:port]`) to contact over plain HTTP; loopback addresses need not be listed. */
  readonly insecure?: readonly string[] | undefined
  /**
   * Hosts (`host` with any port, or `host:port`) whose certificates are accepted without verification. Whoever can get
   * in between can read and change everything: `onNotice` is told so for each host.
   */
  readonly tlsSkipVerify?: readonly string[] | undefined
  /**
   * Called during the copy with notices for the user, one sentence each: a registry's rate limit is nearly used up, the
   * certificate of a host is not verified.
   */
  readonly onNotice?: ((sentence: string) => void) | undefined
  /** What must be true of a bundle that is the source: who must have signed it, and what it must not be older than. */
  readonly trust?: Trust | undefined
}

/** For commands that may create the layer of an image, from a WIM or a directory. */
export interface LayerMakingOptions {
  /** How to create a layer from a WIM or a directory; the bytes of every other image stay as they are. */
  readonly layer?: Omit<WimLayerOptions, 'onSkipped'> | undefined
}

/** For commands that may write a WIM. */
export interface WimMakingOptions {
  /** How to write a WIM. */
  readonly wim?: Omit<WimDestinationOptions, 'imageName'> | undefined
}

/** How to reach a location: what a verb passes on to another that reads it. */
export function accessOf({
  host,
  insecure,
  tlsSkipVerify,
  onNotice,
  onProgress,
  signal,
}: TransferOptions): Pick<
  TransferOptions,
  'host' | 'insecure' | 'tlsSkipVerify' | 'onNotice' | 'onProgress' | 'signal'
> {
  return { host, insecure, tlsSkipVerify, onNotice, onProgress, signal }
}
