/** Collects what a conversion could not keep. */

/** One kind of thing that was not kept. */
export interface Loss {
  /** Such as `entries outside Files and UtilityVM/Files`. */
  readonly what: string
  readonly count: number
  /** The first ten. */
  readonly paths: readonly string[]
}

const NAMED = 10

export class Losses {
  readonly #losses = new Map<string, { count: number; readonly paths: string[] }>()

  add(what: string, path: string): void {
    const loss = this.#losses.get(what) ?? { count: 0, paths: [] }
    loss.count += 1
    if (loss.paths.length < NAMED) loss.paths.push(path)
    this.#losses.set(what, loss)
  }

  list(): readonly Loss[] {
    return [...this.#losses].map(([what, { count, paths }]) => ({ what, count, paths }))
  }
}
