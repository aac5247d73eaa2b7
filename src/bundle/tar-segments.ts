/** An existing bundle as the content of one tar, to be cut into volumes: every file is checked as it is read. */
import { open, stat } from 'node:fs/promises'
import { DOCKER_FILE } from '../archive/heads.js'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import type { Bytes } from '../blob/blob-store.js'
import { fileError, StowageError } from '../errors.js'
import { type Digest, digestOf } from '../oci/digest.js'
import { INDEX_FILE } from '../oci/layout.js'
import type { WaitOptions } from '../progress.js'
import { fileInput, listArchive } from '../tar/archive.js'
import { encodeHeader, padding, TAR_END } from '../tar/header.js'
import { pieces, type ReadableFile } from '../tar/pieces.js'
import type { Segment } from '../volumes/content.js'
import { findVolumes } from '../volumes/find.js'
import { VolumeFile } from '../volumes/volume-file.js'
import { CHECKSUMS_FILE, comparePaths } from './checksums.js'
import { DOCUMENT_LIMIT, DOCUMENTS } from './contents.js'
import { readSmall } from './files.js'
import { BUNDLE_FILE, digestOfIntegrity } from './manifest.js'
import { type BundleReader, openBundleReader } from './reader.js'
import { encodeMember, TarLayout } from './tar-layout.js'

/** The content of a bundle as one tar. The caller disposes of it. */
export interface TarContent extends AsyncDisposable {
  readonly segments: readonly Segment[]
  /** The digest of its bundle.json. */
  readonly bundle: Digest
}

/**
 * The bytes of the tar `path`, or of the volumes of one; of a directory, the tar with the same files. Throws what
 * {@link openBundleReader} throws, UNSUPPORTED for a compressed bundle and a stream.
 */
export async function openTarContent(path: string, { signal }: WaitOptions = {}): Promise<TarContent> {
  const reader = await openBundleReader(path, { layers: false, signal })
  try {
    const bundle = await read(reader, BUNDLE_FILE, signal)
    const content = { bundle: digestOf(bundle) }
    const volumes = path === STANDARD_STREAM ? undefined : await findVolumes([path])
    if (reader.place(BUNDLE_FILE) === undefined && !volumes) {
      throw new StowageError('UNSUPPORTED', `${path} is compressed or a stream, and cannot be cut into volumes`, {
        hint: 'Decompress it to a .tar first.',
      })
    }
    if (volumes || !(await stat(path)).isDirectory()) {
      const file = volumes ? new VolumeFile(volumes) : await open(path, 'r')
      const segments = await segmentsOfTar(file, path, reader, signal)
      return { ...content, segments, [Symbol.asyncDispose]: async () => await closeBoth(file, reader) }
    }
    const segments = await segmentsOfDirectory(reader, signal)
    return { ...content, segments, [Symbol.asyncDispose]: async () => await reader[Symbol.asyncDispose]() }
  } catch (error) {
    await reader[Symbol.asyncDispose]()
    throw fileError(error, path)
  }
}

async function closeBoth(file: ReadableFile, reader: BundleReader): Promise<void> {
  await file.close()
  await reader[Symbol.asyncDispose]()
}

/** The tar as it is: what bundle.json lists with its digests, and the bytes between. */
async function segmentsOfTar(
  file: ReadableFile,
  path: string,
  { manifest }: BundleReader,
  signal: AbortSignal | undefined,
): Promise<readonly Segment[]> {
  const listed = new Map(manifest.files.map(each => [each.path, each]))
  const members = [...(await listArchive(await fileInput(file), path, { signal }))].sort((a, b) => a.offset - b.offset)
  const segments: Segment[] = []
  let position = 0
  const between = async (end: number): Promise<void> => {
    if (end - position > DOCUMENT_LIMIT)
      throw new StowageError(
        'BUNDLE_INVALID',
        `${path} has ${end - position} bytes from ${position} on that nothing lists`,
      )
    const parts: Uint8Array[] = []
    for await (const piece of pieces(file, position, end - position, signal)) parts.push(piece)
    segments.push({ bytes: Buffer.concat(parts) })
    position = end
  }
  for (const { name, size, offset } of members) {
    const entry = listed.get(name)
    if (!entry || entry.size !== size) continue
    await between(offset)
    segments.push({
      blob: { mediaType: 'application/octet-stream', digest: digestOfIntegrity(entry.integrity), size },
      read: at => pieces(file, offset + at, size - at, signal),
    })
    position = offset + size
  }
  await between((await file.stat()).size)
  return segments
}

/** The same files in the order of a tar; small ones come first, so that manifests are before layers. */
async function segmentsOfDirectory(reader: BundleReader, signal: AbortSignal | undefined): Promise<readonly Segment[]> {
  const { manifest } = reader
  const seconds = manifest.created === undefined ? 0 : Math.floor(Date.parse(manifest.created) / 1000)
  const layout = new TarLayout(seconds)
  const documents = new Map<string, Uint8Array>()
  for (const path of DOCUMENTS) if (reader.files.has(path)) documents.set(path, await read(reader, path, signal))
  const sizeOf = (path: string): number => documents.get(path)?.length ?? 0
  layout.reserve({ index: sizeOf(INDEX_FILE), docker: sizeOf(DOCKER_FILE) })
  const segments: Segment[] = []
  for (const member of layout.head()) {
    const bytes = documents.get(member.name) ?? new Uint8Array()
    if (member.type === 'directory') segments.push({ bytes: encodeHeader(member) })
    else if (documents.has(member.name))
      segments.push({ bytes: encodeMember(layout.header(member.name, bytes.length), bytes) })
  }
  const others = manifest.files
    .filter(({ path }) => !documents.has(path))
    .sort((a, b) => a.size - b.size || comparePaths(a.path, b.path))
  for (const { path, size, integrity } of others) {
    segments.push(
      { bytes: layout.header(path, size) },
      {
        blob: { mediaType: 'application/octet-stream', digest: digestOfIntegrity(integrity), size },
        read: at => readFrom(reader, path, at, signal),
      },
      { bytes: padding(size) },
    )
  }
  for (const path of [BUNDLE_FILE, CHECKSUMS_FILE]) {
    const bytes = documents.get(path) ?? new Uint8Array()
    segments.push({ bytes: encodeMember(layout.header(path, bytes.length), bytes) })
  }
  return [...segments, { bytes: TAR_END }]
}

async function* readFrom(reader: BundleReader, path: string, at: number, signal: AbortSignal | undefined): Bytes {
  const place = reader.place(path)
  if (!place) throw new StowageError('BLOB_MISSING', `${path} is not on disk`)
  const file = await open(place.file, 'r')
  try {
    yield* pieces(file, place.offset + at, place.size - at, signal)
  } finally {
    await file.close()
  }
}

async function read(reader: BundleReader, path: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  return await readSmall(reader, path, DOCUMENT_LIMIT, signal)
}
