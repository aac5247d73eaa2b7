/**
 * Finds what differs between two trees: the paths whose entries a layer needs, and the names that it deletes. Sources:
 * hcsshim's documented behavior for layers based on others; OCI image-spec, layer.md.
 */
import type { Content, ImageFile } from '../../wim/metadata-writer.js'
import type { Slices } from '../make/slices.js'
import type { TreeNode } from '../to-wim/image-tree.js'

/** Differences that can be ignored: in the time of the last access, or in any time. */
export const IGNORED_DIFFERENCES = ['atime', 'times'] as const

export type IgnoredDifference = (typeof IGNORED_DIFFERENCES)[number]

/** The difference between two trees. */
export interface TreeDifference {
  /** Paths that need an entry: what was added or changed, and the directories above. */
  readonly paths: Set<string>
  /** By the path of a directory, the names that no longer exist in it, sorted without regard to case. */
  readonly deleted: Map<string, string[]>
  readonly counts: { added: number; changed: number; deleted: number }
  /** Paths that were added or changed, without the directories above. */
  readonly changed: string[]
}

export interface CompareOptions {
  readonly ignore: readonly IgnoredDifference[]
  readonly slices: Slices
}

/** A name of a file that is not a directory, and what the base has there. */
interface Name {
  readonly path: string
  readonly parent: string
  readonly node: TreeNode
  readonly base: TreeNode | undefined
}

/** A directory to compare. */
interface Pair {
  readonly path: string
  readonly parent: string | undefined
  readonly node: TreeNode
  readonly base: TreeNode | undefined
}

export function noDifference(): TreeDifference {
  return { paths: new Set(), deleted: new Map(), counts: { added: 0, changed: 0, deleted: 0 }, changed: [] }
}

/** Adds to `found` what makes `node` out of `base`, the tree at `root` (`Files` or `UtilityVM/Files`). */
export async function compareTrees(
  base: TreeNode | undefined,
  node: TreeNode,
  root: string,
  found: TreeDifference,
  { ignore, slices }: CompareOptions,
): Promise<void> {
  const parents = new Map<string, string | undefined>()
  const files = new Map<ImageFile, Name[]>()
  const kept = new Map<ImageFile, number>()
  const directories: Pair[] = [{ path: root, parent: undefined, node, base }]
  for (let pair = directories.pop(); pair; pair = directories.pop()) {
    const { path } = pair
    parents.set(path, pair.parent)
    compareDirectory(pair)
    const below = pair.base?.nodes
    for (const [key, child] of pair.node.nodes ?? []) {
      const name = { path: `${path}/${child.name}`, parent: path, node: child, base: below?.get(key) }
      if (child.nodes) directories.push(name)
      else addName(name)
      if (slices.due()) await slices.rest()
    }
    noteDeleted(pair)
  }
  for (const names of files.values()) {
    compareFile(names)
    if (slices.due()) await slices.rest()
  }

  function compareDirectory({ path, node: own, base: other }: Pair): void {
    if (!other?.nodes) note(path, other)
    else if (own.name !== other.name || own.shortName !== other.shortName || !sameFile(own.file, other.file, ignore))
      note(path, other)
  }

  function noteDeleted({ path, node: own, base: other }: Pair): void {
    const gone = [...(other?.nodes ?? [])].filter(([key]) => !own.nodes?.has(key))
    // A file's entry replaces a directory, except in UtilityVM/Files, where the host deletes only empty ones
    const replaced = root === 'Files' ? [] : [...(own.nodes ?? [])].filter(([key, child]) => isReplaced(key, child))
    function isReplaced(key: string, child: TreeNode): boolean {
      return child.nodes === undefined && other?.nodes?.get(key)?.nodes !== undefined
    }
    found.counts.deleted += gone.length
    const names = [...gone, ...replaced].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, child]) => child.name)
    if (names.length === 0) return
    found.deleted.set(path, names)
    keep(path)
  }

  function addName(name: Name): void {
    const { file } = name.node
    const group = files.get(file)
    if (group) group.push(name)
    else files.set(file, [name])
    const other = name.base
    if (other && !other.nodes) kept.set(other.file, (kept.get(other.file) ?? 0) + 1)
  }

  /** Notes all names of a file, or none: a layer then never links to a file of another layer. */
  function compareFile(names: readonly Name[]): void {
    const other = names[0]?.base
    const same =
      other !== undefined &&
      !other.nodes &&
      kept.get(other.file) === names.length &&
      names.every(name => isSame(name, other.file))
    if (!same) for (const name of names) note(name.path, name.base, name.parent)
  }

  function isSame({ node: own, base: other }: Name, file: ImageFile): boolean {
    return (
      other?.file === file &&
      own.name === other.name &&
      own.shortName === other.shortName &&
      sameFile(own.file, file, ignore)
    )
  }

  function note(path: string, other: TreeNode | undefined, parent?: string): void {
    found.counts[other ? 'changed' : 'added'] += 1
    found.changed.push(path)
    found.paths.add(path)
    keep(parent ?? parents.get(path))
  }

  function keep(path: string | undefined): void {
    for (let at = path; at !== undefined && !found.paths.has(at); at = parents.get(at)) found.paths.add(at)
  }
}

/** Security descriptors are compared by number, so both trees must share them. */
function sameFile(a: ImageFile, b: ImageFile, ignore: readonly IgnoredDifference[]): boolean {
  const times = ignore.includes('times')
  return (
    a.attributes === b.attributes &&
    a.security === b.security &&
    a.reparseTag === b.reparseTag &&
    a.reparseFlags === b.reparseFlags &&
    (times || (a.creationTime === b.creationTime && a.writeTime === b.writeTime)) &&
    (times || ignore.includes('atime') || a.accessTime === b.accessTime) &&
    a.extendedAttributes.equals(b.extendedAttributes) &&
    a.objectId.equals(b.objectId) &&
    a.unixData.equals(b.unixData) &&
    sameContent(a.data, b.data) &&
    sameContent(a.reparse, b.reparse) &&
    sameStreams(a, b)
  )
}

function sameContent(a: Content | undefined, b: Content | undefined): boolean {
  return (a?.size ?? 0) === (b?.size ?? 0) && ((a?.size ?? 0) === 0 || a?.sha1 === b?.sha1)
}

function sameStreams(a: ImageFile, b: ImageFile): boolean {
  return (
    a.streams.length === b.streams.length &&
    a.streams.every(({ name, content }) => {
      const other = b.streams.find(stream => stream.name === name)
      return other !== undefined && sameContent(content, other.content)
    })
  )
}
