/**
 * The blobs of an archive: the files of its OCI layout, other files that are known to be blobs, and documents generated
 * from it.
 */
import type { BlobStore, Bytes, FetchOptions } from '../blob/blob-store.js'
import { StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { blobPath } from '../oci/layout.js'
import type { ArchiveFile, ArchiveFiles } from './archive-files.js'

/** Reads from `archive` but does not close it: the code that opened it does. */
export class ArchiveBlobs implements BlobStore {
  readonly #archive: ArchiveFiles
  readonly #files = new Map<Digest, ArchiveFile>()
  readonly #documents = new Map<Digest, Uint8Array>()

  constructor(archive: ArchiveFiles) {
    this.#archive = archive
  }

  /** Registers `file`, whatever its path, as the blob `digest`. */
  addFile(digest: Digest, file: ArchiveFile): void {
    this.#files.set(digest, file)
  }

  addDocument(digest: Digest, bytes: Uint8Array): void {
    this.#documents.set(digest, bytes)
  }

  async has(blob: Descriptor): Promise<boolean> {
    if (this.#documents.has(blob.digest)) return true
    const file = this.#find(blob)
    return file?.size === blob.size && (file.digest === undefined || file.digest === blob.digest)
  }

  async *fetch(blob: Descriptor, options: FetchOptions = {}): Bytes {
    const document = this.#documents.get(blob.digest)
    if (document) {
      yield document
      return
    }
    const file = this.#find(blob)
    const { name, hint } = this.#archive.subject
    if (!file) throw new StowageError('BLOB_MISSING', `${name} has no ${blobPath(blob.digest)}`, { hint })
    yield* this.#archive.read(file, options)
  }

  #find({ digest }: Descriptor): ArchiveFile | undefined {
    return this.#files.get(digest) ?? this.#archive.find(blobPath(digest))
  }
}
