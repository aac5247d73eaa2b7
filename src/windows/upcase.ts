/** Compares names as NTFS does: code unit by code unit, in the upper case of its table. */
import { UPCASE_RUNS } from './upcase-table.js'

let table: Uint16Array | undefined

/** The upper case of each code unit of `text`. It has the length of `text`, and is the same on every Node.js. */
export function upcase(text: string): string {
  if (/^[\u0000-\u007f]*$/.test(text)) return text.toUpperCase()
  table ??= expand(UPCASE_RUNS)
  let upper = ''
  for (let n = 0; n < text.length; n += 1) {
    const unit = text.charCodeAt(n)
    upper += String.fromCharCode(table[unit] ?? unit)
  }
  return upper
}

function expand(runs: readonly number[]): Uint16Array {
  const units = Uint16Array.from({ length: 0x10000 }, (_, unit) => unit)
  for (let at = 0; at < runs.length; at += 4) {
    const [first, count, step, added] = runs.slice(at, at + 4) as [number, number, number, number] // of four numbers
    for (let n = 0; n < count; n += 1) units[first + n * step] = first + n * step + added
  }
  return units
}
