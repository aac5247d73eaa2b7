/**
 * Writes a tar as volumes, one after another, on one medium or several. What an earlier run has written, or a medium
 * that was unplugged still has, is read again and stays as far as it is right.
 */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { mediumAt } from '../archive/medium.js'
import { dropCache, openReadBack, type Verified } from '../archive/read-back.js'
import { type Advice, noRoom } from '../archive/space.js'
import { PARTIAL, PieceWriter } from '../blob/durable.js'
import { withLock } from '../blob/lock.js'
import { refuseExisting } from '../blob/partial-file.js'
import { rename } from '../blob/rename.js'
import { RunningHash } from '../blob/running-hash.js'
import { temporaryDirectory } from '../blob/workspace.js'
import { abortError, StowageError } from '../errors.js'
import { type Digest, digestFromHex } from '../oci/digest.js'
import type { WaitOptions } from '../progress.js'
import { pieces } from '../tar/pieces.js'
import { Damaged, type Segment, SegmentReader } from './content.js'
import { sampleFile, setOf, volumeName, volumesOf } from './description.js'
import { describedIn, readDescription, type WrittenVolume, writeDescription, writeSums } from './beside.js'
import { findVolumes, type Volume } from './find.js'
import { type AskForMedium, deviceBelow, Gone, mediumError, type MediumRequest, onMedium, openIfThere } from './gone.js'
import { BESIDE, expectCount, expectRoom, type Place } from './room.js'
import { UnprovedVolumes } from './unproved.js'

export interface WriteVolumesOptions extends WaitOptions {
  /** Without it, a set that does not fit in the directory is refused before anything is written. */
  readonly askForMedium?: AskForMedium | undefined
  /** What would be smaller, for the error if a set does not fit. */
  readonly advice?: Advice | undefined
  /** Sizes of files that will be written after the set, in bytes. */
  readonly also?: readonly number[] | undefined
  /** Called with sentences for the user. */
  readonly onNotice?: ((text: string) => void) | undefined
  /** Reads back what is on a medium before its volumes get their names, see {@link isReadBack}. */
  readonly verify?: boolean | undefined
}

export interface WrittenVolumes {
  readonly set: Digest
  readonly count: number
  /** The size of the tar, in bytes. */
  readonly total: number
  /** Those that this run has written or found complete. */
  readonly volumes: readonly WrittenVolume[]
  /** Whether all were there already. */
  readonly unchanged: boolean
  /** What was read back, if it was. */
  readonly verified?: Verified
}

/**
 * Writes `segments`, which are the tar `path`, as volumes of `volumeSize` bytes beside it. `content` identifies them: the
 * digest of the tar's bundle.json. Nothing that exists is overwritten, except what an interrupted run of the same set
 * left. Throws INVALID_ARGUMENT, OUTPUT_EXISTS, NO_SPACE, MEDIUM_FAILED, BUSY, and what the sources of the segments
 * throw.
 */
export async function writeVolumes(
  path: string,
  volumeSize: number,
  content: Digest,
  segments: readonly Segment[],
  options: WriteVolumesOptions = {},
): Promise<WrittenVolumes> {
  await using bytes = new SegmentReader(segments)
  const run = new Run(path, volumeSize, content, bytes, options)
  try {
    return await run.run()
  } catch (error) {
    throw abortError(error instanceof Gone ? error.reported : error, options.signal)
  }
}

class Run {
  readonly #tar: string
  readonly #content: SegmentReader
  /** Of the volume that is being written or compared. */
  #hash = new RunningHash()
  readonly #places: readonly Place[]
  readonly #count: number
  readonly #set: Digest
  readonly #options: WriteVolumesOptions
  readonly #subject: string
  #directory: string
  /** The device of the directory at the beginning, and of the file system that its own is mounted on. */
  #device: number | undefined
  #below: number | undefined
  readonly #done = new Map<number, WrittenVolume>()
  /** Those that are on media which are not here any more. */
  readonly #elsewhere = new Set<number>()
  #wrote = false
  #unproved: UnprovedVolumes | undefined
  /** Content on the medium from this position on is not to be used. */
  #limit = Infinity

  constructor(path: string, volumeSize: number, content: Digest, bytes: SegmentReader, options: WriteVolumesOptions) {
    expectCount(bytes.total, volumeSize)
    this.#subject = path
    this.#tar = basename(path)
    this.#directory = dirname(path)
    this.#content = bytes
    this.#places = volumesOf(bytes.total, volumeSize)
    this.#count = this.#places.length
    this.#set = setOf(content, bytes.total, volumeSize)
    this.#options = options
  }

  async run(): Promise<WrittenVolumes> {
    const { onProgress, verify, signal } = this.#options
    const readBack = await openReadBack(this.#subject, verify, { signal, onProgress })
    if (readBack) this.#unproved = new UnprovedVolumes(readBack)
    const { directory, total } = { directory: this.#directory, total: this.#content.total }
    await expectRoom(
      { directory, tar: this.#tar, places: this.#places, total },
      this.#options.askForMedium === undefined,
      this.#options,
    )
    this.#device = (await stat(this.#directory)).dev
    this.#below = await deviceBelow(resolve(this.#directory), this.#device)
    onProgress?.({ type: 'stage', stage: 'copy', subject: this.#subject })
    await withLock(
      await this.#lock(),
      async () => {
        await this.#writeAll(await this.#placesHere(await this.#found()))
      },
      this.#options,
    )
    onProgress?.({ type: 'done', subject: this.#subject })
    const verified = this.#unproved?.verified
    return {
      set: this.#set,
      count: this.#count,
      total: this.#content.total,
      volumes: [...this.#done.values()].sort((a, b) => a.number - b.number),
      unchanged: !this.#wrote,
      ...(verified ? { verified } : {}),
    }
  }

  /** A lock that is not on the medium, which may be unplugged while it is held. */
  async #lock(): Promise<string> {
    const name = createHash('sha256').update(resolve(this.#subject)).digest('hex').slice(0, 16)
    return join(await temporaryDirectory(), `stowage-${name}.lock`)
  }

  async #writeAll(places: readonly Place[]): Promise<void> {
    const start = this.#content.mark()
    for (;;) {
      try {
        for (const place of places) await this.#writeOrAsk(place)
        await this.#prove()
        await this.#writeSums()
        return
      } catch (error) {
        if (!(error instanceof Damaged) || error.position >= this.#limit) throw error
        // What is on the medium is wrong from here on: it is written again
        this.#limit = error.position
        await this.#content.rewind(start)
      }
    }
  }

  /** The volumes to write here: not those before the first one of an earlier run, which are on other media. */
  async #placesHere(found: readonly Volume[]): Promise<readonly Place[]> {
    const ours = found.filter(({ description }) => description?.set === this.#set)
    const numbers = [
      ...ours.map(({ number }) => number),
      ...(await describedIn(this.#directory, this.#tar, this.#count, this.#set)),
    ]
    const first = numbers.length === 0 ? 1 : Math.min(...numbers)
    const elsewhere = this.#places.filter(({ number }) => number < first)
    if (elsewhere.length > 0) {
      await this.#content.skip(elsewhere.reduce((sum, { size }) => sum + size, 0))
      this.#options.onNotice?.(
        `going on after ${volumeName(this.#tar, first - 1, this.#count)}, which is on another medium`,
      )
    }
    return this.#places.slice(elsewhere.length)
  }

  /** Writes a volume; if its medium goes away, asks for it, and goes on with what it still has. */
  async #writeOrAsk(place: Place): Promise<void> {
    const mark = this.#content.mark()
    for (;;) {
      try {
        await this.#writeVolume(place)
        return
      } catch (error) {
        const { askForMedium } = this.#options
        if (!(error instanceof Gone)) throw error
        if (!askForMedium) throw error.reported
        await this.#ask('gone', place)
        await this.#content.rewind(mark)
      }
    }
  }

  async #writeVolume(place: Place): Promise<void> {
    await this.#expectMedium()
    const path = join(this.#directory, volumeName(this.#tar, place.number, this.#count))
    const partial = `${path}${PARTIAL}`
    const kept = await this.#keep(path, place)
    if (kept) {
      this.#done.set(place.number, kept)
      return
    }
    if (!(await this.#hasRoom(place, partial))) {
      await this.#prove()
      await this.#writeSums()
      await this.#ask('full', place)
      await this.#writeVolume(place) // on a medium that may have this volume, or another under its name
      return
    }
    const file = await onMedium(partial, async () => await open(partial, constants.O_RDWR | constants.O_CREAT))
    let writer: PieceWriter | undefined
    try {
      const held = await this.#replay(file, partial, place)
      this.#unproved?.forget()
      await onMedium(partial, async () => await file.truncate(held))
      const writing = (writer = new PieceWriter(file, held))
      for (let at = held; at < place.size;) {
        this.#options.signal?.throwIfAborted()
        const piece = await this.#content.next(Math.min(place.size - at, PIECE))
        await onMedium(partial, async () => await writing.add(piece))
        await this.#hash.add(piece)
        at += piece.length
        this.#report()
      }
      await onMedium(partial, async () => {
        await writing.end()
        await file.sync()
      })
    } finally {
      await writer?.end().catch(() => undefined) // what failed is thrown
      await file.close().catch(() => undefined) // of a medium that is gone
    }
    this.#wrote = true
    const digest = digestFromHex(await this.#hash.end())
    if (this.#unproved) {
      this.#done.delete(place.number) // it was there, and was damaged
      this.#unproved.add(await this.#describe(path, place, digest, partial), partial)
      return
    }
    await onMedium(path, async () => await rename(partial, path))
    this.#done.set(place.number, await this.#describe(path, place, digest))
  }

  /** Reads back the volumes on this medium, so that those that were written get their names. */
  async #prove(): Promise<void> {
    for (const volume of (await this.#unproved?.prove(this.#here())) ?? []) this.#done.set(volume.number, volume)
  }

  /** The volume, if an earlier run has completed it. Goes on in the content as far as a damaged one is right. */
  async #keep(path: string, place: Place): Promise<WrittenVolume | undefined> {
    const file = await openIfThere(path)
    if (!file) return undefined
    const mark = this.#content.mark()
    const description = await readDescription(path, this.#tar, place.number, this.#count)
    if (description && description.set !== this.#set) throw occupied(path, 'a volume of another set')
    try {
      const { size } = await file.stat()
      const fromMedium = this.#unproved !== undefined && (await dropCache(path))
      if (size === place.size && (await this.#replay(file, path, place)) === size) {
        this.#unproved?.compared(place.number, { files: 1, size, fromMedium })
        return await this.#describe(path, place, digestFromHex(await this.#hash.end()))
      }
    } finally {
      await file.close().catch(() => undefined)
    }
    if (!description) throw occupied(path, 'no volume of this set')
    await this.#content.rewind(mark)
    await onMedium(path, async () => await rename(path, `${path}${PARTIAL}`))
    return undefined
  }

  /** Goes over what the file has of the volume, and returns how many bytes of it are right. */
  async #replay(file: FileHandle, path: string, { offset, size }: Place): Promise<number> {
    const end = Math.min(size, this.#limit - offset, (await onMedium(path, async () => await file.stat())).size)
    let done = 0
    this.#hash = new RunningHash()
    try {
      for await (const piece of pieces(file, 0, Math.max(end, 0), this.#options.signal)) {
        const right = this.#content.compare(piece)
        await this.#hash.add(piece.subarray(0, right))
        done += right
        this.#report()
        if (right < piece.length) break
      }
    } catch (error) {
      if (error instanceof Damaged) throw error
      throw mediumError(error, path)
    }
    return done
  }

  /** Writes what is known of the volume beside it, if it is not there. */
  async #describe(
    path: string,
    { number, offset, size }: Place,
    digest: Digest,
    file: string = path,
  ): Promise<WrittenVolume> {
    const samples = await onMedium(file, async () => await sampleFile(file, size))
    const { total } = this.#content
    const description = { set: this.#set, number, count: this.#count, offset, size, total, digest, samples }
    if (await writeDescription(path, this.#tar, description)) this.#wrote = true
    return { number, path, size, digest }
  }

  async #writeSums(): Promise<void> {
    if (await writeSums(this.#directory, this.#tar, this.#here())) this.#wrote = true
  }

  /** The volumes that are complete in the directory. */
  #here(): readonly WrittenVolume[] {
    return [...this.#done.values()].filter(
      ({ number, path }) => dirname(path) === this.#directory && !this.#elsewhere.has(number),
    )
  }

  /** Whether the volume fits on the medium. Throws NO_SPACE if it does not, and no other can be asked for. */
  async #hasRoom(place: Place, partial: string): Promise<boolean> {
    const { free, kind } = await onMedium(partial, async () => await mediumAt(this.#directory))
    const held = (await stat(partial).catch(() => undefined))?.size ?? 0
    // That there is room for all of a set on one medium was seen before its first byte
    const beside = this.#options.askForMedium ? BESIDE : 0
    const needed = place.size - Math.min(held, place.size) + beside
    if (free === undefined || needed <= free) return true
    if (!this.#options.askForMedium) throw noRoom({ path: this.#directory, kind, needed, free })
    return false
  }

  async #ask(reason: MediumRequest['reason'], { number, size }: Pick<Place, 'number' | 'size'>): Promise<void> {
    const written = this.#here()
    const directory = await this.#options.askForMedium?.({
      reason,
      directory: this.#directory,
      tar: this.#tar,
      number,
      size,
      count: this.#count,
      written: written.map(volume => volume.number),
    })
    if (reason === 'full') {
      // What was written before is on a medium that is not here any more
      for (const volume of written) {
        this.#done.set(volume.number, { ...volume, path: basename(volume.path) })
        this.#elsewhere.add(volume.number)
      }
    }
    if (directory !== undefined) this.#directory = directory
    const { dev } = await stat(this.#directory).catch(() => ({ dev: undefined }))
    // Without its medium, a mount point is a directory of the system's own disk
    if (dev === undefined || (dev === this.#below && dev !== this.#device)) await this.#ask('gone', { number, size })
    else this.#device = dev
  }

  /** Throws {@link Gone} if the medium is not mounted any more. */
  async #expectMedium(): Promise<void> {
    const { dev } = await onMedium(this.#directory, async () => await stat(this.#directory))
    if (dev !== this.#device) throw Gone.from(this.#directory)
  }

  /** The volumes that are in the directory. Throws OUTPUT_EXISTS if the tar is there, or volumes of another number. */
  async #found(): Promise<readonly Volume[]> {
    const path = join(this.#directory, this.#tar)
    await refuseExisting(path, 'a bundle')
    const found = [...((await findVolumes([path]))?.volumes.values() ?? [])]
    const names = new Set(this.#places.map(({ number }) => volumeName(this.#tar, number, this.#count)))
    const other = found.find(volume => !names.has(basename(volume.path)))
    if (other) throw occupied(other.path, 'a volume of another set')
    return found
  }

  #report(): void {
    const { position: done, total } = this.#content
    this.#options.onProgress?.({ type: 'bytes', subject: this.#subject, done, total })
  }
}

const PIECE = 1024 * 1024

function occupied(path: string, what: string): StowageError {
  return new StowageError('OUTPUT_EXISTS', `${path} exists already, and is ${what}`, {
    hint: 'Delete the volumes of the old set, with what lies beside them, or name another output.',
  })
}
