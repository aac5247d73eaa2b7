/**
 * Checks the rules of {@link LAYER_RULES} that concern several entries: paths, parents, links, streams, required files.
 */
import { PATH_LIMIT } from '../../windows/layer-paths.js'
import { hiveFlaw } from '../../windows/registry-hive.js'
import { upcase } from '../../windows/upcase.js'
import { checkName, checkRecords, checkTimes } from './check-entry.js'
import type { Report } from './check-rules.js'
import type { LayerTarEntry, TarEntryType } from './tar-entry.js'

const CONFIG = 'Windows/System32/config'
const BASE_HIVES = ['DEFAULT', 'SAM', 'SECURITY', 'SOFTWARE', 'SYSTEM'].map(name => `Files/${CONFIG}/${name}`)
const BCD = 'UtilityVM/Files/EFI/Microsoft/Boot/BCD'
const HIVES = new Set(
  [...BASE_HIVES, ...['SOFTWARE', 'SYSTEM'].map(name => `UtilityVM/Files/${CONFIG}/${name}`), BCD].map(lower),
)
/** Paths at which the importer rejects hard links. */
const SYSTEM_FILES = new Set([...HIVES, lower('UtilityVM/Files/EFI/Microsoft/Boot/bootmgfw.efi')])
/** Paths that the importer looks up case-sensitively. */
const BOOT_FILES = new Map(['', '.LOG', '.LOG1', '.LOG2'].map(end => [lower(BCD + end), BCD + end]))
const TOPS = new Map(['Files', 'UtilityVM', 'Hives'].map(name => [lower(name), name]))
const WHITEOUT = '.wh.'
const OPAQUE = '.wh..wh..opq'

/** Whether the file at `path` must be a registry hive. */
export function isHive(path: string): boolean {
  return HIVES.has(lower(path))
}

/** A path in the layer. */
interface Node {
  readonly path: string
  /** For a hard link, the type of the file. */
  readonly type: TarEntryType
}

interface DanglingLink {
  readonly path: string
  readonly target: string
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
  /** Directories without an entry so far, by key, each with the first path in it. */
  const awaited = new Map<string, { readonly path: string; readonly child: string }>()
  /** Hard links whose target has no entry so far, by the target's key. */
  const dangling = new Map<string, DanglingLink[]>()
  const misspelled = new Set<string>()
  /** The path, as in the tar, of the entry to which an alternate stream may belong now. */
  let owner: string | undefined
  let windows = false

  return {
    add,
    end,
    get windows() {
      return windows
    },
  }

  function add(entry: LayerTarEntry): void {
    const names = namesOf(entry.path)
    windows ||= TOPS.has(lower(names[0] ?? '')) || [...entry.records.keys()].some(key => key.startsWith('MSWINDOWS.'))
    checkTimes(entry, report)
    if (names.at(-1)?.startsWith(WHITEOUT)) {
      owner = undefined
      addWhiteout(entry, names)
    } else if (entry.path.includes(':')) {
      addStream(entry)
    } else {
      owner = entry.type === 'hard link' ? undefined : entry.path
      addNode(entry, names)
    }
  }

  function addWhiteout({ path }: LayerTarEntry, names: readonly string[]): void {
    checkPlace(path, names)
    if (base) report('TOMBSTONE', path, 'it marks a deleted file')
    else if (names.at(-1) === OPAQUE) report('OPAQUE', path, 'it marks an opaque directory')
  }

  function addStream(entry: LayerTarEntry): void {
    const { path, type } = entry
    const name = owner !== undefined && path.startsWith(`${owner}:`) ? path.slice(owner.length + 1) : undefined
    if (name === undefined || name === '' || name.includes('/')) {
      report(
        'STREAM_ORPHAN',
        path,
        owner === undefined ? 'it does not follow an entry that can have streams' : `it follows ${owner}`,
      )
    } else if (type !== 'file') {
      report('STREAM_NOT_FILE', path, `it is a ${type}`)
    } else if (/:\$DATA$/i.test(name)) {
      report('STREAM_SUFFIX', path, 'its name ends in :$DATA')
    } else {
      checkName(entry, [...namesOf(owner ?? ''), name], (rule, at, message) => {
        if (rule !== 'BAD_PATH') report(rule, at, message)
      })
      if (name.includes(':')) report('INVALID_NAME', path, 'it contains the character ":"')
      report('STREAM_CIM', path, `${entry.size} bytes`)
      claim(path, 'file')
    }
  }

  function addNode(entry: LayerTarEntry, names: readonly string[]): void {
    const { path, type } = entry
    checkName(entry, names, report)
    const place = names.join('/')
    if (names.length === 0 || names.includes('..') || place.length > PATH_LIMIT) return
    checkPlace(path, names)
    checkParents(path, place)
    const spelled = BOOT_FILES.get(lower(place))
    if (spelled !== undefined && spelled !== place) report('BOOT_SPELLING', path, `expected ${spelled}`)
    if (type === 'hard link') {
      addLink(entry, place)
      return
    }
    checkRecords(entry, place, report)
    if (type === 'file' && HIVES.has(lower(place))) {
      const flaw = hiveFlaw(entry.head, entry.size)
      if (flaw !== undefined) report('HIVE_INVALID', path, flaw)
    }
    claim(place, type)
  }

  function addLink({ path, linkname }: LayerTarEntry, place: string): void {
    if (SYSTEM_FILES.has(lower(place))) report('LINK_OF_SYSTEM_FILE', path, `a link to ${linkname}`)
    const target = namesOf(linkname).join('/')
    if (target !== linkname || target.split('/').includes('..')) {
      report('BAD_PATH', path, `its target ${JSON.stringify(linkname)} is not a path in the layer`)
    }
    const key = upcase(target)
    const node = nodes.get(key)
    if (!node) wait(key, { path, target })
    else if (node.type === 'directory') report('LINK_TO_DIRECTORY', path, `${target} is a directory`)
    else if (node.path !== target) report('LINK_TARGET_CASE', path, `${target}, but the file is ${node.path}`)
    claim(place, node?.type ?? 'file')
  }

  function wait(key: string, link: DanglingLink): void {
    const others = dangling.get(key)
    if (others) others.push(link)
    else dangling.set(key, [link])
  }

  /** Records a path, and reports entries that came before it but depend on it. */
  function claim(path: string, type: TarEntryType): void {
    const key = upcase(path)
    const other = nodes.get(key)
    if (other) {
      if (other.path === path) report('DUPLICATE', path, 'there is already an entry with this name')
      else report('CASE_COLLISION', path, `${other.path} already exists`)
      return
    }
    nodes.set(key, { path, type })
    const waiting = awaited.get(key)
    if (waiting) {
      awaited.delete(key)
      if (type === 'directory') report('PARENT_LATE', path, `it comes after ${waiting.child}, which is in it`)
      else report('PARENT_NOT_DIRECTORY', waiting.child, `${path} is a ${type}`)
    }
    for (const link of dangling.get(key) ?? [])
      report('LINK_TARGET_LATE', link.path, `its target ${link.target} comes later`)
    dangling.delete(key)
  }

  function checkPlace(path: string, names: readonly string[]): void {
    const [top = '', second] = names
    const spelled = TOPS.get(lower(top))
    if (spelled === undefined || (spelled === 'Hives' && base)) {
      report('OUTSIDE', path, `it is not in ${base ? '' : 'Hives, '}Files or UtilityVM/Files`)
    } else if (spelled !== top) {
      misspelling(top, spelled)
    } else if (spelled === 'UtilityVM' && second !== undefined && second !== 'Files') {
      if (lower(second) === 'files') misspelling(`${top}/${second}`, 'UtilityVM/Files')
      else report('OUTSIDE', path, 'UtilityVM may hold only Files')
    }
  }

  function misspelling(found: string, expected: string): void {
    if (!misspelled.has(found)) report('ROOT_SPELLING', found, `expected ${expected}`)
    misspelled.add(found)
  }

  function checkParents(path: string, place: string): void {
    const whole = upcase(place) // of the same length
    let child = path
    for (let end = place.lastIndexOf('/'); end > 0; end = place.lastIndexOf('/', end - 1)) {
      const parent = place.slice(0, end)
      const key = whole.slice(0, end)
      const node = nodes.get(key)
      if (node && node.type !== 'directory') report('PARENT_NOT_DIRECTORY', path, `${node.path} is a ${node.type}`)
      if (node || awaited.has(key)) return
      awaited.set(key, { path: parent, child })
      child = parent
    }
  }

  function end(): void {
    for (const { path, child } of awaited.values())
      report('PARENT_MISSING', path, `it has no entry, but ${child} is in it`)
    for (const links of dangling.values()) {
      for (const { path, target } of links) report('LINK_TARGET_MISSING', path, `${target} does not exist`)
    }
    if (!isDirectory('Files')) {
      report('FILES_MISSING', undefined, 'the directory Files is missing')
      return
    }
    for (const hive of BASE_HIVES) {
      if (!nodes.has(upcase(hive))) report('HIVE_MISSING', hive, 'it is missing')
    }
    if (!isDirectory('UtilityVM/Files'))
      report('UTILITY_VM_MISSING', undefined, 'the directory UtilityVM/Files is missing')
    else if (!nodes.has(upcase(BCD))) report('BCD_MISSING', BCD, 'it is missing')
  }

  function isDirectory(path: string): boolean {
    return nodes.get(upcase(path))?.type === 'directory'
  }
}

/** The components of `path`, without empty ones and `.`. */
function namesOf(path: string): string[] {
  return path.split('/').filter(name => name !== '' && name !== '.')
}

function lower(path: string): string {
  return path.toLowerCase()
}
