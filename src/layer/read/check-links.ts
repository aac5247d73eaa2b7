/** Checks the rules of {@link LAYER_RULES} that concern hard links and their targets. */
import { NAMES_LIMIT } from '../../windows/ntfs-limits.js'
import { upcase } from '../../windows/upcase.js'
import type { Node } from './check-node.js'
import type { Report } from './check-rules.js'
import { isInFiles } from './check-upper.js'
import { hostPath } from './host-path.js'
import type { LayerTarEntry } from './tar-entry.js'

interface Link {
  readonly path: string
  readonly target: string
}

export interface LinkCheck {
  /** Checks the hard link at `place`. Returns the file that it is a name of, if that has come already. */
  add(entry: LayerTarEntry, place: string): Node | undefined
  /** Reports the links that came before their target, whose key is `key`. */
  settle(key: string): void
  end(): void
  /** The links to files of the layer, by key of the target; only of an upper layer. */
  readonly targets: ReadonlyMap<string, Link>
}

export function checkLinks(base: boolean, nodes: ReadonlyMap<string, Node>, report: Report): LinkCheck {
  /** Hard links whose target has no entry so far, by the target's key. */
  const dangling = new Map<string, Link[]>()
  const targets = new Map<string, Link>()
  return { add, settle, end, targets }

  function add({ path, linkname }: LayerTarEntry, place: string): Node | undefined {
    const { names, flaw, simplified } = hostPath(linkname)
    const target = names.join('/')
    if (flaw !== undefined) {
      report('BAD_PATH', path, `its target ${JSON.stringify(linkname)}: ${flaw}`)
      return undefined
    }
    if (simplified !== undefined || target !== linkname)
      report('LINK_TARGET_FORM', path, `its target ${JSON.stringify(linkname)} is ${target}`)
    if (!base && !(isInFiles(place) && isInFiles(target))) {
      report('LINK_OUTSIDE', path, `a link to ${target}`)
      return undefined
    }
    const key = upcase(target)
    const node = nodes.get(key)
    if (!node) {
      wait(key, { path, target })
      return undefined
    }
    if (!base) targets.set(key, { path, target })
    checkTarget(path, target, node)
    return countName(path, node)
  }

  function checkTarget(path: string, target: string, node: Node): void {
    if (node.type === 'directory') report('LINK_TO_DIRECTORY', path, `${target} is a directory`)
    else if (node.type === 'symlink') report('LINK_TO_SYMLINK', path, `${target} is a symbolic link or junction`)
    if (node.path === target) return
    const rule = !base && target.startsWith('Files/') ? 'LINK_TARGET_SPELLING' : 'LINK_TARGET_CASE'
    report(rule, path, `${target}, but the file is ${node.path}`)
  }

  function countName(path: string, node: Node): Node | undefined {
    const file = node.link ? node.link.file : node
    if (!file) return undefined
    file.names += 1
    if (file.names > NAMES_LIMIT) report('TOO_MANY_LINKS', path, `name ${file.names} of ${file.path}`)
    return file
  }

  function wait(key: string, link: Link): void {
    const others = dangling.get(key)
    if (others) others.push(link)
    else dangling.set(key, [link])
  }

  function settle(key: string): void {
    for (const { path, target } of dangling.get(key) ?? [])
      report('LINK_TARGET_LATE', path, `its target ${target} comes later`)
    dangling.delete(key)
  }

  function end(): void {
    for (const links of dangling.values()) {
      for (const { path, target } of links) report('LINK_TARGET_MISSING', path, `${target} does not exist`)
    }
  }
}
