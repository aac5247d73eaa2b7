/**
 * Converts the dentries of an image to entries of a layer: checks and sorts them, and lists what a layer cannot hold
 * and why. Sources: hcsshim and go-winio's documented behavior, OCI image-spec layer.md.
 */
import { StowageError } from '../../errors.js'
import { type Dentry, type Stream } from '../../wim/dentry.js'
import type { ExtendedAttribute } from '../../windows/extended-attributes.js'
import {
  FILE_ATTRIBUTE_DIRECTORY,
  FILE_ATTRIBUTE_ENCRYPTED,
  FILE_ATTRIBUTE_REPARSE_POINT,
} from '../../windows/file-attributes.js'
import { NAMES_LIMIT } from '../../windows/ntfs-limits.js'
import type { ReparsePoint } from '../../windows/reparse-point.js'
import { upcase } from '../../windows/upcase.js'
import { acceptedAttributes, acceptedLink, hasOddTimes, hostAttributes, securityFlaws } from './host-rules.js'
import { canonicalPlaces, LayerNames } from './names.js'
import { type Slices, sortInSlices } from './slices.js'
import type { LayerTree } from './wim-tree.js'

/**
 * `blob`: files in the order of their blobs in the WIM, which is the fastest to read. `tree`: in the order of the tree,
 * so that any WIM of the same files gives the same layer.
 */
export type LayerOrder = 'blob' | 'tree'

export interface LayerEntryOptions {
  readonly order: LayerOrder
  /** The position of a blob among those of the WIM. */
  readonly rankOf: (blob: number) => number
  /** The data of a reparse point; undefined if the WIM has none, or more than Windows allows. */
  readonly reparseDataOf: (dentry: Dentry) => Buffer | undefined
  /** Keep reparse points with any tag, as files and directories with their data, and whatever else a host refuses. */
  readonly lossless: boolean
  /** Whether the drives of absolute links are the image's own, unless their flags have NOT_FIXED: RP_FIX. */
  readonly rpfix: boolean
  readonly slices: Slices
}

interface EntryBase {
  readonly dentry: Dentry
  /** The attributes of the dentry, but for those that a host would refuse. */
  readonly attributes: number
  /** Whether it has a time that a host cannot read from a layer, or that is not set. */
  readonly oddTimes: boolean
  readonly extendedAttributes: readonly ExtendedAttribute[]
  /** Why a host would refuse its security descriptor or extended attributes, which it is then without. */
  readonly refused: Refused
  /** Named streams, each a separate file after this entry. */
  readonly streams: readonly Stream[]
  /** Reparse data that cannot be reproduced byte for byte from the entry. */
  readonly reparseData: Buffer | undefined
}

/** What is kept from a host. */
export interface Refused {
  readonly security: boolean
  readonly extendedAttributes: boolean
}

/** An entry of the layer. */
export type LayerEntry =
  | (EntryBase & FileOrDirectory)
  | (EntryBase & { readonly type: 'symlink'; readonly data: undefined } & LinkTarget)
  | (EntryBase & { readonly type: 'hard link'; readonly data: Stream | undefined; readonly target: Dentry })

interface FileOrDirectory {
  readonly type: 'file' | 'directory'
  /** Of a directory always undefined. */
  readonly data: Stream | undefined
  /** Whether it is another name of a file in the WIM, but a file of its own in the layer. */
  readonly copied?: boolean
}

interface LinkTarget {
  readonly point: ReparsePoint
  /** Whether the drive in the target is the image's own; `moved` if it therefore becomes another one. */
  readonly fixup: 'none' | 'kept' | 'moved'
}

/** The entries of one image, in the layer's order. */
export interface LayerEntries {
  readonly tree: LayerTree
  readonly names: LayerNames
  readonly entries: readonly LayerEntry[]
  /** Paths that a layer cannot hold, and everything below them, each with the reason. */
  readonly unsupported: readonly string[]
}

const NONE: readonly never[] = []
const NONE_REFUSED: Refused = { security: false, extendedAttributes: false }

/**
 * The entries of `tree`: directories and reparse points, parents first; then files; then hard links. Throws
 * LAYER_UNSUPPORTED for names that no layer can hold, WIM_CORRUPT if the WIM is inconsistent.
 */
export async function layerEntries(tree: LayerTree, options: LayerEntryOptions): Promise<LayerEntries> {
  const { order, slices } = options
  const root = tree.dentries[0]
  if (root && (!isDirectory(root) || isReparsePoint(root))) {
    throw new StowageError('WIM_CORRUPT', `the root of the image that becomes ${tree.root} is not a directory`)
  }
  const names = await LayerNames.of(tree, slices)
  const unsupported: string[] = []
  const omitted = new Set<number>()
  const making = { ...options, flaws: securityFlaws(tree) }
  let entries: LayerEntry[] = []
  for (const dentry of tree.dentries) {
    const found = omitted.has(dentry.parent ?? -1) ? 'below one of these' : entryOf(dentry, tree, names, making)
    if (typeof found !== 'string') {
      entries.push(found)
    } else {
      unsupported.push(`${names.pathOf(dentry)} (${found})`)
      omitted.add(dentry.index)
    }
    if (slices.due()) await slices.rest()
  }
  if (order === 'tree') {
    const places = await canonicalPlaces(tree.dentries, slices)
    const place = (entry: LayerEntry): number => places[entry.dentry.index] ?? 0
    entries = await sortInSlices(entries, (a, b) => place(a) - place(b), slices)
  }
  return { tree, names, entries: await ordered(entries, names, unsupported, options), unsupported }
}

/** The entry for the dentry, or the reason why a layer cannot hold it. */
function entryOf(
  dentry: Dentry,
  tree: LayerTree,
  names: LayerNames,
  options: LayerEntryOptions & { readonly flaws: readonly (string | undefined)[] },
): LayerEntry | string {
  const { order, lossless, flaws } = options
  const path = (): string => names.pathOf(dentry)
  const { streams } = dentry
  const parent = dentry.parent === undefined ? undefined : tree.dentries[dentry.parent]
  if (parent && (isReparsePoint(parent) || !isDirectory(parent))) return 'below a link or a file'
  // On a directory, the attribute only means that new files in it are encrypted
  if ((dentry.attributes & FILE_ATTRIBUTE_ENCRYPTED) !== 0 && streams.some(stream => stream.type === 'encrypted'))
    return 'encrypted'
  if (isReparsePoint(dentry) && names.isPrimary(dentry)) return 'a link, where a host needs the file itself'
  const link = isReparsePoint(dentry) ? acceptedLink(dentry, path, options) : undefined
  if (typeof link === 'string') return link
  const flaw = dentry.security < 0 ? undefined : flaws[dentry.security]
  if (flaw !== undefined && !lossless) return `a security descriptor that is not valid: ${flaw}`
  const extended = acceptedAttributes(dentry.extendedAttributes, path, lossless)
  if (typeof extended === 'string') return extended
  let named: readonly Stream[] = streams.length > 0 ? streams.filter(stream => stream.name !== '') : NONE
  if (order === 'tree' && named.length > 1)
    named = [...named].sort((a, b) => (upcase(a.name) < upcase(b.name) ? -1 : 1))
  // Made at once, without copies, because there may be a million of them
  const entry: EntryBase & FileOrDirectory = {
    type: isDirectory(dentry) ? 'directory' : 'file',
    dentry,
    attributes: hostAttributes(dentry, link?.point),
    oddTimes: hasOddTimes(dentry),
    extendedAttributes: extended.accepted,
    refused:
      flaw === undefined && !extended.refused
        ? NONE_REFUSED
        : { security: flaw !== undefined, extendedAttributes: extended.refused },
    streams: named.length > 0 ? named : NONE,
    reparseData: link?.reparseData,
    data: isDirectory(dentry) ? undefined : streams.find(isContent),
  }
  if (!link?.point) return entry
  return { ...entry, type: 'symlink', data: undefined, point: link.point, fixup: link.fixup }
}

function isContent({ type, name }: Stream): boolean {
  return type === 'data' && name === ''
}

/** Sorts the entries by kind. Names of a file beyond those that Windows allows are added to `unsupported`. */
async function ordered(
  entries: readonly LayerEntry[],
  names: LayerNames,
  unsupported: string[],
  { order, rankOf, slices }: LayerEntryOptions,
): Promise<readonly LayerEntry[]> {
  const primaries = await primaryNames(entries, names, slices)
  const tree: LayerEntry[] = []
  let files: LayerEntry[] = []
  const links: LayerEntry[] = []
  const linked = new Map<LayerEntry, number>()
  for (const entry of entries) {
    const primary = entry.type === 'file' ? primaries.get(linkKey(entry)) : undefined
    if (entry.type !== 'file') tree.push(entry)
    else if (!primary || primary === entry) files.push(entry)
    else if (names.isPrimary(entry.dentry)) files.push({ ...entry, copied: true })
    else {
      const count = 1 + (linked.get(primary) ?? 1)
      linked.set(primary, count)
      if (count <= NAMES_LIMIT) links.push({ ...entry, type: 'hard link', target: primary.dentry })
      else unsupported.push(`${names.pathOf(entry.dentry)} (name ${count} of one file; Windows allows ${NAMES_LIMIT})`)
    }
    if (slices.due()) await slices.rest()
  }
  if (order === 'blob') {
    const rank = ({ data }: LayerEntry): number => (data?.blob === undefined ? -1 : rankOf(data.blob))
    files = await sortInSlices(files, (a, b) => rank(a) - rank(b) || a.dentry.index - b.dentry.index, slices)
  }
  return [...tree, ...files, ...links]
}

/**
 * For each file with several names, the entry that is the file itself: one that the importer requires, else the first.
 */
async function primaryNames(
  entries: readonly LayerEntry[],
  names: LayerNames,
  slices: Slices,
): Promise<Map<string, LayerEntry>> {
  const primaries = new Map<string, LayerEntry>()
  for (const entry of entries) {
    const key = entry.type === 'file' ? linkKey(entry) : ''
    if (key === '') continue
    const other = primaries.get(key)
    if (!other || (names.isPrimary(entry.dentry) && !names.isPrimary(other.dentry))) primaries.set(key, entry)
    if (slices.due()) await slices.rest()
  }
  return primaries
}

/**
 * A key that all names of one file share; empty for a file with one name. It includes the content, as in wimlib and
 * DISM, because Microsoft's images use the same link group for unrelated files.
 */
function linkKey({ dentry: { linkGroup }, data }: LayerEntry): string {
  return linkGroup === 0n ? '' : `${linkGroup} ${data?.sha1 ?? data?.blob ?? 'empty'}`
}

function isDirectory(dentry: Dentry): boolean {
  return (dentry.attributes & FILE_ATTRIBUTE_DIRECTORY) !== 0
}

function isReparsePoint(dentry: Dentry): boolean {
  return (dentry.attributes & FILE_ATTRIBUTE_REPARSE_POINT) !== 0
}
