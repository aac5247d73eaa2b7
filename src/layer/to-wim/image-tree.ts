/**
 * The tree that layers make, one applied to another: later files replace earlier ones, whiteouts delete, hard links lead
 * into the layers below. Source: OCI image-spec, layer.md, "Applying Changesets" and "Whiteouts".
 */
import { StowageError } from '../../errors.js'
import type { ImageDentry, ImageFile } from '../../wim/metadata-writer.js'

/** A name in the tree, and what is below it. */
export class TreeNode implements ImageDentry {
  name: string
  shortName: string
  file: ImageFile
  /** By {@link ImageTreeOptions.keyOf} their names; undefined for what is not a directory. */
  readonly nodes: Map<string, TreeNode> | undefined
  /** The layer that said it last. */
  layer: number

  constructor(name: string, shortName: string, file: ImageFile, layer: number, directory: boolean) {
    this.name = name
    this.shortName = shortName
    this.file = file
    this.layer = layer
    this.nodes = directory ? new Map() : undefined
  }

  get children(): Iterable<TreeNode> | undefined {
    return this.nodes?.values()
  }
}

export interface ImageTreeOptions {
  /** What names of one file have in common: to Windows, case does not matter. */
  readonly keyOf: (name: string) => string
  /** A directory that no entry describes, made because something is in it, with the time of that. */
  readonly makeDirectory: (below: ImageFile | undefined) => ImageFile
  /** Where a symbolic link leads that is in the way, for layers whose entries may go through one. */
  readonly targetOf?: ((file: ImageFile) => string | undefined) | undefined
}

type Path = readonly string[]

const WHITEOUT = '.wh.'
const OPAQUE = '.wh..wh..opq'
const MOST_LINKS = 40

export class ImageTree {
  readonly root: TreeNode
  readonly #options: ImageTreeOptions
  #layer = 0
  #pending: { readonly path: Path; readonly target: Path; readonly shortName: string; readonly shown: string }[] = []

  constructor(options: ImageTreeOptions) {
    this.#options = options
    this.root = new TreeNode('', '', options.makeDirectory(undefined), 0, true)
  }

  /** Whiteouts from now on delete what was there before. */
  beginLayer(): void {
    this.#layer += 1
  }

  /** Hard links to files that stand after them find them now. Throws LAYER_CORRUPT if there is none. */
  endLayer(): void {
    for (let left = Infinity; this.#pending.length > 0 && this.#pending.length < left;) {
      const pending = this.#pending
      left = pending.length
      this.#pending = []
      for (const { path, target, shortName, shown } of pending) this.link(path, target, shortName, shown)
    }
    const [lost] = this.#pending
    if (!lost) return
    const what = this.find(lost.target) ? 'a directory' : 'a file that no layer has'
    throw new StowageError(
      'LAYER_CORRUPT',
      `${lost.shown}: a hard link to ${JSON.stringify(lost.target.join('/'))}, ${what}`,
    )
  }

  /** The whiteout that `name` is, applied to `directory`; false if it is none. */
  whiteout(directory: Path, name: string): boolean {
    if (!name.startsWith(WHITEOUT)) return false
    const parent = this.find(directory)
    if (name === OPAQUE) {
      if (parent) this.#prune(parent)
    } else if (!name.startsWith(`${WHITEOUT}${WHITEOUT}`)) {
      // else a note to itself of the program that wrote it
      const key = this.#options.keyOf(name.slice(WHITEOUT.length))
      const node = parent?.nodes?.get(key)
      if (node && node.layer < this.#layer) parent?.nodes?.delete(key)
      else if (node) this.#prune(node)
    }
    return true
  }

  /** A directory keeps what is in it; anything else replaces what was there. No path: the root itself. */
  put(path: Path, file: ImageFile, shortName: string, directory: boolean): void {
    this.#put(path, file, shortName, directory)
  }

  /** Another name for the file at `target`. `shown` is its path in errors. */
  link(path: Path, target: Path, shortName: string, shown: string): void {
    const found = this.find(target)
    if (found && !found.nodes) this.#put(path, found.file, shortName, false)
    else this.#pending.push({ path, target, shortName, shown })
  }

  find(path: Path): TreeNode | undefined {
    let node: TreeNode | undefined = this.root
    for (const name of path) node = node?.nodes?.get(this.#options.keyOf(name))
    return node
  }

  #put(path: Path, file: ImageFile, shortName: string, directory: boolean): void {
    const name = path.at(-1)
    if (name === undefined) {
      if (directory) this.root.file = file
      return
    }
    const nodes = this.#directory(path.slice(0, -1), file)
    const key = this.#options.keyOf(name)
    const there = nodes.get(key)
    if (there?.nodes && directory) {
      Object.assign(there, { name, shortName, file, layer: this.#layer })
    } else {
      nodes.set(key, new TreeNode(name, shortName, file, this.#layer, directory))
    }
  }

  /** What is in the directory at `path`; directories that nobody described are made. */
  #directory(path: Path, below: ImageFile): Map<string, TreeNode> {
    let rest = [...path]
    let node = this.root
    const way: string[] = []
    for (let links = 0; rest.length > 0;) {
      const name = rest.shift() ?? ''
      const key = this.#options.keyOf(name)
      let next = node.nodes?.get(key)
      if (!next) {
        next = new TreeNode(name, '', this.#options.makeDirectory(below), this.#layer, true)
        node.nodes?.set(key, next)
      }
      const target = next.nodes ? undefined : this.#options.targetOf?.(next.file)
      if (target !== undefined && links < MOST_LINKS) {
        links += 1
        rest = [...resolved(target.startsWith('/') ? [] : way, target), ...rest]
        way.length = 0
        node = this.root
        continue
      }
      if (!next.nodes) {
        throw new StowageError('LAYER_CORRUPT', `${[...path].join('/')} is not a directory, but has something below it`)
      }
      way.push(name)
      node = next
    }
    return node.nodes ?? new Map<string, TreeNode>()
  }

  /** Deletes what layers before this one brought below `node`. */
  #prune(node: TreeNode): void {
    for (const [key, child] of node.nodes ?? []) {
      if (child.layer < this.#layer) node.nodes?.delete(key)
      else this.#prune(child)
    }
  }
}

/** `target` from the directory `from`, without `.` and `..`; the root is its own parent. */
function resolved(from: Path, target: string): string[] {
  const path = [...from]
  for (const part of target.split('/')) {
    if (part === '..') path.pop()
    else if (part !== '' && part !== '.') path.push(part)
  }
  return path
}
