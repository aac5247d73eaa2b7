/** An existing bundle as the content of one tar, to be cut into volumes: every file is checked as it is read. */
import { open, stat } from 'node:fs/promises'
import { DOCKER_FILE } from '../archive/heads.js'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import { withoutFirst } from '../blob/blob-store.js'
import { fileError, StowageError } from '../errors.js'
import { type Digest, digestOf } from '../oci/digest.js'
import { INDEX_FILE, LAYOUT_FILE } from '../oci/layout.js'
import type { WaitOptions } from '../progress.js'
import { fileInput, listArchive } from '../tar/archive.js'
import { pieces, type ReadableFile } from '../tar/pieces.js'
import type { Segment } from '../volumes/content.js'
import { findVolumes } from '../volumes/find.js'
import { VolumeFile } from '../volumes/volume-file.js'
import { comparePaths } from './checksums.js'
import { DOCUMENT_LIMIT, DOCUMENTS } from './contents.js'
import { readSmall } from './files.js'
import { BUNDLE_FILE, digestOfIntegrity } from './manifest.js'
import { type BundleReader, openBundleReader } from './reader.js'
import { README_FILE } from './readme.js'
import { TarLayout, tarSegments } from './tar-layout.js'

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
  const volumes = path === STANDARD_STREAM ? undefined : await findVolumes([path])
  const reader = await openBundleReader(path, { layers: false, volumes, signal })
  let file: ReadableFile | undefined
  const close = async (): Promise<void> => {
    await file?.close()
    await reader[Symbol.asyncDispose]()
  }
  try {
    const bundle = digestOf(await readSmall(reader, BUNDLE_FILE, DOCUMENT_LIMIT, signal))
    if (!reader.ranges(BUNDLE_FILE)) {
      throw new StowageError('UNSUPPORTED', `${path} is compressed or a stream, and cannot be cut into volumes`, {
        hint: 'Decompress it to a .tar first.',
      })
    }
    if (volumes) file = new VolumeFile(volumes)
    else if (!(await stat(path)).isDirectory()) file = await open(path, 'r')
    const segments = file ? await segmentsOfTar(file, path, reader, signal) : await segmentsOfDirectory(reader, signal)
    return { bundle, segments, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw fileError(error, path)
  }
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
  for (const path of DOCUMENTS)
    if (reader.files.has(path)) documents.set(path, await readSmall(reader, path, DOCUMENT_LIMIT, signal))
  const sizeOf = (path: string): number => documents.get(path)?.length ?? 0
  layout.reserve({
    layout: sizeOf(LAYOUT_FILE),
    index: sizeOf(INDEX_FILE),
    docker: sizeOf(DOCKER_FILE),
    readme: sizeOf(README_FILE),
  })
  const members = manifest.files
    .filter(({ path }) => !documents.has(path))
    .sort((a, b) => a.size - b.size || comparePaths(a.path, b.path))
    .map(({ path, size, integrity }) => ({
      header: layout.header(path, size),
      content: {
        blob: { mediaType: 'application/octet-stream', digest: digestOfIntegrity(integrity), size },
        read: (at: number) => withoutFirst(at, reader.read(path, { signal })),
      },
    }))
  return tarSegments(layout, documents, members)
}
