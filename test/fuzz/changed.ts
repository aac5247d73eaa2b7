/** What is done to a whole file for a program that must withstand it, the same for the same seed everywhere. */

/** Once as it is; cut short at every `step` bytes; or `count` times with some bytes changed. */
export type Change =
  | { readonly type: 'none' }
  | { readonly type: 'cut'; readonly step: number }
  | { readonly type: 'flip'; readonly count: number; readonly seed: number }

/** A place in a file of `size` bytes. */
export type PlaceOf = (size: number, random: () => number) => number

/** `whole` under each change; where bytes are changed, one to four of them stand at places that `placeOf` gives. */
export function* changed(whole: Buffer, change: Change, placeOf: PlaceOf): Iterable<Uint8Array> {
  if (change.type === 'none') {
    yield whole
  } else if (change.type === 'cut') {
    for (let size = 0; size < whole.length; size += change.step) yield whole.subarray(0, size)
  } else {
    const random = generator(change.seed)
    for (let count = 0; count < change.count; count += 1) yield flipped(whole, random, placeOf)
  }
}

function flipped(whole: Buffer, random: () => number, placeOf: PlaceOf): Buffer {
  const bytes = Buffer.from(whole)
  for (let left = 1 + (random() % 4); left > 0; left -= 1) {
    bytes.writeUInt8([0, 0xff, 0x80, random() & 0xff][random() % 4] ?? 0, placeOf(bytes.length, random))
  }
  return bytes
}

/** Numerical Recipes' linear congruence. */
function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state >>> 8
  }
}
