/** Merge: makes a whole bundle from a delta and the bundles that have what it leaves out. */
import type { Verified } from '../archive/read-back.js'
import type { BlobStore } from '../blob/blob-store.js'
import { type ImageContent, readImage } from '../blob/closure.js'
import { wantedBlobs } from '../blob/fill.js'
import { FILES } from '../bundle/contents.js'
import type { AssumedImage } from '../bundle/delta.js'
import { isTarPath } from '../bundle/files.js'
import { type BundleImage, type BundleManifest, digestOfIntegrity, sourceImageOf } from '../bundle/manifest.js'
import { type BundleReader, openBundleReader } from '../bundle/reader.js'
import { type BundleWriter, openBundleWriter } from '../bundle/writer.js'
import { abortError, StowageError } from '../errors.js'
import type { SourceImage } from '../image/image-source.js'
import type { Digest } from '../oci/digest.js'
import { familiarReference, parseReference, type Reference } from '../oci/reference.js'
import type { WaitOptions } from '../progress.js'
import type { Trust } from '../signature/trust.js'
import { fillBundle, giveUp, sizeOfBundle } from './packed-output.js'

export interface MergeOptions extends WaitOptions {
  /** What must be true of each of the bundles. */
  readonly trust?: Trust | undefined
  /** Reads the bundle back from the medium before it is complete, as `pack()` does; by default if that is removable. */
  readonly verify?: boolean | undefined
  /** Called with notices for the user, one sentence each. */
  readonly onNotice?: ((sentence: string) => void) | undefined
}

export interface MergeResult {
  readonly path: string
  readonly form: 'directory' | 'tar'
  /** In bytes, like that of a packed bundle. */
  readonly size: number
  readonly manifest: BundleManifest
  /** Whether the same bundle already existed, so that nothing was written. */
  readonly unchanged: boolean
  /** What was read back, if it was. */
  readonly verified?: Verified
}

/** An image of the result, and where its blobs are. */
interface MergedImage {
  readonly content: ImageContent
  readonly names: readonly Reference[]
  readonly blobs: BlobStore
  readonly undelivered: readonly Digest[]
}

/**
 * Writes the bundle `output` with the images of the bundle `delta`: those in it, and those that it leaves out, which the
 * bundles `bases` have together. It has the bytes that packing the same images without leaving anything out gives; it is
 * a new bundle, which signatures of its parts do not cover. Every blob is checked on the way. Throws INVALID_ARGUMENT if
 * `delta` is not a delta, BASE_MISSING, naming what is in none of the bundles, and what reading and writing bundles
 * throws; then it leaves nothing.
 */
export async function mergeBundles(
  bases: readonly string[],
  delta: string,
  output: string,
  options: MergeOptions = {},
): Promise<MergeResult> {
  const { verify, trust, signal, onNotice, onProgress } = options
  const readers: BundleReader[] = []
  try {
    for (const path of [delta, ...bases]) readers.push(await openBundleReader(path, { trust, signal, onNotice }))
    const [changes, ...parts] = readers
    const { manifest } = changes ?? {}
    if (!changes || !manifest?.assumes) {
      throw new StowageError('INVALID_ARGUMENT', `${delta} is not a delta: it leaves nothing out`, {
        hint: 'Name the delta last: stowage merge BASE DELTA -o OUTPUT.',
      })
    }
    const images = [
      ...(await changedImages(delta, changes, parts, signal)),
      ...(await assumedImages(delta, manifest.assumes.images, parts, signal)),
    ]
    const epoch = manifest.created === undefined ? undefined : Date.parse(manifest.created) / 1000
    const sparse = manifest.images.some(({ absent, original }) => absent && !original) ? 'keep' : undefined
    await using writer = await openBundleWriter(output, { signal, epoch, sparse, verify, onProgress })
    const written = await write(writer, images, changes, output, options).catch(async (error: unknown) => {
      throw await giveUp(writer, output, abortError(error, signal))
    })
    return {
      path: output,
      form: isTarPath(output) ? 'tar' : 'directory',
      size: await sizeOfBundle(output, written),
      manifest: written,
      unchanged: writer.unchanged,
      ...(writer.verified ? { verified: writer.verified } : {}),
    }
  } catch (error) {
    throw abortError(error, signal)
  } finally {
    for (const reader of readers) await reader[Symbol.asyncDispose]()
  }
}

async function write(
  writer: BundleWriter,
  images: readonly MergedImage[],
  changes: BundleReader,
  output: string,
  { signal, onProgress }: MergeOptions,
): Promise<BundleManifest> {
  const files = changes.manifest.files.filter(({ path }) => path.startsWith(`${FILES}/`))
  await writer.plan(
    images.map(({ content, names }) => ({ image: content, names })),
    { files, undelivered: new Map(images.map(({ content, undelivered }) => [content.root.digest, undelivered])) },
  )
  const wanted = images.flatMap(({ content, blobs }) => wantedBlobs(content, blobs))
  await fillBundle(writer, wanted, output, {
    signal,
    onProgress,
    async write() {
      for (const { content, names, blobs, undelivered } of images)
        await writer.write(content, blobs, names, { signal, undelivered })
    },
  })
  for (const { path, size, integrity } of files) {
    const file = { mediaType: 'application/octet-stream', digest: digestOfIntegrity(integrity), size }
    await writer.addContent(path.slice(FILES.length + 1), file, () => changes.read(path, { signal }))
  }
  return await writer.seal()
}

/** The images that are in the delta, with their other layers from `bases`. */
async function changedImages(
  delta: string,
  changes: BundleReader,
  bases: readonly BundleReader[],
  signal: AbortSignal | undefined,
): Promise<readonly MergedImage[]> {
  const images: MergedImage[] = []
  for (const image of changes.manifest.images) {
    const { root, names, absent } = sourceImageOf(image)
    const content = await readImage(changes, root, { absent, signal })
    const blobs = together([changes, ...bases])
    const lost = []
    for (const layer of content.layers) if (!(await blobs.has(layer))) lost.push(layer.digest)
    if (lost[0]) throw missing(delta, `${lost.join(', ')}, which ${titleOf(names, root.digest)} needs`)
    images.push({ content, names, blobs, undelivered: image.undelivered ?? [] })
  }
  return images
}

/** The images that the delta leaves out whole. */
async function assumedImages(
  delta: string,
  assumed: readonly AssumedImage[],
  bases: readonly BundleReader[],
  signal: AbortSignal | undefined,
): Promise<readonly MergedImage[]> {
  const images: MergedImage[] = []
  for (const { names: texts, roots, absent } of assumed) {
    const names = texts.map(parseReference)
    const [digest] = roots
    const blobs = together(bases)
    const image = bases.flatMap(base => base.manifest.images).find(each => rootOf(each, digest))
    const root = image && rootOf(image, digest)
    if (!root) throw missing(delta, titleOf(names, digest ?? ''))
    const content = await readImage(blobs, root.root, { absent, signal })
    for (const layer of content.layers)
      if (!(await blobs.has(layer)))
        throw missing(delta, `${layer.digest}, which ${titleOf(names, root.root.digest)} needs`)
    images.push({ content, names, blobs, undelivered: image.undelivered ?? [] })
  }
  return images
}

/** The image as it is in a bundle, if its root, or the index that replaces it, is `digest`. */
function rootOf(image: BundleImage, digest: Digest | undefined): Pick<SourceImage, 'root'> | undefined {
  const source = sourceImageOf(image)
  if (source.root.digest === digest) return source
  return image.root.digest === digest ? { root: image.root } : undefined
}

function titleOf([name]: readonly Reference[], digest: string): string {
  return name ? familiarReference(name) : digest
}

function missing(delta: string, what: string): StowageError {
  return new StowageError('BASE_MISSING', `none of the bundles has what ${delta} leaves out: ${what}`, {
    hint: 'Name the bundles that have it, before the delta. Nothing was written.',
  })
}

/** Reads each blob from the first of `readers` that has it. */
function together(readers: readonly BundleReader[]): BlobStore {
  const holder = async (blob: Parameters<BlobStore['has']>[0]): Promise<BundleReader | undefined> => {
    for (const reader of readers) if (await reader.has(blob)) return reader
    return undefined
  }
  return {
    has: async blob => (await holder(blob)) !== undefined,
    async *fetch(blob, options) {
      const reader = await holder(blob)
      if (!reader) throw new StowageError('BLOB_MISSING', `${blob.digest} is in none of the bundles`)
      yield* reader.fetch(blob, options)
    },
  }
}
