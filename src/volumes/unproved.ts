/** Volumes that are read back before they count: until then, those that are written have no name. */
import { dirname } from 'node:path'
import type { ReadBack, Verified } from '../archive/read-back.js'
import { PARTIAL, syncPath } from '../blob/durable.js'
import { rename } from '../blob/rename.js'
import { StowageError } from '../errors.js'
import type { WrittenVolume } from './beside.js'
import { onMedium } from './gone.js'

/** Those of one medium at a time. */
export class UnprovedVolumes {
  readonly #readBack: ReadBack
  /** Complete, by number, each with the name that its file has. */
  readonly #written = new Map<number, { readonly volume: WrittenVolume; readonly partial: string }>()
  readonly #compared = new Map<number, Verified>()

  constructor(readBack: ReadBack) {
    this.#readBack = readBack
  }

  get verified(): Verified | undefined {
    return this.#readBack.verified
  }

  /** Adds a volume that is complete in the file `partial`. */
  add(volume: WrittenVolume, partial: string): void {
    this.#written.set(volume.number, { volume, partial })
  }

  /** A volume that was there is what it should be. It need not be read again, unless something is written after it. */
  compared(number: number, verified: Verified): void {
    this.#compared.set(number, verified)
  }

  /** Something is written: a medium that is smaller than it claims may put it on top of what is there. */
  forget(): void {
    this.#compared.clear()
  }

  /**
   * Reads back the volumes that were written, and `kept`, which were there. Those that were written get their names, and
   * are returned. Throws MEDIUM_FAILED for the first that is not what it should be, when all were read: those that were
   * written get no names then, and of `kept` those that are wrong lose theirs.
   */
  async prove(kept: readonly WrittenVolume[]): Promise<readonly WrittenVolume[]> {
    const failures: StowageError[] = []
    for (const volume of kept) {
      const { number, path } = volume
      const compared = this.#compared.get(number)
      if (compared) this.#readBack.add(compared)
      else if (!(await this.#isWhole(volume, path, failures)))
        await onMedium(path, async () => await rename(path, `${path}${PARTIAL}`))
    }
    const written = [...this.#written.values()]
    for (const { volume, partial } of written) await this.#isWhole(volume, partial, failures)
    this.#written.clear()
    this.#compared.clear()
    const [failure] = failures
    if (failure) throw failure
    for (const { volume, partial } of written) {
      await onMedium(volume.path, async () => {
        await rename(partial, volume.path)
        await syncPath(dirname(volume.path), 'directory')
      })
    }
    return written.map(({ volume }) => volume)
  }

  async #isWhole(
    { path: name, size, digest }: WrittenVolume,
    path: string,
    failures: StowageError[],
  ): Promise<boolean> {
    try {
      await this.#readBack.check([{ path, name, regions: [{ offset: 0, size, digest }] }])
      return true
    } catch (error) {
      if (!(error instanceof StowageError) || error.code !== 'MEDIUM_FAILED') throw error
      failures.push(error)
      return false
    }
  }
}
