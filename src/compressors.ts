/**
 * The compressors of this build. Their releases decide the bytes of what is compressed: with another one, the same layer
 * has another digest, though the same diffID.
 */
import { nativeAddon } from './native.js'

/** Releases by name. */
export interface Compressors {
  /** Compresses layers and archives with gzip. */
  readonly libdeflate: string
  /** Compresses layers and archives with zstd. */
  readonly zstd: string
  /** Compresses archives with xz. */
  readonly liblzma: string
}

/** Those of every build that is published or tested: Debian 12's. */
export const PUBLISHED_COMPRESSORS: Compressors = { libdeflate: '1.14', zstd: '1.5.4', liblzma: '5.4.1' }

/** The compressors of the addon. Throws ADDON_MISSING. */
export function compressors(): Compressors {
  return (nativeAddon() as { compressors(): Compressors }).compressors() // native/addon.cc
}

/** A line about `own`: "libdeflate 1.14, zstd 1.5.4, …", and what follows from others than the published ones. */
export function compressorsText(own: Compressors): string {
  const text = ({ libdeflate, zstd, liblzma }: Compressors): string =>
    `libdeflate ${libdeflate}, zstd ${zstd}, liblzma ${liblzma}`
  const published = text(PUBLISHED_COMPRESSORS)
  return text(own) === published
    ? published
    : `${text(own)} (published builds have ${published}: what is compressed here may have other digests)`
}
