/** Where the members of a tar bundle are: the heads, then the blobs in the order of their announcement, then the rest. */
import { DOCKER_FILE, padHead } from '../archive/heads.js'
import type { WrittenPart } from '../archive/read-back.js'
import { StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { blobPath, INDEX_FILE, LAYOUT_FILE } from '../oci/layout.js'
import { BLOCK, encodeHeader, padding, TAR_END, type TarMember } from '../tar/header.js'
import { type Segment, sizeOfSegment } from '../volumes/content.js'
import { CHECKSUMS_FILE } from './checksums.js'
import { BUNDLE_FILE } from './manifest.js'
import type { BundleHeads, Documents } from './medium.js'
import { README_FILE } from './readme.js'

/** Positions in a tar that is not written yet. Every member has the same time, in seconds. */
export class TarLayout {
  readonly #mtime: number
  /** Offsets of the members of blobs. */
  readonly #places = new Map<Digest, number>()
  #reserved: BundleHeads = { layout: 0, index: 0, docker: 0, readme: 0 }
  #end = 0

  constructor(mtime: number) {
    this.#mtime = mtime
  }

  /** Where the next member will be. */
  get end(): number {
    return this.#end
  }

  /** Reserves space for the heads. */
  reserve(heads: BundleHeads): void {
    this.#reserved = heads
    this.#end = this.head().reduce((end, member) => end + encodeHeader(member).length + padded(member.size), 0)
  }

  /** A head, padded to the space reserved for it. */
  fit(file: string, json: Uint8Array): Uint8Array {
    return padHead(json, file === INDEX_FILE ? this.#reserved.index : this.#reserved.docker, file)
  }

  assign(blobs: readonly Descriptor[]): void {
    for (const { digest, size } of blobs)
      if (!this.#places.has(digest)) this.#places.set(digest, this.append(this.header(blobPath(digest), size), size))
  }

  /** Gives a place at the end to a blob whose header has one block, as it was unknown when its content was written. */
  assignReserved(digest: Digest, size: number): void {
    this.#places.set(digest, this.#end)
    this.#end += BLOCK + padded(size)
  }

  placeOf(digest: Digest): number | undefined {
    return this.#places.get(digest)
  }

  /** Throws BLOB_MISSING and UNSUPPORTED unless the blobs that have a place in `path` are those `written` and `wanted`. */
  expectWritten(path: string, written: (digest: Digest) => boolean, wanted: ReadonlySet<Digest>): void {
    for (const digest of this.#places.keys()) {
      if (!written(digest))
        throw new StowageError('BLOB_MISSING', `space was reserved for ${digest} in ${path}, but it was not written`)
    }
    const lost = [...this.#places.keys()].find(digest => !wanted.has(digest))
    if (lost) throw new StowageError('UNSUPPORTED', `${lost} was written to ${path}, but no image of the bundle has it`)
  }

  /** Puts a member at the end, and returns where its header is. */
  append(header: Uint8Array, size: number): number {
    const place = this.#end
    this.#end += header.length + padded(size)
    return place
  }

  header(name: string, size: number): Uint8Array {
    return encodeHeader(this.member(name, size))
  }

  member(name: string, size: number): TarMember {
    return { name, size, mtime: this.#mtime }
  }

  /** The members before the first blob, in order. */
  head(): readonly TarMember[] {
    return [
      this.member(LAYOUT_FILE, this.#reserved.layout),
      this.member(INDEX_FILE, this.#reserved.index),
      this.member(DOCKER_FILE, this.#reserved.docker),
      { ...this.member('blobs', 0), type: 'directory' },
      { ...this.member('blobs/sha256', 0), type: 'directory' },
      this.member(README_FILE, this.#reserved.readme),
    ]
  }
}

/** A member that is not a head, with its content. */
export interface LaidOutMember<Content = Segment> {
  readonly header: Uint8Array
  readonly content: Content
}

/** All of a tar in order: its heads, `members`, which are in their order, the lists of the bundle, and the end. */
export function tarSegments<Content extends WrittenPart = Segment>(
  layout: TarLayout,
  documents: Documents,
  members: readonly LaidOutMember<Content>[],
): readonly (Content | { readonly bytes: Uint8Array })[] {
  const segments: (Content | { readonly bytes: Uint8Array })[] = []
  const add = (path: string): void => {
    const bytes = documents.get(path)
    if (bytes) segments.push({ bytes: encodeMember(layout.header(path, bytes.length), bytes) })
  }
  for (const member of layout.head()) {
    if (member.type === 'directory') segments.push({ bytes: encodeHeader(member) })
    else add(member.name)
  }
  for (const { header, content } of members)
    segments.push({ bytes: header }, content, { bytes: padding(sizeOfSegment(content)) })
  for (const path of [BUNDLE_FILE, CHECKSUMS_FILE]) add(path)
  return [...segments, { bytes: TAR_END }]
}

/** A member with small content, as it is in a tar. */
export function encodeMember(header: Uint8Array, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([header, bytes, padding(bytes.length)])
}

function padded(size: number): number {
  return size + padding(size).length
}
