/** Looks into a layer while it is written or hashed: what the tar in it is, whose SHA-256 is the diffID. */
import { systemCode } from '../errors.js'
import { type Digest, digestFromHex } from '../oci/digest.js'

/** What is known of the tar in a blob: its digest, or why it has none. `damaged`: what is compressed cannot be read. */
export type Plain = { readonly diffId: Digest } | { readonly reason: string; readonly damaged: boolean }

/** A layer that is looked into. */
export interface LayerWatch {
  /** Begins to hash the layer in JavaScript, where no native thread does it. */
  begin(): LayerHasher
  /** Called once the blob is found to be what its digest says, with what is in it. Throws to refuse the blob. */
  found(plain: Plain): void
}

/** Takes the bytes of a blob in their order, and hashes them and the tar in them. */
export interface LayerHasher {
  add(piece: Uint8Array): Promise<void>
  finish(): Promise<{ readonly digest: Digest; readonly plain: Plain }>
}

/** What the addon says of a layer: the SHA-256 of the tar in it, why it has none, or neither if it is the tar itself. */
export interface NativePlain {
  readonly hex?: string
  readonly failure?: Error
}

/** `blob` is the SHA-256 of the layer as it is. */
export function plainOf({ hex, failure }: NativePlain, blob: string): Plain {
  if (!failure) return { diffId: digestFromHex(hex ?? blob) }
  return { reason: failure.message, damaged: systemCode(failure) !== 'UNSUPPORTED' }
}
