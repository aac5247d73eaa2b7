/**
 * The compressions of layers and archives, and everything that differs between them: whoever names one takes it from this table.
 * Sources: OCI image-spec, layer.md; RFC 1952 (gzip); RFC 8878 (Zstandard).
 */
import { OCI_LAYER } from './media-type.js'

/** What is known of a compression. */
interface CompressionFormat {
  /** As people write it. */
  readonly title: string
  /** The beginning of a file, a character for each byte. */
  readonly magic: RegExp
  /** Of a layer compressed so. */
  readonly mediaType: string
  /** Levels for layers made here, from 1. */
  readonly levels: { readonly most: number; readonly usual: number; readonly help: string }
  /** The first Docker that reads it in layers, and the first minor version of its API; undefined for all that exist. */
  readonly since: { readonly docker: string; readonly api: number } | undefined
}

/** Levels: libdeflate's for gzip, libzstd's for Zstandard, whose skippable frames may come first. */
export const COMPRESSIONS = {
  gzip: {
    title: 'gzip',
    magic: /^\x1f\x8b/,
    mediaType: `${OCI_LAYER}+gzip`,
    levels: { most: 12, usual: 1, help: '1 (fast) to 12 (small)' },
    since: undefined,
  },
  zstd: {
    title: 'Zstandard',
    magic: /^(?:\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18)/,
    mediaType: `${OCI_LAYER}+zstd`,
    levels: { most: 19, usual: 2, help: '1 to 19, for Docker 23 and later' },
    since: { docker: '23', api: 42 },
  },
} as const satisfies Readonly<Record<string, CompressionFormat>>

export type Compression = keyof typeof COMPRESSIONS

/** A compression of a layer, or none. */
export type LayerCompressionType = Compression | 'none'

export const COMPRESSION_NAMES = Object.keys(COMPRESSIONS) as readonly Compression[] // the keys of a constant

/** What layers made here are compressed with unless something else is asked for. */
export const DEFAULT_COMPRESSION: Compression = 'gzip'

/** First bytes that are enough for {@link compressionOf}. */
export const MAGIC_SIZE = 10

/** The compression of what begins with `head`; undefined for none, and for one that is not in the table. */
export function compressionOf(head: Uint8Array): Compression | undefined {
  const text = Buffer.from(head.subarray(0, MAGIC_SIZE)).toString('latin1')
  return COMPRESSION_NAMES.find(name => COMPRESSIONS[name].magic.test(text))
}

/** The media type of a layer compressed so. */
export function layerMediaType(type: LayerCompressionType): string {
  return type === 'none' ? OCI_LAYER : COMPRESSIONS[type].mediaType
}

/** Whether every Docker, however old, and podman unpack layers of this type: plain ones, and those of the oldest compression. */
export function isUnpackedEverywhere(mediaType: string): boolean {
  const compression = compressionOfMediaType(mediaType)
  if (compression && COMPRESSIONS[compression].since) return false
  return /[.]tar$/.test(compression ? mediaType.slice(0, -compression.length - 1) : mediaType)
}

/** The compression that a media type of a layer names, Docker's or OCI's, foreign ones too. */
export function compressionOfMediaType(mediaType: string): Compression | undefined {
  return COMPRESSION_NAMES.find(name => mediaType.endsWith(`.${name}`) || mediaType.endsWith(`+${name}`))
}
