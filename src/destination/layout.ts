/** An OCI image layout on disk as a destination, and the default store. Source: OCI image-spec, image-layout.md. */
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BlobStore } from '../blob/blob-store.js'
import { type ImageContent, rootEntry } from '../blob/closure.js'
import { BlobDirectory } from '../blob/directory.js'
import { fillWith } from '../blob/fill.js'
import { withLock } from '../blob/lock.js'
import { PARTIAL, writeDurably } from '../blob/durable.js'
import { fileError, StowageError, systemCode } from '../errors.js'
import { parseDescriptor } from '../oci/descriptor.js'
import { array, parseJson, record } from '../oci/json.js'
import { absentOf, INDEX_FILE, LAYOUT_BYTES, LAYOUT_FILE, namedDescriptor, nameOf, REF_NAME_ANNOTATION, withAbsent } from '../oci/layout.js'
import { OCI_INDEX } from '../oci/media-type.js'
import { formatReference, type Reference } from '../oci/reference.js'
import type { ImageDestination, WriteOptions, WrittenImage } from './image-destination.js'

const LOCK_FILE = '.stowage.lock'
/** Files that make a directory a bundle: its sums would be wrong after another image. */
const BUNDLE_MARKS = ['bundle.json', 'SHA256SUMS', 'INCOMPLETE']

/**
 * Opens or makes the layout `directory`. A name that the layout has already moves to the new image; entries of others stay
 * as they are. Several processes may write at once. Throws NOT_A_LAYOUT for a directory that holds something else,
 * OUTPUT_EXISTS for a bundle.
 */
export async function openLayoutDestination(directory: string): Promise<ImageDestination> {
  await makeLayout(directory)
  const blobs = new BlobDirectory(directory)
  return {
    write: async (image, source, names, options) => await write(directory, blobs, image, source, names, options ?? {}),
    async [Symbol.asyncDispose]() {},
  }
}

async function write(
  directory: string,
  blobs: BlobDirectory,
  image: ImageContent,
  source: BlobStore,
  names: readonly Reference[],
  { signal, onProgress, jobs }: WriteOptions,
): Promise<WrittenImage> {
  const subject = names[0] ? formatReference(names[0]) : image.root.digest
  onProgress?.({ type: 'stage', stage: 'copy', subject })
  const { sent, skipped } = await fillWith(blobs, image, source, { jobs, signal, subject, onProgress })
  await withLock(join(directory, LOCK_FILE), async () => await tag(directory, image, names), signal)
  onProgress?.({ type: 'done', subject })
  return { names, id: image.root.digest, sent, skipped }
}

/** Replaces index.json as a whole; under the lock, so that no other writer's entry is lost. */
async function tag(directory: string, image: ImageContent, names: readonly Reference[]): Promise<void> {
  const path = join(directory, INDEX_FILE)
  const index = record(parseJson(await readIndex(path), path), path)
  const entries = array(index, 'manifests', path).map((raw, n) => {
    return { raw, descriptor: parseDescriptor(raw, `${path}.manifests[${n}]`) }
  })
  const taken = new Set(names.map(formatReference))
  const kept = entries.filter(({ descriptor }) => {
    const name = nameOf(descriptor)
    if (name) return !taken.has(formatReference(name))
    return descriptor.digest !== image.root.digest || descriptor.annotations?.[REF_NAME_ANNOTATION] !== undefined
  })
  const refNames = new Set(kept.map(({ descriptor }) => descriptor.annotations?.[REF_NAME_ANNOTATION]))
  // Of the same image one copy may have left out what another brought
  const twins = kept.filter(({ descriptor }) => descriptor.digest === image.root.digest)
  const absent = image.absent.filter(({ digest }) => twins.every(({ descriptor }) => absentOf(descriptor).includes(digest)))
  const root = rootEntry({ ...image, absent })
  const added = names.map(name => {
    const short = name.tag !== undefined && !refNames.has(name.tag) ? name.tag : formatReference(name)
    refNames.add(short)
    return namedDescriptor(root, name, short)
  })
  const rest = kept.map(({ raw, descriptor }) => (twins.length > 0 && descriptor.digest === image.root.digest ? withAbsent(descriptor, absent) : raw))
  const manifests = [...rest, ...(added.length > 0 || twins.length > 0 ? added : [root])]
  await writeDurably(
    path,
    new TextEncoder().encode(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, ...index, manifests })),
  )
}

async function makeLayout(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true })
    const entries = await readdir(directory)
    const mark = BUNDLE_MARKS.find(name => entries.includes(name))
    if (mark) {
      throw new StowageError(
        'OUTPUT_EXISTS',
        `${directory} is a bundle (it holds ${mark}): another image would make its checksums wrong`,
        { hint: 'Name another directory.' },
      )
    }
    if (!entries.includes(LAYOUT_FILE)) {
      const foreign = entries.filter(name =>
        name !== 'blobs' && name !== INDEX_FILE && name !== LOCK_FILE && !name.endsWith(PARTIAL))
      if (foreign.length > 0) {
        throw new StowageError(
          'NOT_A_LAYOUT',
          `${directory} holds ${foreign[0]} but no ${LAYOUT_FILE}, so it is no OCI image layout`,
          { hint: 'Name an empty directory, one that does not exist yet, or an OCI image layout.' },
        )
      }
      await writeDurably(join(directory, LAYOUT_FILE), LAYOUT_BYTES)
    }
  } catch (error) {
    throw fileError(error, directory)
  }
}

async function readIndex(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return new TextEncoder().encode('{"manifests":[]}')
    throw fileError(error, path)
  }
}
