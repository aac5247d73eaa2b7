/** An OCI image layout on disk as a destination, and the default store. Source: OCI image-spec, image-layout.md. */
import { access, readdir, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import pMap from 'p-map'
import type { NamedImage } from '../../archive/heads.js'
import { checkSpace } from '../../archive/space.js'
import type { BlobStore } from '../../blob/blob-store.js'
import { blobsOf, type ImageContent } from '../../blob/closure.js'
import { BlobDirectory } from '../../blob/directory.js'
import { fillWith } from '../../blob/fill.js'
import { resumable } from '../../blob/resumable.js'
import { rootEntry } from '../../blob/stripped.js'
import { withLock } from '../../blob/lock.js'
import { clearLeft, isWorkspace } from '../../blob/workspace.js'
import { isMediumEntry } from '../../bundle/directory-medium.js'
import { makeDirectory, PARTIAL, syncPath, writeDurably } from '../../blob/durable.js'
import { abortError, fileError, isInterruption, StowageError, systemCode } from '../../errors.js'
import type { PlannedWriting } from '../../image/destination-survey.js'
import { smallerWays } from '../../image/smaller.js'
import { eachOnce } from '../../oci/descriptor.js'
import {
  absentOf,
  INDEX_FILE,
  LAYOUT_BYTES,
  LAYOUT_FILE,
  namedDescriptor,
  nameOf,
  REF_NAME_ANNOTATION,
  withAbsent,
} from '../../oci/layout.js'
import { formatReference, type Reference } from '../../oci/reference.js'
import { changeLayoutIndex, type LayoutEntry, LOCK_FILE, refuseBundle } from './layout-index.js'
import type { WaitOptions } from '../../progress.js'
import type { ImageDestination, WriteImageOptions, WrittenImage } from '../../image/image-destination.js'

/** How many times to copy again because another process removed blobs that were just found. */
const TRIES = 5
/** The layout, `blobs` and `blobs/sha256`. */
const DIRECTORIES = 3
/** The most bytes of the lock. */
const LOCK_SIZE = 512
/** The most bytes of an index.json without an image. */
const EMPTY_INDEX = 128

/**
 * Opens the layout `directory`, which is created when something is first written to it. A name that already exists moves
 * to the new image; other entries stay as they are. Several processes may write at the same time. Throws NOT_A_LAYOUT for
 * a directory that holds something else, OUTPUT_EXISTS for a bundle.
 */
export async function openLayoutDestination(directory: string): Promise<ImageDestination> {
  await expectLayout(directory)
  const blobs = new BlobDirectory(directory)
  let [written, failed] = [false, false]
  return {
    stage: blobs,
    async expect(images) {
      const { need, advice } = await layoutWriting(directory, blobs, images)
      await checkSpace(directory, need, advice)
    },
    async write(image, source, names, options = {}) {
      try {
        const result = await write(directory, blobs, image, source, names, options)
        written = true
        return result
      } catch (error) {
        failed = true
        throw await withResumeHint(abortError(error, options.signal), directory, blobs)
      }
    },
    async [Symbol.asyncDispose]() {
      // A run that failed may be repeated, and goes on with what is left
      if (written && !failed) await blobs.clearLeft()
    },
  }
}

async function withResumeHint(error: unknown, directory: string, blobs: BlobDirectory): Promise<unknown> {
  if (!isInterruption(error) || !(await blobs.holdsAny().catch(() => false))) return error
  const prune = `stowage prune ${directory}`
  return resumable(error, `The blobs copied so far stay in ${directory}; ${prune} removes those that are not whole.`)
}

/** What writing `images` to the layout takes. */
export async function layoutWriting(
  directory: string,
  blobs: BlobDirectory,
  images: readonly NamedImage[],
  more = 0,
): Promise<PlannedWriting> {
  const wanted = eachOnce(images.flatMap(({ image }) => blobsOf(image)))
  const { blobs: missing, held } = await blobs.missing(wanted)
  const { size: before } = await stat(join(directory, INDEX_FILE)).catch(() => ({ size: EMPTY_INDEX }))
  const index = images.reduce((sum, { image, names }) => sum + entriesSize(image, names), before)
  const there: readonly string[] = await readdir(directory).catch(() => []) // it is created
  const made = there.length === 0 ? [LAYOUT_BYTES.length] : []
  const sizes = [...missing.map(({ size }) => size), index, LOCK_SIZE, ...made, ...(more > 0 ? [more] : [])]
  return {
    need: { sizes, held, directories: there.includes('blobs') ? 0 : DIRECTORIES, estimate: more > 0 },
    advice: { ways: smallerWays(images.map(({ image }) => image)) },
  }
}

/** The most bytes that an image adds to index.json. */
function entriesSize(image: ImageContent, names: readonly Reference[]): number {
  const root = rootEntry(image, 'keep')
  const entries = names.length === 0 ? [root] : names.map(name => namedDescriptor(root, name, formatReference(name)))
  return Buffer.byteLength(JSON.stringify(entries))
}

async function write(
  directory: string,
  blobs: BlobDirectory,
  image: ImageContent,
  source: BlobStore,
  names: readonly Reference[],
  { signal, onProgress, jobs }: WriteImageOptions,
): Promise<WrittenImage> {
  const subject = names[0] ? formatReference(names[0]) : image.root.digest
  onProgress?.({ type: 'stage', stage: 'copy', subject })
  await makeLayout(directory)
  let store = blobs
  for (let tries = 1; ; tries++) {
    const { sent, skipped } = await fillWith(store, image, source, { jobs, signal, subject, onProgress })
    if (await tag(directory, store, image, names, { signal, onProgress })) {
      onProgress?.({ type: 'done', subject })
      return { names, id: image.root.digest, sent, skipped }
    }
    if (tries === TRIES) {
      throw new StowageError('BUSY', `${directory}: another process is still removing blobs of ${subject}`, {
        hint: 'Wait for the other stowage command.',
      })
    }
    store = new BlobDirectory(directory) // the old one remembers blobs that are gone
  }
}

/**
 * Names the image in index.json. Returns false if one of its blobs has been removed since it was found: another process
 * removed an image that shared the blob, under the same lock.
 */
async function tag(
  directory: string,
  blobs: BlobDirectory,
  image: ImageContent,
  names: readonly Reference[],
  waiting: WaitOptions,
): Promise<boolean> {
  let whole = false
  await changeLayoutIndex(
    directory,
    async entries => {
      whole = await arePresent(blobs, image)
      // Otherwise a power cut could leave a name without its blobs
      if (whole) for (const path of ['blobs/sha256', 'blobs']) await syncPath(join(directory, path), 'directory')
      return whole ? withImage(entries, image, names) : undefined
    },
    waiting,
  )
  return whole
}

async function arePresent(blobs: BlobDirectory, image: ImageContent): Promise<boolean> {
  const found = await pMap(
    blobsOf(image),
    async ({ digest }) => {
      try {
        await access(blobs.path(digest))
        return true
      } catch (error) {
        if (systemCode(error) === 'ENOENT') return false
        throw fileError(error, blobs.path(digest))
      }
    },
    { concurrency: 16 },
  )
  return !found.includes(false)
}

/** The entries with `image` under `names`; images that had these names lose them. */
function withImage(
  entries: readonly LayoutEntry[],
  image: ImageContent,
  names: readonly Reference[],
): readonly unknown[] {
  const taken = new Set(names.map(formatReference))
  const kept = entries.filter(({ descriptor }) => {
    const name = nameOf(descriptor)
    if (name) return !taken.has(formatReference(name))
    return descriptor.digest !== image.root.digest || descriptor.annotations?.[REF_NAME_ANNOTATION] !== undefined
  })
  const refNames = new Set(kept.map(({ descriptor }) => descriptor.annotations?.[REF_NAME_ANNOTATION]))
  // An earlier copy of the same image may have left out other blobs
  const twins = kept.filter(({ descriptor }) => descriptor.digest === image.root.digest)
  const absent = image.absent.filter(({ digest }) =>
    twins.every(({ descriptor }) => absentOf(descriptor).includes(digest)),
  )
  const root = rootEntry({ ...image, absent }, 'keep')
  const added = names.map(name => {
    const short = name.tag !== undefined && !refNames.has(name.tag) ? name.tag : formatReference(name)
    refNames.add(short)
    return namedDescriptor(root, name, short)
  })
  const rest = kept.map(({ raw, descriptor }) =>
    twins.length > 0 && descriptor.digest === image.root.digest ? withAbsent(descriptor, absent) : raw,
  )
  return [...rest, ...(added.length > 0 || twins.length > 0 ? added : [root])]
}

/** Throws NOT_A_LAYOUT or OUTPUT_EXISTS if `directory` exists and holds something else. */
export async function expectLayout(directory: string): Promise<void> {
  try {
    refuseOther(directory, await readdir(directory))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return
    if (systemCode(error) !== 'ENOTDIR') throw fileError(error, directory)
    throw new StowageError('OUTPUT_EXISTS', `${directory} exists already, and is not a directory`, {
      hint: 'Name a directory.',
      cause: error,
    })
  }
}

/** Throws NOT_A_LAYOUT or OUTPUT_EXISTS if `entries` are those of a directory that holds something else. */
function refuseOther(directory: string, entries: readonly string[]): void {
  refuseBundle(directory, entries)
  if (entries.includes(LAYOUT_FILE)) return
  const foreign = entries.find(
    name =>
      name !== 'blobs' &&
      name !== INDEX_FILE &&
      name !== LOCK_FILE &&
      !name.endsWith(PARTIAL) &&
      !isWorkspace(name) &&
      !isMediumEntry(name),
  )
  if (foreign !== undefined) {
    throw new StowageError(
      'NOT_A_LAYOUT',
      `${directory} holds ${foreign} but no ${LAYOUT_FILE}, so it is not an OCI image layout`,
      { hint: 'Name an empty directory, one that does not exist yet, or an OCI image layout.' },
    )
  }
}

async function makeLayout(directory: string): Promise<void> {
  try {
    await makeDirectory(directory)
    await syncPath(dirname(resolve(directory)), 'directory')
    await clearLeft(directory)
    const entries = await readdir(directory)
    refuseOther(directory, entries)
    if (!entries.includes(LAYOUT_FILE)) {
      // Without the lock, one of two concurrent processes would remove the other's partial file
      await withLock(
        join(directory, LOCK_FILE),
        async () => await writeDurably(join(directory, LAYOUT_FILE), LAYOUT_BYTES),
      )
    }
  } catch (error) {
    throw fileError(error, directory)
  }
}
