/**
 * Checks the rules of {@link LAYER_RULES} that concern several entries: paths, parents, links, streams, required files.
 */
import { FILE_ATTRIBUTE_DIRECTORY } from '../../windows/file-attributes.js'
import { CONFIG, HIVES as BASE_HIVES, BOOT_CONFIGURATION, PATH_LIMIT } from '../../windows/layer-paths.js'
import { hiveFlaw } from '../../windows/registry-hive.js'
import { upcase } from '../../windows/upcase.js'
import { checkLinks } from './check-links.js'
import { checkName, checkStreamName } from './check-name.js'
import type { Node } from './check-node.js'
import { checkRecords, checkTimes } from './check-records.js'
import type { Report } from './check-rules.js'
import { checkUpper, isWhiteout } from './check-upper.js'
import { hostPath } from './host-path.js'
import type { LayerTarEntry, TarEntryType } from './tar-entry.js'

const UTILITY_SOFTWARE = `UtilityVM/Files/${CONFIG}/SOFTWARE`
const UTILITY_HIVES = [UTILITY_SOFTWARE, `UtilityVM/Files/${CONFIG}/SYSTEM`]
const HIVES = new Set([...BASE_HIVES, ...UTILITY_HIVES, BOOT_CONFIGURATION].map(upcase))
/** Paths at which the importer for CimFS refuses hard links. */
const SYSTEM_FILES = new Set([...HIVES, upcase('UtilityVM/Files/EFI/Microsoft/Boot/bootmgfw.efi')])
/** Paths that the importer looks up case-sensitively. */
const BOOT_FILES = new Map(
  ['', '.LOG', '.LOG1', '.LOG2'].map(end => [upcase(BOOT_CONFIGURATION + end), BOOT_CONFIGURATION + end]),
)
const TOPS = new Map(['Files', 'UtilityVM', 'Hives'].map(name => [upcase(name), name]))
const UTILITY_FILES = 'UtilityVM/Files'

/** Whether the file at `path` must be a registry hive. */
export function isHive(path: string): boolean {
  return HIVES.has(upcase(path))
}

export interface TreeCheck {
  add(entry: LayerTarEntry): void
  end(): void
  /** Whether the layer contains anything that belongs to Windows. */
  readonly windows: boolean
}

/** Checks the entries of a layer in order, and reports broken rules. `base` says that it is a base layer. */
export function checkTree(base: boolean, report: Report): TreeCheck {
  const nodes = new Map<string, Node>()
  const streams = new Set<string>()
  /** Directories without an entry so far, by key, each with the first path in it. */
  const awaited = new Map<string, { readonly path: string; readonly child: string }>()
  const misspelled = new Set<string>()
  const links = checkLinks(base, nodes, report)
  const upper = checkUpper(nodes, report)
  /** The path, as in the tar, of the entry to which an alternate stream may belong now. */
  let owner: string | undefined
  let windows = false
  /** Whether there is an entry that the importer for CimFS takes for a utility VM. */
  let utilityVm = false

  return {
    add,
    end,
    get windows() {
      return windows
    },
  }

  function add(entry: LayerTarEntry): void {
    const { path, type } = entry
    windows ||= isWindows(entry)
    checkTimes(entry, report)
    if (isWhiteout(path)) {
      owner = undefined
      if (base) report('TOMBSTONE', path, 'it marks a deleted file')
      else upper.addWhiteout(path)
    } else if (path.includes(':')) {
      addStream(entry)
    } else {
      owner = type === 'hard link' ? undefined : path
      addNode(entry)
    }
  }

  function addStream(entry: LayerTarEntry): void {
    const { path, type, size } = entry
    const name = owner !== undefined && path.startsWith(`${owner}:`) ? path.slice(owner.length + 1) : undefined
    if (name === undefined || name === '' || name.includes('/')) {
      const why = owner === undefined ? 'it does not follow an entry that can have streams' : `it follows ${owner}`
      report('STREAM_ORPHAN', path, why)
    } else if (type !== 'file') {
      report('STREAM_NOT_FILE', path, `it is a ${type}`)
    } else if (/:\$DATA$/i.test(name)) {
      report('STREAM_SUFFIX', path, 'its name ends in :$DATA')
    } else {
      checkStreamName(entry, name, report)
      report('STREAM_CIM', path, `${size} bytes`)
      if (streams.has(upcase(path))) report('STREAM_TWICE', path, 'there is already a stream with this name')
      streams.add(upcase(path))
    }
  }

  function addNode(entry: LayerTarEntry): void {
    const { path, type } = entry
    const host = hostPath(path)
    checkName(entry, host, report)
    const place = host.names.join('/')
    if (place === '' || place.length > PATH_LIMIT) return
    const key = upcase(place)
    checkPlace(path, place, host.names)
    checkParents(path, place, key)
    const spelled = BOOT_FILES.get(key)
    if (spelled !== undefined && spelled !== place) report('BOOT_SPELLING', path, `expected ${spelled}`)
    if (type === 'hard link') {
      if (SYSTEM_FILES.has(key)) report('LINK_OF_SYSTEM_FILE', path, `a link to ${entry.linkname}`)
      const file = links.add(entry, place)
      if (HIVES.has(key) && file?.type === 'file' && !file.hive)
        report('HIVE_INVALID', path, `it is a link to ${file.path}, which is no hive`)
      claim(key, nodeOf(place, file?.type ?? 'file', { link: { file } }))
      return
    }
    utilityVm ||= path === 'UtilityVM'
    const attributes = checkRecords(entry, place, report)
    if (!base && path === 'UtilityVM') upper.checkUtilityVm(entry)
    if (HIVES.has(key)) checkHive(entry)
    if (key === 'UTILITYVM/FILES' && type === 'symlink') report('UTILITY_VM_LINK', path, `a link to ${entry.linkname}`)
    const directory = (attributes & FILE_ATTRIBUTE_DIRECTORY) !== 0
    const made = type === 'directory' && !directory ? 'file' : type
    claim(key, nodeOf(place, made, { directory, hive: type === 'file' && hasHiveHead(entry) }))
  }

  function checkHive({ path, type, head, size }: LayerTarEntry): void {
    if (type !== 'file') {
      report('HIVE_NOT_FILE', path, `it is a ${type}`)
      return
    }
    const flaw = hiveFlaw(head, size)
    if (flaw !== undefined) report('HIVE_INVALID', path, flaw)
  }

  /** Records a path, and reports entries that came before it but depend on it. */
  function claim(key: string, node: Node): void {
    const { path, type } = node
    const other = nodes.get(key)
    if (other && (base || !upper.replaces(key, other, node))) {
      if (other.path === path) report('DUPLICATE', path, 'there is already an entry with this name')
      else report('CASE_COLLISION', path, `${other.path} already exists`)
      return
    }
    nodes.set(key, node)
    const waiting = awaited.get(key)
    if (waiting) {
      awaited.delete(key)
      if (type === 'directory') report('PARENT_LATE', path, `it comes after ${waiting.child}, which is in it`)
      else report('PARENT_NOT_DIRECTORY', waiting.child, `${path} is a ${type}`)
    }
    links.settle(key)
  }

  function checkPlace(path: string, place: string, [top = '', second]: readonly string[]): void {
    const spelled = TOPS.get(upcase(top))
    if (spelled === undefined || (spelled === 'Hives' && base)) {
      report('OUTSIDE', path, `it is not in ${base ? '' : 'Hives, '}Files or UtilityVM/Files`)
    } else if (spelled !== top) {
      misspelling(top, spelled)
    } else if (spelled === 'UtilityVM' && second !== undefined && second !== 'Files') {
      if (upcase(second) === 'FILES') misspelling(`${top}/${second}`, UTILITY_FILES)
      else report(base ? 'OUTSIDE' : 'UTILITY_VM_OUTSIDE', path, 'UtilityVM may hold only Files')
    } else if (place === UTILITY_FILES && path !== place && !path.endsWith('/')) {
      misspelling(path, UTILITY_FILES)
    }
  }

  function misspelling(found: string, expected: string): void {
    if (!misspelled.has(found)) report('ROOT_SPELLING', found, `expected ${expected}`)
    misspelled.add(found)
  }

  function checkParents(path: string, place: string, whole: string): void {
    let child = path
    for (let end = place.lastIndexOf('/'); end > 0; end = place.lastIndexOf('/', end - 1)) {
      const parent = place.slice(0, end)
      const key = whole.slice(0, end)
      const node = nodes.get(key)
      if (node && node.type !== 'directory') report('PARENT_NOT_DIRECTORY', path, `${node.path} is a ${node.type}`)
      if (node || awaited.has(key)) return
      if (!base && upper.isBelow(key)) continue
      awaited.set(key, { path: parent, child })
      child = parent
    }
  }

  function end(): void {
    for (const { path, child } of awaited.values())
      report('PARENT_MISSING', path, `it has no entry, but ${child} is in it`)
    links.end()
    if (!base) upper.end(links.targets)
    if (utilityVm) checkUtilitySoftware()
    if (nodes.get('FILES')?.type !== 'directory') {
      report('FILES_MISSING', undefined, 'the directory Files is missing')
      return
    }
    for (const hive of BASE_HIVES) {
      if (!nodes.has(upcase(hive))) report('HIVE_MISSING', hive, 'it is missing')
    }
    const top = nodes.get('UTILITYVM')
    const files = nodes.get('UTILITYVM/FILES')
    if (files?.type === 'directory') {
      if (!nodes.has(upcase(BOOT_CONFIGURATION))) report('BCD_MISSING', BOOT_CONFIGURATION, 'it is missing')
    } else if (files?.type !== 'symlink') {
      const why = top?.type === 'symlink' ? 'UtilityVM is a symlink' : 'the directory UtilityVM/Files is missing'
      report('UTILITY_VM_MISSING', undefined, why)
    }
  }

  function checkUtilitySoftware(): void {
    const hive = nodes.get(upcase(UTILITY_SOFTWARE))
    if (!hive) report('UTILITY_VM_HIVE', UTILITY_SOFTWARE, 'it is missing')
    else if (hive.type !== 'file') report('UTILITY_VM_HIVE', hive.path, `it is a ${hive.type}`)
    else if (hive.path !== UTILITY_SOFTWARE) report('UTILITY_VM_HIVE', hive.path, `expected ${UTILITY_SOFTWARE}`)
  }
}

function nodeOf(path: string, type: TarEntryType, facts: Partial<Pick<Node, 'directory' | 'hive' | 'link'>>): Node {
  const { directory = false, hive = false, link } = facts
  return { path, type, directory, hive, link, names: 1 }
}

function hasHiveHead({ head }: LayerTarEntry): boolean {
  return head.length >= 4 && head.readUInt32LE(0) === 0x66676572 // regf
}

function isWindows({ path, records }: LayerTarEntry): boolean {
  const top = path.split(/[\\/]/).find(name => name !== '' && name !== '.')
  return TOPS.has(upcase(top ?? '')) || [...records.keys()].some(key => key.startsWith('MSWINDOWS.'))
}
