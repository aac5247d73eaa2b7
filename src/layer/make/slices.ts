/** Divides long work on the JavaScript thread into slices, so that the event loop can run between them. */
import { setImmediate } from 'node:timers/promises'
import { abortError } from '../../errors.js'

/** Duration of a slice, in milliseconds. */
const SLICE = 5
/** Items between two checks of the clock. */
const LOOK = 32
/** Items sorted at once, which takes a few milliseconds. */
const RUN = 1024

/** For one piece of work: a loop calls {@link due} for each item and, if it returns true, awaits {@link rest}. */
export class Slices {
  readonly #signal: AbortSignal | undefined
  #began = performance.now()
  #items = 0

  constructor(signal?: AbortSignal) {
    this.#signal = signal
  }

  due(): boolean {
    this.#items += 1
    return this.#items % LOOK === 0 && performance.now() - this.#began > SLICE
  }

  /** Lets the event loop run. Throws ABORTED. */
  async rest(): Promise<void> {
    await setImmediate()
    if (this.#signal?.aborted) throw abortError(this.#signal.reason, this.#signal)
    this.#began = performance.now()
  }
}

/** Sorts `items` into a new list. The sort is stable. */
export async function sortInSlices<T>(
  items: readonly T[],
  compare: (a: T, b: T) => number,
  slices: Slices,
): Promise<T[]> {
  let runs: T[][] = []
  for (let at = 0; at < items.length; at += RUN) {
    runs.push(items.slice(at, at + RUN).sort(compare))
    if (at > 0) await slices.rest()
  }
  while (runs.length > 1) {
    const merged: T[][] = []
    for (let n = 0; n < runs.length; n += 2) merged.push(await merge(runs[n] ?? [], runs[n + 1] ?? [], compare, slices))
    runs = merged
  }
  return runs[0] ?? []
}

async function merge<T>(
  left: readonly T[],
  right: readonly T[],
  compare: (a: T, b: T) => number,
  slices: Slices,
): Promise<T[]> {
  const merged: T[] = []
  let [l, r] = [0, 0]
  while (l < left.length || r < right.length) {
    // Both indexes have been checked against the lengths
    if (r >= right.length || (l < left.length && compare(left[l] as T, right[r] as T) <= 0)) merged.push(left[l++] as T)
    else merged.push(right[r++] as T)
    if (slices.due()) await slices.rest()
  }
  return merged
}
