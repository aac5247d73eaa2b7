/** All volumes of a tar as one file that can be read at any position. */
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { DiskRange } from '../blob/blob-store.js'
import { fileError, StowageError } from '../errors.js'
import type { ReadableFile } from '../tar/pieces.js'
import { numbersText, type VolumeSet } from './find.js'

/** Volumes that are open at a time. */
const MOST_OPEN = 16

/** Where one of the volumes is, and which bytes of the tar it has. */
interface Extent {
  readonly path: string
  readonly offset: number
  readonly size: number
}

interface OpenExtent {
  readonly file: Promise<FileHandle>
  /** Reads that are under way. */
  readers: number
}

/** The error of a set that is not complete. */
export function incompleteSet(set: VolumeSet): StowageError {
  const { tar, faults, count } = set
  const wrong = faults.find(({ code }) => code === 'VOLUME_WRONG')
  const unread = faults.find(({ code }) => code === 'MEDIUM_FAILED')
  const missing = missingOf(set)
  const renamed = faults.find(each => each.renamed !== undefined)
  if (unread) {
    return new StowageError('MEDIUM_FAILED', unread.message, {
      hint: 'Plug the medium in again, or mount the share again, and run the same command; if it has a defect, use a copy on another.',
    })
  }
  if (wrong) {
    return new StowageError('VOLUME_WRONG', `${wrong.path}: ${wrong.message}`, {
      hint: `Copy it again from where ${tar} was cut; "stowage verify" names every volume that is wrong.`,
    })
  }
  const have = count === undefined ? '' : ` of ${count}`
  return new StowageError(
    'VOLUME_MISSING',
    `${tar}: volume${missing.length === 1 ? '' : 's'} ${numbersText(missing)}${have} ${missing.length === 1 ? 'is' : 'are'} missing`,
    { hint: renamed ? `${sentence(renamed.message)}.` : 'Name all directories that hold its volumes, in any order.' },
  )
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

/** The numbers of the volumes that are not there, under whatever name. */
export function missingOf({ count, volumes }: VolumeSet): readonly number[] {
  const last = count ?? Math.max(0, ...volumes.keys())
  return Array.from({ length: last }, (_, at) => at + 1).filter(number => !volumes.has(number))
}

/** Opens volumes as they are needed. The caller closes it. */
export class VolumeFile implements ReadableFile {
  readonly #extents: readonly Extent[]
  readonly #size: number
  readonly #open = new Map<Extent, OpenExtent>()

  /** Throws VOLUME_MISSING and VOLUME_WRONG for a set that is not complete. */
  constructor(set: VolumeSet) {
    if (set.faults.length > 0) throw incompleteSet(set)
    let offset = 0
    const extents: Extent[] = []
    for (const { path, size } of [...set.volumes.values()].sort((a, b) => a.number - b.number)) {
      extents.push({ path, offset, size })
      offset += size
    }
    this.#extents = extents
    this.#size = offset
  }

  async stat(): Promise<{ readonly size: number }> {
    return { size: this.#size }
  }

  /** Reads at most to the end of the volume that has `position`, as a read of a file may return fewer bytes. */
  async read(buffer: Buffer, at: number, length: number, position: number): Promise<{ readonly bytesRead: number }> {
    const extent = this.#extentAt(position)
    if (!extent) return { bytesRead: 0 }
    const opened = this.#openExtent(extent)
    const within = position - extent.offset
    opened.readers += 1
    try {
      return await (await opened.file).read(buffer, at, Math.min(length, extent.size - within), within)
    } catch (error) {
      this.#open.delete(extent)
      throw fileError(error, extent.path)
    } finally {
      opened.readers -= 1
      await this.#closeIdle()
    }
  }

  /** A range of the tar as ranges of the volumes that have it, in order. */
  ranges(offset: number, size: number): readonly DiskRange[] {
    const ranges: DiskRange[] = []
    for (let at = offset; at < offset + size;) {
      const extent = this.#extentAt(at)
      if (!extent) break
      const within = at - extent.offset
      const length = Math.min(offset + size - at, extent.size - within)
      ranges.push({ file: extent.path, offset: within, size: length })
      at += length
    }
    return ranges
  }

  async close(): Promise<void> {
    const open = [...this.#open.values()]
    this.#open.clear()
    for (const { file } of open) await closeFile(file)
  }

  #extentAt(position: number): Extent | undefined {
    let [low, high] = [0, this.#extents.length - 1]
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if ((this.#extents[middle]?.offset ?? 0) <= position) low = middle
      else high = middle - 1
    }
    return position < this.#size ? this.#extents[low] : undefined
  }

  #openExtent(extent: Extent): OpenExtent {
    const known = this.#open.get(extent)
    if (known) return known
    const opened = { file: open(extent.path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0)), readers: 0 }
    this.#open.set(extent, opened)
    return opened
  }

  async #closeIdle(): Promise<void> {
    if (this.#open.size <= MOST_OPEN) return
    const idle = [...this.#open].find(([, { readers }]) => readers === 0)
    if (!idle) return
    this.#open.delete(idle[0])
    await closeFile(idle[1].file)
  }
}

async function closeFile(file: Promise<FileHandle>): Promise<void> {
  const opened = await file.catch(() => undefined) // its reader has the error
  await opened?.close()
}
