/**
 * The compressions of layers and archives, and everything that differs between them, in one table. Sources: OCI
 * image-spec, layer.md; RFC 1952 (gzip); RFC 8878 (Zstandard).
 */
import { OCI_LAYER } from './media-type.js'

/** Properties of a compression. */
interface CompressionFormat {
  /** The name to show to people. */
  readonly title: string
  /** Matches the first bytes of a file, as latin1 text. */
  readonly magic: RegExp
  /** Media type of a layer with this compression. */
  readonly mediaType: string
  /** Levels for layers that Stowage compresses, from 1. */
  readonly levels: { readonly most: number; readonly usual: number; readonly help: string }
  /** The first Docker version that reads it in layers, and its minor API version; undefined if every Docker does. */
  readonly since: { readonly docker: string; readonly api: number } | undefined
}

/**
 * Levels are those of libdeflate for gzip and libzstd for Zstandard. A Zstandard file may begin with skippable frames.
 */
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

/** The compressions of whole archives: those of layers, and xz. Source: The .xz File Format 1.2.1. */
export const ARCHIVE_COMPRESSIONS = {
  gzip: { ...COMPRESSIONS.gzip, suffixes: ['.tar.gz', '.tgz'] },
  zstd: { ...COMPRESSIONS.zstd, suffixes: ['.tar.zst', '.tzst'] },
  xz: { title: 'xz', magic: /^\xfd7zXZ\0/, suffixes: ['.tar.xz', '.txz'] },
} as const satisfies Readonly<
  Record<string, Pick<CompressionFormat, 'title' | 'magic'> & { readonly suffixes: readonly string[] }>
>

export type ArchiveCompression = keyof typeof ARCHIVE_COMPRESSIONS

export const ARCHIVE_COMPRESSION_NAMES = Object.keys(ARCHIVE_COMPRESSIONS) as readonly ArchiveCompression[] // the same

/** The file name endings of compressed archives: `.tar.gz, .tgz, …`. */
export const ARCHIVE_SUFFIXES: readonly string[] = Object.values(ARCHIVE_COMPRESSIONS).flatMap(
  ({ suffixes }): readonly string[] => suffixes,
)

/** A layer's compression, or none. */
export type LayerCompressionType = Compression | 'none'

export const COMPRESSION_NAMES = Object.keys(COMPRESSIONS) as readonly Compression[] // the keys of a constant

/** The compression for layers that Stowage creates, unless another one is requested. */
export const DEFAULT_COMPRESSION: Compression = 'gzip'

/** Number of first bytes that {@link compressionOf} needs. */
export const MAGIC_SIZE = 10

/** The compression of data that begins with `head`; undefined for none, and for one that is not in the table. */
export function compressionOf(head: Uint8Array): Compression | undefined {
  const text = Buffer.from(head.subarray(0, MAGIC_SIZE)).toString('latin1')
  return COMPRESSION_NAMES.find(name => COMPRESSIONS[name].magic.test(text))
}

/** Like {@link compressionOf}, for a whole archive. */
export function archiveCompressionOf(head: Uint8Array): ArchiveCompression | undefined {
  const text = Buffer.from(head.subarray(0, MAGIC_SIZE)).toString('latin1')
  return ARCHIVE_COMPRESSION_NAMES.find(name => ARCHIVE_COMPRESSIONS[name].magic.test(text))
}

/** The compression that the name of an archive asks for: `site.tar.zst`. */
export function compressionOfName(path: string): ArchiveCompression | undefined {
  const name = path.toLowerCase()
  return ARCHIVE_COMPRESSION_NAMES.find(each => ARCHIVE_COMPRESSIONS[each].suffixes.some(end => name.endsWith(end)))
}

/** The media type of a layer with this compression. */
export function layerMediaType(type: LayerCompressionType): string {
  return type === 'none' ? OCI_LAYER : COMPRESSIONS[type].mediaType
}

/**
 * Whether podman and every Docker version unpack layers of this type: uncompressed, or with a compression of no
 * `since`.
 */
export function isUnpackedEverywhere(mediaType: string): boolean {
  const compression = compressionOfMediaType(mediaType)
  if (compression && COMPRESSIONS[compression].since) return false
  return /[.]tar$/.test(compression ? mediaType.slice(0, -compression.length - 1) : mediaType)
}

/** The compression that a layer's media type names; Docker's and OCI's types, including foreign ones. */
export function compressionOfMediaType(mediaType: string): Compression | undefined {
  return COMPRESSION_NAMES.find(name => mediaType.endsWith(`.${name}`) || mediaType.endsWith(`+${name}`))
}
