/** Reads a path of a layer as the ordinary importer does: `filepath.Clean` of Go on Windows, then the rules of NT. */

export interface HostPath {
  /** The names that the host sees, from the top down; none if the path leads to nothing in the layer. */
  readonly names: readonly string[]
  /** Why Windows takes no such path. */
  readonly flaw?: string | undefined
  /** What the importer simplified. */
  readonly simplified?: string | undefined
}

/** Whether a path may be other than names with one slash between them. */
const SPECIAL = /\\|(?:^|\/)\.{0,2}(?:\/|$)/

/** Parses `path`. A slash at its end is left out, and counts as no simplification. */
export function hostPath(path: string): HostPath {
  if (!SPECIAL.test(path)) return { names: path.split('/') }
  if (path === '') return { names: [], flaw: 'it is empty' }
  if (/^[\\/]/.test(path)) return { names: withoutDots(path), flaw: 'it is absolute' }
  const parts = path.replace(/[\\/]$/, '').split(/[\\/]/)
  const names: string[] = []
  for (const part of parts) {
    if (part === '' || part === '.') continue
    if (part !== '..') names.push(part)
    else if (names.pop() === undefined) return { names: [], flaw: 'it leads out of the layer' }
  }
  if (names.length === 0) return { names, flaw: 'it names the layer itself' }
  const changed = names.length !== parts.length
  return { names, simplified: changed ? 'it contains ".", ".." or an empty name' : undefined }
}

function withoutDots(path: string): string[] {
  return path.split(/[\\/]/).filter(part => part !== '' && part !== '.' && part !== '..')
}
