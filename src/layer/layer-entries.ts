/**
 * What a layer has a name for: the dentries of an image as entries, checked, in order, with what is left out and why.
 * Sources: hcsshim and go-winio's documented behaviour, OCI image-spec layer.md.
 */
import { StowageError } from '../errors.js'
import {
  type Dentry, FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_ENCRYPTED, FILE_ATTRIBUTE_REPARSE_POINT, type Stream,
} from '../wim/dentry.js'
import { type ExtendedAttribute, parseExtendedAttributes } from './extended-attribute.js'
import { isLayerReparseTag, parseReparsePoint, type ReparsePoint } from './reparse-point.js'

/** One image of a WIM, with all that its entries need. */
export interface LayerTree {
  /** `Files` or `UtilityVM/Files`: where the image's root stands in the layer. */
  readonly root: string
  /** All dentries of the image, parents before children. */
  readonly dentries: readonly Dentry[]
  readonly security: readonly Buffer[]
}

/** A reparse point's data, of tags that a layer can hold; undefined where the WIM has none (or far too much). */
export type ReparseDataOf = (dentry: Dentry) => Buffer | undefined

interface Named {
  readonly tree: LayerTree
  readonly dentry: Dentry
  readonly path: string
}

interface Held extends Named {
  readonly extendedAttributes: readonly ExtendedAttribute[]
}

/** A name in the layer. */
export type LayerEntry =
  | (Held & { readonly type: 'directory' })
  | (Held & { readonly type: 'file'; readonly data: Stream | undefined })
  | (Held & { readonly type: 'symlink'; readonly point: ReparsePoint })
  | (Held & { readonly type: 'hard link'; readonly target: string })

/**
 * Files whose entry must be the file itself, not a hard link to another name of it: Windows' importer refuses links at these
 * paths of a base layer.
 */
const PRIMARY_NAMES = new Set(
  [
    ...['SYSTEM', 'SOFTWARE', 'SAM', 'SECURITY', 'DEFAULT'].map(hive => `Files/Windows/System32/config/${hive}`),
    ...['SYSTEM', 'SOFTWARE'].map(hive => `UtilityVM/Files/Windows/System32/config/${hive}`),
    'UtilityVM/Files/EFI/Microsoft/Boot/BCD',
    'UtilityVM/Files/EFI/Microsoft/Boot/bootmgfw.efi',
  ].map(path => path.toLowerCase()),
)

/** Paths the importer compares case and all; a WIM may spell them in any case. */
const SPELLINGS = new Map(
  ['', '/Microsoft', '/Microsoft/Boot', '/Microsoft/Boot/BCD', '/Microsoft/Boot/BCD.LOG', '/Microsoft/Boot/BCD.LOG1',
    '/Microsoft/Boot/BCD.LOG2'].map(path => [`utilityvm/files/efi${path.toLowerCase()}`, `UtilityVM/Files/EFI${path}`]),
)

/** Longest path Windows knows, in UTF-16 units. */
const PATH_LIMIT = 32_767
/** How many paths an error names before it counts the rest. */
const NAMED = 10

/**
 * The entries of `tree`: directories and reparse points, parents first; then files in the order of `rankOf` their data; then
 * hard links. `unsupported` lists what a layer has no place for, each with the reason, and all that stands below it.
 * Throws LAYER_UNSUPPORTED for names that no layer can hold, WIM_CORRUPT where the WIM contradicts itself.
 */
export function layerEntries(
  tree: LayerTree, rankOf: (blob: number) => number, reparseDataOf: ReparseDataOf,
): { readonly entries: readonly LayerEntry[]; readonly unsupported: readonly string[] } {
  const named = namedEntries(tree)
  checkNames(named, tree)
  const unsupported: string[] = []
  const points = new Map<Named, ReparsePoint>()
  const held: Held[] = []
  const gone = new Set<number>()
  for (const entry of named) {
    const { parent, index } = entry.dentry
    const reason = parent !== undefined && gone.has(parent) ? 'below one of these' : reasonAgainst(entry, reparseDataOf, points)
    if (reason === undefined) {
      held.push({ ...entry, extendedAttributes: parseExtendedAttributes(entry.dentry.extendedAttributes, entry.path) })
    } else {
      unsupported.push(`${entry.path} (${reason})`)
      gone.add(index)
    }
  }
  return { entries: ordered(held, new Map([...points].map(([{ dentry }, point]) => [dentry, point])), rankOf), unsupported }
}

/** `a, b and 3 more`. */
export function listed(items: readonly string[]): string {
  const rest = items.length - NAMED
  return items.slice(0, NAMED).join(', ') + (rest > 0 ? ` and ${rest} more` : '')
}

/** The error for a blob that the WIM names but does not hold. */
export function missingBlob(path: string, stream: Stream): StowageError {
  return new StowageError('WIM_CORRUPT', `the WIM does not hold the content of ${path} (SHA-1 ${stream.sha1})`, {
    hint: 'It may be a delta WIM, which needs its base; or a part of a split WIM is not beside it.',
  })
}

function namedEntries(tree: LayerTree): Named[] {
  const root = tree.dentries[0]
  if (root && (!isDirectory(root) || isReparsePoint(root))) {
    throw new StowageError('WIM_CORRUPT', `the root of the image that becomes ${tree.root} is not a directory`)
  }
  const paths: string[] = []
  return tree.dentries.map(dentry => {
    const parent = dentry.parent === undefined ? undefined : paths[dentry.parent]
    const plain = parent === undefined ? tree.root : `${parent}/${dentry.name}`
    if (plain.length > PATH_LIMIT) {
      const shown = `${plain.slice(0, 100)}…`
      throw new StowageError('LAYER_UNSUPPORTED', `${shown}: a path of over ${PATH_LIMIT} characters, more than Windows knows`)
    }
    const path = SPELLINGS.get(plain.toLowerCase()) ?? plain
    paths.push(path)
    return { tree, dentry, path }
  })
}

/** Names that Windows' importer refuses or takes for something else, that a tar cannot hold, or that two files share. */
function checkNames(entries: readonly Named[], tree: LayerTree): void {
  const wrong: string[] = []
  const seen = new Map<string, string>()
  function claim(path: string): void {
    const other = seen.get(upcase(path))
    if (other !== undefined) wrong.push(`${JSON.stringify(path)} and ${JSON.stringify(other)} (one name to Windows)`)
    seen.set(upcase(path), path)
  }
  for (const { dentry, path } of entries) {
    const reason = dentry.parent === undefined ? undefined : flawOf(dentry.name)
    if (reason) wrong.push(`${JSON.stringify(path)} (${reason})`)
    claim(path)
    for (const { name } of dentry.streams) {
      if (name === '') continue
      const flaw = flawOf(name)
      if (flaw) wrong.push(`${JSON.stringify(`${path}:${name}`)} (${flaw})`)
      claim(`${path}:${name}`)
    }
  }
  if (wrong.length === 0) return
  throw new StowageError('LAYER_UNSUPPORTED', `a layer cannot hold these names of ${tree.root}: ${listed(wrong)}`, {
    hint: 'Rename or remove them in the WIM, for example with wimlib-imagex update.',
  })
}

function flawOf(name: string): string | undefined {
  if (name === '' || name === '.' || name === '..' || /[\u0000-\u001f"*/:<>?\\|]/.test(name)) return 'no name to Windows'
  if (name.startsWith('.wh.')) return 'to a layer, the mark of a deleted file'
  return /\p{Surrogate}/u.test(name) ? 'half a surrogate pair, which UTF-8 cannot hold' : undefined
}

/**
 * NTFS's own comparison, near enough: each UTF-16 unit in upper case, where that is one unit that leads back. (It does not
 * for U+017F, whose upper case is S; to NTFS such letters are themselves.)
 */
export function upcase(text: string): string {
  if (/^[\u0000-\u007f]*$/.test(text)) return text.toUpperCase()
  return text.split('').map(unit => {
    const upper = unit.toUpperCase()
    return upper.length === 1 && upper.toLowerCase() === unit ? upper : unit
  }).join('')
}

/** Why a layer has no place for the entry; fills `points` for those that are links. */
function reasonAgainst(
  entry: Named, reparseDataOf: ReparseDataOf, points: Map<Named, ReparsePoint>,
): string | undefined {
  const { dentry, path, tree } = entry
  const parent = dentry.parent === undefined ? undefined : tree.dentries[dentry.parent]
  if (parent && (isReparsePoint(parent) || !isDirectory(parent))) return 'below a link or a file'
  // A directory's attribute only says that new files are encrypted: it has no content of its own.
  if ((dentry.attributes & FILE_ATTRIBUTE_ENCRYPTED) !== 0 && dentry.streams.some(stream => stream.type === 'encrypted')) {
    return 'encrypted'
  }
  if (isReparsePoint(dentry)) {
    if (!isLayerReparseTag(dentry.reparseTag)) return `reparse tag 0x${dentry.reparseTag.toString(16).padStart(8, '0')}`
    const stream = dentry.streams.find(({ type }) => type === 'reparse')
    if (stream?.blob !== undefined && stream.blob < 0) throw missingBlob(path, stream)
    const data = reparseDataOf(dentry)
    if (!data) return stream ? 'reparse data longer than Windows allows' : 'a reparse point without reparse data'
    const point = parseReparsePoint(dentry.reparseTag, data, path)
    if (point.target === '' || point.target.includes('\0') || /\p{Surrogate}/u.test(point.target)) {
      return `a link to ${JSON.stringify(point.target)}, which a tar cannot hold`
    }
    points.set(entry, point)
  }
  try {
    parseExtendedAttributes(dentry.extendedAttributes, path)
  } catch (error) {
    if (error instanceof StowageError && error.code === 'LAYER_UNSUPPORTED') return error.message
    throw error
  }
  return undefined
}

function ordered(
  entries: readonly Held[], points: ReadonlyMap<Dentry, ReparsePoint>, rankOf: (blob: number) => number,
): LayerEntry[] {
  const primaries = primaryNames(entries)
  const tree: LayerEntry[] = []
  const files: (Held & { readonly type: 'file'; readonly data: Stream | undefined })[] = []
  const links: LayerEntry[] = []
  for (const entry of entries) {
    const point = points.get(entry.dentry)
    const primary = primaries.get(linkKey(entry.dentry))
    if (point) tree.push({ ...entry, type: 'symlink', point })
    else if (isDirectory(entry.dentry)) tree.push({ ...entry, type: 'directory' })
    else if (primary !== undefined && primary !== entry) links.push({ ...entry, type: 'hard link', target: primary.path })
    else files.push({ ...entry, type: 'file', data: dataOf(entry.dentry) })
  }
  const rank = (stream: Stream | undefined): number => (stream?.blob === undefined ? -1 : rankOf(stream.blob))
  files.sort((a, b) => rank(a.data) - rank(b.data) || a.dentry.index - b.dentry.index)
  return [...tree, ...files, ...links]
}

/** Of each file with several names, the one that holds it: one the importer insists on, else the first. */
function primaryNames(entries: readonly Held[]): Map<string, Held> {
  const primaries = new Map<string, Held>()
  for (const entry of entries) {
    const key = linkKey(entry.dentry)
    if (key === '' || isDirectory(entry.dentry) || isReparsePoint(entry.dentry)) continue
    if (!primaries.has(key) || PRIMARY_NAMES.has(entry.path.toLowerCase())) primaries.set(key, entry)
  }
  return primaries
}

/**
 * What the names of one file have in common; empty for a file with one name. Microsoft's own images give the same number to
 * files that have nothing to do with each other, so the content belongs to it, as wimlib and DISM have it.
 */
function linkKey(dentry: Dentry): string {
  if (dentry.linkGroup === 0n) return ''
  const data = dataOf(dentry)
  return `${dentry.linkGroup} ${data?.sha1 ?? data?.blob ?? 'empty'}`
}

function dataOf(dentry: Dentry): Stream | undefined {
  return dentry.streams.find(stream => stream.type === 'data' && stream.name === '')
}

function isDirectory(dentry: Dentry): boolean {
  return (dentry.attributes & FILE_ATTRIBUTE_DIRECTORY) !== 0
}

function isReparsePoint(dentry: Dentry): boolean {
  return (dentry.attributes & FILE_ATTRIBUTE_REPARSE_POINT) !== 0
}
