/**
 * A bundle written as the volumes of a tar: nothing is written until everything is known, then one volume after another.
 */
import { dirname } from 'node:path'
import {
  type Bytes,
  type FetchOptions,
  type PutOptions,
  type ReadBlob,
  type StagedBlob,
  withoutFirst,
} from '../blob/blob-store.js'
import type { BlobDirectory, Missing } from '../blob/directory.js'
import type { LayerWatch } from '../blob/layer-watch.js'
import { Workspace } from '../blob/workspace.js'
import type { Descriptor } from '../oci/descriptor.js'
import { type Digest, digestOf } from '../oci/digest.js'
import { blobPath } from '../oci/layout.js'
import { encodeReservedHeader } from '../tar/header.js'
import { sizeOfSegment } from '../volumes/content.js'
import { type WriteVolumesOptions, writeVolumes, type WrittenVolumes } from '../volumes/write-volumes.js'
import { BUNDLE_FILE } from './manifest.js'
import type { BundleHeads, BundleMedium, Documents } from './medium.js'
import { type LaidOutMember, TarLayout, tarSegments } from './tar-layout.js'

export interface VolumesMedium extends BundleMedium {
  /** After sealing. */
  readonly written: WrittenVolumes | undefined
  /** What to say if the volumes do not fit, and what else will be written. */
  foresee(foreseen: Pick<WriteVolumesOptions, 'advice' | 'also'>): void
}

/**
 * The volumes of the tar `path`, of `volumeSize` bytes each: together they are what openTarMedium() writes. Content that
 * comes before the first volume is written, such as layers that are made, is in `TMPDIR` until then. Sealing throws what
 * {@link writeVolumes} throws.
 */
export function openVolumesMedium(
  path: string,
  volumeSize: number,
  mtime: number,
  options: WriteVolumesOptions,
): VolumesMedium {
  return new Volumes(path, volumeSize, mtime, options)
}

/** A member whose content is read when the bundle is sealed. */
interface Deferred extends LaidOutMember {
  readonly offset: number
}

class Volumes implements VolumesMedium {
  readonly where: string
  readonly deferred = true
  written: WrittenVolumes | undefined
  readonly #path: string
  readonly #volumeSize: number
  readonly #options: WriteVolumesOptions
  readonly #layout: TarLayout
  readonly #members = new Map<string, Deferred>()
  readonly #workspace = new Workspace()
  #foreseen: Pick<WriteVolumesOptions, 'advice' | 'also'> = {}

  constructor(path: string, volumeSize: number, mtime: number, options: WriteVolumesOptions) {
    this.#path = path
    this.#volumeSize = volumeSize
    this.#options = options
    this.#layout = new TarLayout(mtime)
    this.where = dirname(path)
  }

  async spool(): Promise<BlobDirectory> {
    return await this.#workspace.blobs()
  }

  foresee(foreseen: Pick<WriteVolumesOptions, 'advice' | 'also'>): void {
    this.#foreseen = foreseen
  }

  async missing(blobs: readonly Descriptor[]): Promise<Missing> {
    return { blobs, held: 0 }
  }

  async reserve(heads: BundleHeads): Promise<void> {
    this.#layout.reserve(heads)
  }

  fit(file: string, json: Uint8Array): Uint8Array {
    return this.#layout.fit(file, json)
  }

  async assign(blobs: readonly Descriptor[]): Promise<void> {
    this.#layout.assign(blobs)
  }

  async has(blob: Descriptor): Promise<boolean> {
    const known = this.#members.get(blobPath(blob.digest))
    return known !== undefined && sizeOfSegment(known.content) === blob.size
  }

  /** Keeps `read` until the bundle is sealed. */
  async put(blob: Descriptor, read: ReadBlob, { watch }: PutOptions = {}): Promise<void> {
    const path = blobPath(blob.digest)
    this.#layout.assign([blob])
    const offset = this.#layout.placeOf(blob.digest) ?? 0
    const header = this.#layout.header(path, blob.size)
    this.#members.set(path, {
      offset,
      header,
      content: { blob, read: watch ? watched(blob, read, watch) : at => read(at) },
    })
  }

  async putFile(path: string, file: Descriptor, read: () => Bytes, _options?: FetchOptions): Promise<void> {
    const header = this.#layout.header(path, file.size)
    const offset = this.#layout.append(header, file.size)
    const content = { blob: file, read: (at: number): Bytes => withoutFirst(at, read()) }
    this.#members.set(path, { offset, header, content })
  }

  async create<T extends StagedBlob>(produce: (target: { path: string; offset: number }) => Promise<T>): Promise<T> {
    const blobs = await this.spool()
    const made = await blobs.create(produce)
    const { digest, size } = made
    if (this.#layout.placeOf(digest) === undefined) {
      const path = blobPath(digest)
      const header = encodeReservedHeader(this.#layout.member(path, size))
      const offset = this.#layout.end
      this.#layout.assignReserved(digest, size)
      const blob = { mediaType: 'application/octet-stream', digest, size }
      this.#members.set(path, { offset, header, content: { blob, read: start => blobs.fetchFrom(blob, start) } })
    }
    return made
  }

  async seal(documents: Documents, blobs: ReadonlySet<Digest>): Promise<boolean> {
    const bundle = documents.get(BUNDLE_FILE) ?? new Uint8Array()
    this.#layout.expectWritten(this.#path, digest => this.#members.has(blobPath(digest)), blobs)
    const members = [...this.#members.values()].sort((a, b) => a.offset - b.offset)
    const segments = tarSegments(this.#layout, documents, members)
    this.written = await writeVolumes(this.#path, this.#volumeSize, digestOf(bundle), segments, {
      ...this.#options,
      ...this.#foreseen,
    })
    await this.#workspace[Symbol.asyncDispose]()
    return !this.written.unchanged
  }

  /** Volumes that are complete stay: the next run goes on from them. */
  async discard(): Promise<void> {
    await this.#workspace[Symbol.asyncDispose]()
  }
}

/** Reads from the start, wherever it is to go on: the part of a layer that is in a volume already was not looked into. */
function watched(blob: Descriptor, read: ReadBlob, watch: LayerWatch): ReadBlob {
  async function* whole(): Bytes {
    const layer = watch.begin()
    for await (const piece of read(0)) {
      await layer.add(piece)
      yield piece
    }
    const { digest, plain } = await layer.finish()
    if (digest === blob.digest) watch.found(plain)
  }
  return at => withoutFirst(at, whole())
}
