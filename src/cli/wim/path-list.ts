/** Lists of paths in an image, and patterns of them, as `wimlib-imagex extract` reads them. */

/**
 * The paths of a list, one a line. White space around a path does not count, nor do a pair of quotes around it, empty lines and
 * comments, which begin with `#` or `;`.
 */
export function parsePathList(text: string): string[] {
  return text
    .split('\n')
    .map(line => line.replace(/^[ \t\v\f\r]+|[ \t\v\f\r]+$/g, ''))
    .filter(line => line !== '' && !/^[#;]/.test(line))
    .map(
      line =>
        /^(?:"([^"]*)"|'([^']*)')$/
          .exec(line)
          ?.slice(1)
          .find(inner => inner !== undefined) ?? line,
    )
}

/**
 * Whether a path of an image is the one that `pattern` names, or one that it matches: `*` stands for any number of characters
 * and `?` for one, of the same component. Either slash parts components, and those at both ends do not count.
 */
export function pathMatcher(pattern: string, ignoreCase: boolean): (path: string) => boolean {
  const parts = pattern.split(/[/\\]+/).filter(part => part !== '')
  const source = parts.map(
    part =>
      `/${part
        .replace(/[.+^${}()|[\]]/g, '\\$&')
        .replaceAll('*', '[^/]*')
        .replaceAll('?', '[^/]')}`,
  )
  const expression = new RegExp(`^(?:${source.join('') || '/'})$`, ignoreCase ? 'siu' : 'su')
  return path => expression.test(path)
}
