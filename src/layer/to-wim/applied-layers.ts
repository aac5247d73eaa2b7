/**
 * Applies layers in order to build the trees of the images in a WIM. Sources: OCI image-spec, layer.md; hcsshim's
 * documented layout.
 */
import { setImmediate } from 'node:timers/promises'
import { StowageError } from '../../errors.js'
import type { Content, ImageFile } from '../../wim/metadata-writer.js'
import { DELTA_HIVES, PATH_LIMIT, UTILITY_VM } from '../../windows/layer-paths.js'
import { upcase } from '../../windows/upcase.js'
import type { LayerTarEntry } from '../read/tar-entry.js'
import { ImageTree, type TreeNode } from './image-tree.js'
import type { Losses } from './losses.js'
import { plainPosixDirectory, posixFile, type PosixFile } from './posix-file.js'
import { hasImageDrive, plainDirectory, SecurityDescriptors, shortNameOf, windowsFile } from './windows-file.js'

/** Content from an entry of a layer. */
interface LayerContent extends Content {
  readonly layer: number
  /** Number of the entry in its layer. */
  readonly number: number
}

/** A file with changes to the registry hive of the layers below. */
export interface DeltaHive {
  /** Path as in the layer. */
  readonly path: string
  /** File name of the hive: `SOFTWARE`. */
  readonly hive: string
  readonly layer: number
}

export interface AppliedLayersOptions {
  /** True for Linux layers, whose root is the image; false for Windows layers, with `Files` and `UtilityVM/Files`. */
  readonly unixData: boolean
  readonly losses: Losses
  /** Shared by trees that are compared, so that equal descriptors have the same number. */
  readonly security?: SecurityDescriptors | undefined
}

/** Paths of the images in a Windows layer. */
const ROOTS = [['Files'], [UTILITY_VM, 'Files']]
const SLICE = 1024
/** In UTF-16 code units: a dentry stores the size of a name in 16 bits. */
const NAME_LIMIT = 32_766
/** Maximum depth of a path that our own reader accepts. */
const DEPTH_LIMIT = 16_384

export class AppliedLayers {
  readonly security: SecurityDescriptors
  readonly #unixData: boolean
  readonly #losses: Losses
  readonly #tree: ImageTree
  #layer = -1
  #number = 0
  /** FILETIME of the newest file in all layers. */
  newest = 0n
  /** Whether the drives of absolute links are those of their image: RP_FIX. */
  rpfix = false
  /** The delta hives in the layers, lowest layer first. */
  readonly deltaHives: DeltaHive[] = []

  constructor({ unixData, losses, security = new SecurityDescriptors() }: AppliedLayersOptions) {
    this.security = security
    this.#unixData = unixData
    this.#losses = losses
    this.#tree = unixData
      ? new ImageTree({
          keyOf: name => name,
          makeDirectory: plainPosixDirectory,
          targetOf: file => (file as PosixFile).target,
        })
      : new ImageTree({ keyOf: upcase, makeDirectory: plainDirectory })
  }

  /** Paths below which the contents of a layer are needed; empty if all are. */
  get roots(): readonly string[] {
    return this.#unixData ? [] : ROOTS.map(path => path.join('/'))
  }

  beginLayer(): void {
    this.#layer += 1
    this.#number = 0
    this.#tree.beginLayer()
  }

  /** Adds the next entry of the layer. `sha1` is that of its content, or empty if it has not been read yet. */
  add(entry: LayerTarEntry, sha1: string): void {
    const number = this.#number
    this.#number += 1
    const path = this.#pathOf(entry.path, entry)
    const name = path.at(-1) ?? ''
    if (this.#tree.whiteout(path.slice(0, -1), name)) return
    const colon = this.#unixData ? -1 : name.indexOf(':')
    const owner = colon < 0 ? path : [...path.slice(0, -1), name.slice(0, colon)]
    if (!this.#unixData && this.#outside(owner, entry)) return
    const content: LayerContent | undefined =
      entry.size === 0 ? undefined : { size: entry.size, sha1, layer: this.#layer, number }
    if (colon >= 0) {
      this.#addStream(owner, name.slice(colon + 1), entry, content)
      return
    }
    const shortName = this.#unixData ? '' : shortNameOf(entry)
    if (entry.type === 'hard link') {
      this.#tree.link(path, this.#pathOf(entry.linkname, entry), shortName, entry.path)
      return
    }
    const file = this.#fileOf(entry, content)
    if (file.writeTime > this.newest) this.newest = file.writeTime
    if (hasImageDrive(entry)) this.rpfix = true
    this.#tree.put(path, file, shortName, { directory: entry.type === 'directory' })
  }

  endLayer(): void {
    this.#tree.endLayer()
  }

  /** The tree of each image. Throws LAYER_UNSUPPORTED if there is no `Files`. */
  images(): readonly TreeNode[] {
    if (this.#unixData) return [this.#tree.root]
    const images = ROOTS.map(path => this.#tree.find(path))
    if (!images[0]?.nodes) {
      throw new StowageError(
        'LAYER_UNSUPPORTED',
        'there is no top-level directory Files, so this is not a Windows layer',
        {
          hint: 'For a Linux layer, use --unix-data.',
        },
      )
    }
    return images.filter((root): root is TreeNode => root?.nodes !== undefined).map(root => asRoot(root))
  }

  /** The file at `path`, and the layer with its content; undefined if there is none. */
  contentAt(path: string): { readonly file: ImageFile; readonly layer: number } | undefined {
    const file = this.#tree.find(path.split('/'))?.file
    return file?.data && isLayerContent(file.data) ? { file, layer: file.data.layer } : undefined
  }

  /** The contents of `images` by layer, and by the number of the entry that they come from. */
  async kept(images: readonly TreeNode[]): Promise<ReadonlyMap<number, KeptContents>> {
    const kept = new Map<number, Map<number, Content>>()
    for await (const content of contentsOf(images)) {
      if (!isLayerContent(content)) continue
      const contents = kept.get(content.layer) ?? new Map<number, Content>()
      kept.set(content.layer, contents.set(content.number, content))
    }
    return kept
  }

  #fileOf(entry: LayerTarEntry, content: Content | undefined): ImageFile {
    if (this.#unixData) return posixFile(entry, content, this.#losses)
    if (entry.type === 'directory' || entry.type === 'file' || entry.type === 'symlink') {
      return windowsFile(entry, content, this.security, this.#losses)
    }
    throw new StowageError('LAYER_UNSUPPORTED', `${entry.path}: Windows has no ${entry.type}`, {
      hint: 'For a Linux layer, use --unix-data.',
    })
  }

  #addStream(owner: readonly string[], named: string, entry: LayerTarEntry, content: Content | undefined): void {
    const name = named.replace(/:\$DATA$/i, '')
    const node = this.#tree.find(owner)
    if (name === '' || name.includes(':') || entry.type !== 'file') {
      throw new StowageError('LAYER_CORRUPT', `${entry.path} is not a valid name of a file's stream`)
    }
    const flaw = flawOf(name)
    if (flaw !== undefined) {
      throw new StowageError(
        'LAYER_UNSUPPORTED',
        `${JSON.stringify(entry.path)}: the stream ${JSON.stringify(name)} is ${flaw}`,
      )
    }
    if (!node)
      throw new StowageError('LAYER_CORRUPT', `${entry.path} is a stream of a file that the layer does not have`)
    const key = upcase(name)
    const streams = node.file.streams.filter(stream => upcase(stream.name) !== key)
    Object.assign(node.file, { streams: [...streams, { name, content: content ?? { size: 0, sha1: '' } }] })
  }

  /**
   * Whether the entry is outside the images of a Windows layer. It is then recorded as a loss, unless it is a plain
   * parent.
   */
  #outside([top = '', next, ...rest]: readonly string[], { path, type }: LayerTarEntry): boolean {
    const first = upcase(top)
    if (first === 'FILES') return false
    if (first === 'UTILITYVM' && upcase(next ?? '') === 'FILES') return false
    const hive = first === 'HIVES' && rest.length === 0 ? DELTA_HIVES.get(upcase(next ?? '')) : undefined
    if (hive !== undefined && type === 'file') {
      this.deltaHives.push({ path, hive, layer: this.#layer })
      return true
    }
    const plain = next === undefined && type === 'directory' && ['', 'UTILITYVM', 'HIVES'].includes(first)
    if (!plain) this.#losses.add(`entries of ${top === '' ? 'no name' : top}, which is not part of an image`, path)
    return true
  }

  #pathOf(text: string, { path: shown, utf8 }: LayerTarEntry): string[] {
    if (!utf8)
      throw new StowageError('LAYER_UNSUPPORTED', `${JSON.stringify(shown)} is not UTF-8, as names in a WIM must be`)
    const path = text.split('/').filter(part => part !== '' && part !== '.')
    if (path.includes('..')) throw new StowageError('LAYER_CORRUPT', `${JSON.stringify(text)} leads out of the layer`)
    if (path.length > DEPTH_LIMIT || (!this.#unixData && text.length > PATH_LIMIT)) {
      const limit =
        path.length > DEPTH_LIMIT ? `${DEPTH_LIMIT} directories` : `${PATH_LIMIT} characters, more than Windows allows`
      const shownPath = JSON.stringify(`${text.slice(0, 100)}…`)
      throw new StowageError('LAYER_UNSUPPORTED', `${shownPath}: a path of over ${limit}`)
    }
    for (const [n, part] of path.entries()) {
      const flaw = this.#unixData ? undefined : flawOf(n === path.length - 1 ? part.replace(/:.*$/, '') : part)
      if (flaw !== undefined)
        throw new StowageError('LAYER_UNSUPPORTED', `${JSON.stringify(text)}: ${JSON.stringify(part)} is ${flaw}`)
      if (part.length > NAME_LIMIT) {
        throw new StowageError(
          'LAYER_UNSUPPORTED',
          `${JSON.stringify(`${text.slice(0, 100)}…`)}: a name longer than a WIM can hold`,
        )
      }
    }
    return path
  }
}

/** Contents by the number of the entry that they come from. */
export type KeptContents = ReadonlyMap<number, Content>

/** All contents of the images. */
export async function* contentsOf(images: readonly TreeNode[]): AsyncGenerator<Content> {
  const open = [...images]
  let turn = 0
  for (let node = open.pop(); node; node = open.pop()) {
    const { file } = node
    if (file.data) yield file.data
    if (file.reparse) yield file.reparse
    for (const { content } of file.streams) yield content
    for (const child of node.children ?? []) open.push(child)
    if ((turn += 1) % SLICE === 0) await setImmediate()
  }
}

function isLayerContent(content: Content): content is LayerContent {
  return 'layer' in content
}

/** A copy of the node as the root of an image, which has no name. */
function asRoot(node: TreeNode): TreeNode {
  return Object.assign(Object.create(Object.getPrototypeOf(node) as object) as TreeNode, node, {
    name: '',
    shortName: '',
  })
}

function flawOf(part: string): string | undefined {
  return /[\u0000-\u001f"*:<>?\\|]/.test(part) ? 'not a valid name on Windows' : undefined
}
