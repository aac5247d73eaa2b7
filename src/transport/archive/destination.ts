/**
 * The shared part of both archive destinations: writes images one after another into one tar, their index files last.
 */
import { archiveSize, type ArchiveWriter, openArchiveWriter } from '../../archive/archive-writer.js'
import type { Verified } from '../../archive/read-back.js'
import type { Advice } from '../../archive/space.js'
import { engineNames, type NamedImage } from '../../archive/heads.js'
import type { BlobStore, Bytes } from '../../blob/blob-store.js'
import { type ImageContent, mergeImages, sizeOf } from '../../blob/closure.js'
import { refuseExisting } from '../../blob/partial-file.js'
import { abortError, StowageError } from '../../errors.js'
import { type Descriptor, eachOnce } from '../../oci/descriptor.js'
import type { Digest } from '../../oci/digest.js'
import { formatReference, namesOnce, type Reference } from '../../oci/reference.js'
import type { WaitOptions } from '../../progress.js'
import { sourceDateEpoch } from '../../tar/source-date-epoch.js'
import { blobSurvey, type DestinationSurvey } from '../../image/destination-survey.js'
import type { ExpectedWrite, UnnamedImage, ImageDestination, WrittenImage } from '../../image/image-destination.js'
import { smallerWays } from '../../image/smaller.js'

export interface ArchiveDestinationOptions extends WaitOptions {
  /** Seconds since 1970 for all times in the tar; defaults to SOURCE_DATE_EPOCH from the environment, or else 0. */
  readonly epoch?: number | undefined
  /** Reads the archive back before it gets its name, see isReadBack(). */
  readonly verify?: boolean | undefined
}

/** The differences between the kinds of archives. */
export interface ArchiveForm {
  /**
   * The part of `image` that the archive holds; `subject` is its name in messages. Throws UNSUPPORTED for what it
   * cannot hold.
   */
  choose(image: ImageContent, subject: string): ImageContent
  /**
   * The names in the archive of an image that has `names`. Throws INVALID_ARGUMENT for a second image if the archive
   * was named for one.
   */
  names(image: ImageContent, names: readonly Reference[], others: readonly NamedImage[]): readonly Reference[]
  /** The files to write after the blobs, by path. */
  documents(images: readonly NamedImage[]): ReadonlyMap<string, Uint8Array>
}

/**
 * Opens `file` for writing. The file exists only after `finish()`. If disposed of before that, nothing is left, unless
 * the work was interrupted: `<file>.partial` then keeps what was copied, and the same copy goes on with it.
 */
export async function openArchiveDestination(
  file: string,
  form: ArchiveForm,
  { epoch = sourceDateEpoch() ?? 0, ...options }: ArchiveDestinationOptions = {},
): Promise<ImageDestination> {
  return new ArchiveDestination(await openArchiveWriter(file, epoch, options), form, epoch)
}

/** Looks at the place of the new archive `file`. Throws OUTPUT_EXISTS, and what `form` throws. */
export async function surveyArchive(
  file: string,
  form: ArchiveForm,
  epoch = sourceDateEpoch() ?? 0,
): Promise<DestinationSurvey> {
  await refuseExisting(file, 'an archive')
  const planned = new PlannedArchive(form)
  const blobs = blobSurvey(
    (image, names) => blobsOf(form.choose(image, names[0] ? formatReference(names[0]) : image.root.digest)),
    () => false,
  )
  return {
    ...blobs,
    async measure(image, names, options) {
      const measured = await blobs.measure(image, names, options)
      planned.add(image, names)
      return measured
    },
    async writing(more) {
      const size = planned.size(epoch) + more
      return {
        output: { form: 'tar', size, largest: size, files: 1, certainty: more > 0 ? 'estimate' : 'exact' },
        need: { sizes: [size], estimate: more > 0 },
        advice: planned.advice(),
      }
    },
  }
}

/** The images of an archive, as far as they are known. */
class PlannedArchive {
  readonly #form: ArchiveForm
  readonly #images: Map<Digest, NamedImage>

  constructor(form: ArchiveForm, images: readonly NamedImage[] = []) {
    this.#form = form
    this.#images = new Map(images.map(each => [each.image.root.digest, each]))
  }

  add(whole: ImageContent, wanted: readonly Reference[]): void {
    addImage(this.#images, this.#form, whole, wanted)
  }

  /** In bytes. */
  size(epoch: number): number {
    const images = [...this.#images.values()]
    const blobs = eachOnce(images.flatMap(({ image }) => blobsOf(image)))
    return archiveSize(blobs, this.#form.documents(images), epoch)
  }

  advice(): Advice {
    return { ways: smallerWays([...this.#images.values()].map(({ image }) => image)) }
  }
}

/** Adds an image to those of an archive; returns what is added, and under which names. */
function addImage(
  images: Map<Digest, NamedImage>,
  form: ArchiveForm,
  whole: ImageContent,
  wanted: readonly Reference[],
): NamedImage {
  const image = form.choose(whole, wanted[0] ? formatReference(wanted[0]) : whole.root.digest)
  const others = [...images.values()].filter(other => other.image.root.digest !== image.root.digest)
  const names = form.names(image, wanted, others)
  refuseTaken(names, others)
  const before = images.get(image.root.digest)
  images.set(image.root.digest, {
    image: before ? mergeImages(before.image, image) : image,
    names: namesOnce([...(before?.names ?? []), ...names]),
  })
  return { image, names }
}

class ArchiveDestination implements ImageDestination {
  readonly #writer: ArchiveWriter
  readonly #form: ArchiveForm
  readonly #epoch: number
  readonly #images = new Map<Digest, NamedImage>()
  /** Whether there is room for everything that will be written. */
  #expected = false

  constructor(writer: ArchiveWriter, form: ArchiveForm, epoch: number) {
    this.#writer = writer
    this.#form = form
    this.#epoch = epoch
  }

  async expect(images: readonly ExpectedWrite[]): Promise<void> {
    const planned = new PlannedArchive(this.#form)
    for (const { image, names } of images) planned.add(image, names)
    await this.#writer.expect(planned.size(this.#epoch), planned.advice())
    this.#expected = true
  }

  async write(
    whole: ImageContent,
    blobs: BlobStore,
    wanted: readonly Reference[],
    { signal, onProgress }: WaitOptions = {},
  ): Promise<WrittenImage> {
    const subject = wanted[0] ? formatReference(wanted[0]) : whole.root.digest
    const images = new Map(this.#images)
    const { image, names } = addImage(images, this.#form, whole, wanted)
    const documents = new Map(
      [...image.manifests, ...image.configs].map(({ descriptor, bytes }) => [descriptor.digest, bytes]),
    )
    const parts = eachOnce(blobsOf(image))
    const total = sizeOf(image)
    let [sent, done] = [0, 0]
    const report = (size: number): void => {
      done += size
      onProgress?.({ type: 'bytes', subject, done, total })
    }
    onProgress?.({ type: 'stage', stage: 'copy', subject })
    try {
      if (!this.#expected) {
        const known = new PlannedArchive(this.#form, [...this.#images.values()])
        known.add(whole, wanted)
        await this.#writer.expect(known.size(this.#epoch), known.advice())
      }
      for (const blob of parts) {
        signal?.throwIfAborted()
        if (this.#writer.has(blob) || (await this.#writer.resume(blob, { signal }))) report(blob.size)
        else await this.#writer.put(blob, counted(blob, documents.get(blob.digest)), { signal })
      }
    } catch (error) {
      throw await this.#writer.giveUp(abortError(error, signal))
    }
    for (const [digest, each] of images) this.#images.set(digest, each)
    onProgress?.({ type: 'done', subject })
    const platforms =
      image.platforms.length < whole.platforms.length ? image.platforms.map(({ config }) => config.platform) : undefined
    return { names, id: image.root.digest, sent, skipped: sizeOf(whole) - sent, ...(platforms ? { platforms } : {}) }

    async function* counted(blob: Descriptor, known: Uint8Array | undefined): Bytes {
      for await (const piece of known ? [known] : blobs.fetch(blob, { signal })) {
        sent += piece.length
        report(piece.length)
        yield piece
      }
    }
  }

  /** Nothing has a name before `finish()`, so that the image is written at once. */
  async hold(
    image: ImageContent,
    blobs: BlobStore,
    names: readonly Reference[],
    options: WaitOptions = {},
  ): Promise<UnnamedImage> {
    const written = await this.write(image, blobs, names, options)
    return {
      name: async final => {
        await this.write(image, blobs, final, { signal: options.signal })
        return { ...written, names: final }
      },
      async [Symbol.asyncDispose]() {},
    }
  }

  async finish(): Promise<Verified | undefined> {
    const images = [...this.#images.values()]
    if (images.length === 0) throw new StowageError('INVALID_ARGUMENT', 'an archive needs at least one image')
    try {
      for (const [path, bytes] of this.#form.documents(images)) await this.#writer.putDocument(path, bytes)
      await this.#writer.finish()
    } catch (error) {
      throw await this.#writer.giveUp(error)
    }
    return this.#writer.verified
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer[Symbol.asyncDispose]()
  }
}

/** Manifests from the root down, configs, layers. */
function blobsOf(image: ImageContent): readonly Descriptor[] {
  const documents = [...[...image.manifests].reverse(), ...image.configs].map(({ descriptor }) => descriptor)
  return [...documents, ...image.layers]
}

function refuseTaken(names: readonly Reference[], others: readonly NamedImage[]): void {
  const taken = new Map(
    others.flatMap(({ image, names: theirs }) =>
      engineNames(theirs).map(name => [formatReference(name), image.root.digest]),
    ),
  )
  const twice = engineNames(names)
    .map(formatReference)
    .find(name => taken.has(name))
  if (twice === undefined) return
  throw new StowageError(
    'INVALID_ARGUMENT',
    `two different images are named ${twice}: ${taken.get(twice)} is another`,
    {
      hint: 'Write them to two archives, or give one of them another name first.',
    },
  )
}

/** For an archive that was named for one image: throws if there is another. */
export function refuseSecond(ref: string, others: readonly NamedImage[]): void {
  if (others.length === 0) return
  throw new StowageError('INVALID_ARGUMENT', `the archive was named for one image, ${ref}, but there is a second one`, {
    hint: 'Name only the file: the images keep their names.',
  })
}
