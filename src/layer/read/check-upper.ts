/**
 * Checks the rules of {@link LAYER_RULES} for an upper layer. Its importer copies the utility VM from the layer below and
 * changes it at once; in Files, it adds first, then deletes, then makes hard links, and then sets times of directories.
 */
import { upcase } from '../../windows/upcase.js'
import type { Node } from './check-node.js'
import type { Report } from './check-rules.js'
import { hostPath } from './host-path.js'
import type { LayerTarEntry } from './tar-entry.js'

const OPAQUE = '.wh..wh..opq'

/** Whether the entry at `path` marks something deleted: Go's `path.Base`, which knows no backslashes. */
export function isWhiteout(path: string): boolean {
  return path.includes('.wh.') && /(?:^|\/)\.wh\.[^/]*\/*$/.test(path)
}

/** Whether `place` is in Files or UtilityVM/Files, in this spelling. */
export function isInFiles(place: string): boolean {
  return place.startsWith('Files/') || place.startsWith('UtilityVM/Files/')
}

export interface UpperCheck {
  addWhiteout(path: string): void
  /** Checks the entry of UtilityVM itself. */
  checkUtilityVm(entry: LayerTarEntry): void
  /** Whether the directory is one that the layers below may have, where the importer looks for it. */
  isBelow(key: string): boolean
  /** Whether `node` replaces `other`, both at `key`. */
  replaces(key: string, other: Node, node: Node): boolean
  /** `targets` are the links to files of the layer, by key of the target. */
  end(targets: ReadonlyMap<string, { readonly path: string }>): void
}

export function checkUpper(nodes: Map<string, Node>, report: Report): UpperCheck {
  /** Keys of what is deleted in Files, with the entries that say so. */
  const deleted = new Map<string, string>()
  return { addWhiteout, checkUtilityVm, isBelow, replaces, end }

  function addWhiteout(path: string): void {
    const plain = path.replace(/\/+$/, '')
    const start = plain.lastIndexOf('/') + 1
    const opaque = plain.slice(start) === OPAQUE
    const { names } = hostPath(plain.slice(0, start) + plain.slice(start + '.wh.'.length))
    const place = path.startsWith('/') ? path : names.join('/')
    if (!isInFiles(place)) {
      report('TOMBSTONE_PLACE', path, 'it is not in Files or UtilityVM/Files')
    } else if (place.startsWith('UtilityVM/')) {
      if (opaque) report('OPAQUE_UTILITY_VM', path, 'it marks an opaque directory')
      addUtilityVm()
    } else if (opaque) {
      report('OPAQUE', path, 'it marks an opaque directory')
    } else {
      deleted.set(upcase(place), path)
    }
  }

  /** A deletion makes the importer copy the utility VM, as the entry of UtilityVM does. */
  function addUtilityVm(): void {
    if (nodes.has('UTILITYVM')) return
    const plain = { type: 'directory', directory: true, hive: false, link: undefined, names: 1 } as const
    nodes.set('UTILITYVM', { path: 'UtilityVM', ...plain })
  }

  function checkUtilityVm({ path, type, records }: LayerTarEntry): void {
    const found = [...records].find(
      ([key, value]) => value !== '' && /^MSWINDOWS\.(?:rawsd$|sd$|xattr\.)/.test(key),
    )?.[0]
    if (type === 'file' || type === 'symlink') report('UTILITY_VM_RECORDS', path, `it is a ${type}`)
    else if (found !== undefined) report('UTILITY_VM_RECORDS', path, `it has ${found}`)
  }

  function isBelow(key: string): boolean {
    return key.startsWith('UTILITYVM/')
  }

  function replaces(key: string, other: Node, node: Node): boolean {
    if (key === 'UTILITYVM') return true
    if (!isBelow(key) && !other.link && !node.link) return false
    report('DUPLICATE_REPLACED', node.path, `${other.path} already exists`)
    return true
  }

  function end(targets: ReadonlyMap<string, { readonly path: string }>): void {
    for (const [key, marker] of deleted) {
      const node = nodes.get(key)
      if (!node || node.link) continue // the importer makes links after it deletes
      if (node.directory) report('DELETED_NEEDED', node.path, `${marker} deletes it`)
      else report('DELETED_HERE', node.path, `${marker} deletes it`)
      const link = targets.get(key)
      if (link) report('DELETED_NEEDED', link.path, `${marker} deletes its target ${node.path}`)
    }
  }
}
