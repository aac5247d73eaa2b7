/**
 * The tree that results from applying layers: later files replace earlier ones, whiteouts delete files, and hard links
 * may refer to files of lower layers. Source: OCI image-spec, layer.md, "Applying Changesets" and "Whiteouts".
 */
import { StowageError } from '../../errors.js'
import type { ImageDentry, ImageFile } from '../../wim/metadata-writer.js'

/** A node of the tree: a name, its file, and the nodes below it. */
export class TreeNode implements ImageDentry {
  name: string
  shortName: string
  file: ImageFile
  /** Nodes below it, by {@link ImageTreeOptions.keyOf} of their names; undefined if it is not a directory. */
  readonly nodes: Map<string, TreeNode> | undefined
  /** The last layer with an entry for it. */
  layer: number

  constructor(
    name: string,
    shortName: string,
    file: ImageFile,
    { layer, directory }: { readonly layer: number; readonly directory: boolean },
  ) {
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
  /** A key that is the same for equal names: on Windows, case is ignored. */
  readonly keyOf: (name: string) => string
  /** Makes a directory without an entry for a file in it, whose time it gets. */
  readonly makeDirectory: (below: ImageFile | undefined) => ImageFile
  /** The target of a symbolic link, for layers in which the path of an entry may lead through a link. */
  readonly targetOf?: ((file: ImageFile) => string | undefined) | undefined
}

type Path = readonly string[]

const WHITEOUT = '.wh.'
const OPAQUE = '.wh..wh..opq'
const LINK_LIMIT = 40

export class ImageTree {
  readonly root: TreeNode
  readonly #options: ImageTreeOptions
  #layer = 0
  #pending: { readonly path: Path; readonly target: Path; readonly shortName: string; readonly shown: string }[] = []

  constructor(options: ImageTreeOptions) {
    this.#options = options
    this.root = new TreeNode('', '', options.makeDirectory(undefined), { layer: 0, directory: true })
  }

  /** Begins a layer, whose whiteouts delete only files of earlier layers. */
  beginLayer(): void {
    this.#layer += 1
  }

  /** Resolves hard links to files that came after them. Throws LAYER_CORRUPT if a file does not exist. */
  endLayer(): void {
    for (let left = Infinity; this.#pending.length > 0 && this.#pending.length < left;) {
      const pending = this.#pending
      left = pending.length
      this.#pending = []
      for (const { path, target, shortName, shown } of pending) this.link(path, target, shortName, shown)
    }
    const [dangling] = this.#pending
    if (!dangling) return
    const what = this.find(dangling.target) ? 'a directory' : 'a file that no layer has'
    throw new StowageError(
      'LAYER_CORRUPT',
      `${dangling.shown}: a hard link to ${JSON.stringify(dangling.target.join('/'))}, ${what}`,
    )
  }

  /** Applies the whiteout `name` in `directory`. False if it is not a whiteout. */
  whiteout(directory: Path, name: string): boolean {
    if (!name.startsWith(WHITEOUT)) return false
    const parent = this.find(directory)
    if (name === OPAQUE) {
      if (parent) this.#prune(parent)
    } else if (!name.startsWith(`${WHITEOUT}${WHITEOUT}`)) {
      // Names with two prefixes are metadata of the program that wrote the layer
      const key = this.#options.keyOf(name.slice(WHITEOUT.length))
      const node = parent?.nodes?.get(key)
      if (node && node.layer < this.#layer) parent?.nodes?.delete(key)
      else if (node) this.#prune(node)
    }
    return true
  }

  /** Another name for the file at `target`. `shown` is its path in errors. */
  link(path: Path, target: Path, shortName: string, shown: string): void {
    const found = this.find(target)
    if (found && !found.nodes) this.put(path, found.file, shortName, { directory: false })
    else this.#pending.push({ path, target, shortName, shown })
  }

  find(path: Path): TreeNode | undefined {
    let node: TreeNode | undefined = this.root
    for (const name of path) node = node?.nodes?.get(this.#options.keyOf(name))
    return node
  }

  /** Adds a file. A directory keeps its contents; anything else replaces what was there. An empty path is the root. */
  put(path: Path, file: ImageFile, shortName: string, { directory }: { readonly directory: boolean }): void {
    const name = path.at(-1)
    if (name === undefined) {
      if (directory) this.root.file = file
      return
    }
    const nodes = this.#directory(path.slice(0, -1), file)
    const key = this.#options.keyOf(name)
    const existing = nodes.get(key)
    if (existing?.nodes && directory) {
      Object.assign(existing, { name, shortName, file, layer: this.#layer })
    } else {
      nodes.set(key, new TreeNode(name, shortName, file, { layer: this.#layer, directory }))
    }
  }

  /** The nodes in the directory at `path`. Missing directories are created. */
  #directory(path: Path, below: ImageFile): Map<string, TreeNode> {
    let rest = [...path]
    let node = this.root
    const parents: string[] = []
    for (let links = 0; rest.length > 0;) {
      const name = rest.shift() ?? ''
      const key = this.#options.keyOf(name)
      let next = node.nodes?.get(key)
      if (!next) {
        next = new TreeNode(name, '', this.#options.makeDirectory(below), { layer: this.#layer, directory: true })
        node.nodes?.set(key, next)
      }
      const target = next.nodes ? undefined : this.#options.targetOf?.(next.file)
      if (target !== undefined && links < LINK_LIMIT) {
        links += 1
        rest = [...resolved(target.startsWith('/') ? [] : parents, target), ...rest]
        parents.length = 0
        node = this.root
        continue
      }
      if (!next.nodes) {
        throw new StowageError('LAYER_CORRUPT', `${[...path].join('/')} is not a directory, but has something below it`)
      }
      parents.push(name)
      node = next
    }
    return node.nodes ?? new Map<string, TreeNode>()
  }

  /** Deletes files of earlier layers below `node`. */
  #prune(node: TreeNode): void {
    for (const [key, child] of node.nodes ?? []) {
      if (child.layer < this.#layer) node.nodes?.delete(key)
      else this.#prune(child)
    }
  }
}

/** Resolves `target` relative to the directory `from`, without `.` and `..`. The root is its own parent. */
function resolved(from: Path, target: string): string[] {
  const path = [...from]
  for (const part of target.split('/')) {
    if (part === '..') path.pop()
    else if (part !== '' && part !== '.') path.push(part)
  }
  return path
}
