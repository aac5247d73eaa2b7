/** Parses lists and patterns of paths in an image as `wimlib-imagex extract` does. */

/**
 * The paths of a list, one per line. White space and a pair of quotes around a path are removed; empty lines and
 * comments, which begin with `#` or `;`, are skipped.
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
 * A function that says whether a path in an image matches `pattern`: within a component, `*` matches any number of
 * characters and `?` matches one. Components are separated by either slash; slashes at both ends are ignored.
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

/** A path that is not a pattern, as the entries of an image have it. */
export function literalPath(path: string): string {
  return `/${path
    .split(/[/\\]+/)
    .filter(part => part !== '')
    .join('/')}`
}

/** The path of an entry and those of the directories it is in, the root first. */
export function withParents(path: string): readonly string[] {
  const parts = path.split('/').filter(part => part !== '')
  return ['/', ...parts.map((_, n) => `/${parts.slice(0, n + 1).join('/')}`)]
}
