/** Compares names as Windows does. */

/**
 * An approximation of the upper case of NTFS: each UTF-16 code unit in upper case, if that is one unit whose lower case
 * is the original. (The upper case of U+017F is S, whose lower case is s; NTFS leaves such letters unchanged.)
 */
export function upcase(text: string): string {
  if (/^[\u0000-\u007f]*$/.test(text)) return text.toUpperCase()
  return text
    .split('')
    .map(unit => {
      const upper = unit.toUpperCase()
      return upper.length === 1 && upper.toLowerCase() === unit ? upper : unit
    })
    .join('')
}
