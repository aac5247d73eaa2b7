/** Contents that a WIM lacks: a delta WIM does not hold the blobs of its base. */
import { FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_REPARSE_POINT } from '../windows/file-attributes.js'
import type { DirectoryEntry } from './entry.js'

/** How many different blobs the files of an image use, or those of all images. Empty files use none. */
export interface BlobCount {
  readonly used: number
  /** How many of them are in none of the open files. */
  readonly missing: number
}

export interface BlobCounts extends BlobCount {
  /** Of each image, in order. */
  readonly images: readonly BlobCount[]
}

/** A name of a file with content that is missing. */
export interface MissingFile {
  /** From 1. */
  readonly image: number
  /** From the root of the image, with slashes. */
  readonly path: string
  /** The blobs that are missing, of its data and its named streams, as SHA-1 in 40 hex digits. */
  readonly sha1: readonly string[]
  /** Whether it is a directory, which is not left out because there may be files in it. Links to directories are not. */
  readonly directory: boolean
}

/** The entry as a {@link MissingFile}; undefined if nothing of it is missing. */
export function missingFile(image: number, { path, attributes, streams }: DirectoryEntry): MissingFile | undefined {
  const sha1 = streams.filter(({ resource }) => resource.missing).map(({ resource }) => resource.sha1)
  if (sha1.length === 0) return undefined
  const kind = attributes & (FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_REPARSE_POINT)
  return { image, path, sha1, directory: kind === FILE_ATTRIBUTE_DIRECTORY }
}
