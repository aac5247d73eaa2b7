/** Names as Windows compares them. */

/**
 * NTFS's own comparison, near enough: each UTF-16 unit in upper case, where that is one unit that leads back. (It does not
 * for U+017F, whose upper case is S; to NTFS such letters are themselves.)
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
