/** `-`, which stands for standard input and standard output where an archive is named. */

/** A file of this name is `./-`. */
export const STANDARD_STREAM = '-'

/** How messages refer to the input `path`. */
export function inputTitle(path: string): string {
  return path === STANDARD_STREAM ? 'standard input' : path
}
