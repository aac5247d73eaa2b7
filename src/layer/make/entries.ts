/**
 * Converts the dentries of an image to entries of a layer: checks and sorts them, and lists what a layer cannot hold
 * and why. Sources: hcsshim and go-winio's documented behavior, OCI image-spec layer.md.
 */
import { StowageError } from '../../errors.js'
import { type Dentry, type Stream } from '../../wim/dentry.js'
import { type ExtendedAttribute, parseExtendedAttributes } from '../../windows/extended-attributes.js'
import {
  FILE_ATTRIBUTE_DIRECTORY,
  FILE_ATTRIBUTE_ENCRYPTED,
  FILE_ATTRIBUTE_REPARSE_POINT,
} from '../../windows/file-attributes.js'
import {
  encodeReparseData,
  isLayerReparseTag,
  parseReparsePoint,
  type ReparsePoint,
} from '../../windows/reparse-point.js'
import { upcase } from '../../windows/upcase.js'
import { canonicalPlaces, LayerNames } from './names.js'
import { type Slices, sortInSlices } from './slices.js'
import { type LayerTree, missingBlob } from './wim-tree.js'

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
  /** Keep reparse points with any tag, as files and directories with their data. */
  readonly lossless: boolean
  readonly slices: Slices
}

interface EntryBase {
  readonly dentry: Dentry
  readonly extendedAttributes: readonly ExtendedAttribute[]
  /** Named streams, each a separate file after this entry. */
  readonly streams: readonly Stream[]
  /** Reparse data that cannot be reproduced byte for byte from the entry. */
  readonly reparseData: Buffer | undefined
}

/** An entry of the layer. */
export type LayerEntry =
  | (EntryBase & { readonly type: 'directory'; readonly data: undefined })
  | (EntryBase & { readonly type: 'file'; readonly data: Stream | undefined })
  | (EntryBase & { readonly type: 'symlink'; readonly data: undefined; readonly point: ReparsePoint })
  | (EntryBase & { readonly type: 'hard link'; readonly data: Stream | undefined; readonly target: Dentry })

/** The entries of one image, in the layer's order. */
export interface LayerEntries {
  readonly tree: LayerTree
  readonly names: LayerNames
  readonly entries: readonly LayerEntry[]
  /** Paths that a layer cannot hold, and everything below them, each with the reason. */
  readonly unsupported: readonly string[]
}

const NONE: readonly never[] = []

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
  let entries: LayerEntry[] = []
  for (const dentry of tree.dentries) {
    const found = omitted.has(dentry.parent ?? -1) ? 'below one of these' : entryOf(dentry, tree, names, options)
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
  return { tree, names, entries: await ordered(entries, names, options), unsupported }
}

/** The entry for the dentry, or the reason why a layer cannot hold it. */
function entryOf(
  dentry: Dentry,
  tree: LayerTree,
  names: LayerNames,
  { order, reparseDataOf, lossless }: LayerEntryOptions,
): LayerEntry | string {
  const path = (): string => names.pathOf(dentry)
  const { attributes, streams } = dentry
  const parent = dentry.parent === undefined ? undefined : tree.dentries[dentry.parent]
  if (parent && (isReparsePoint(parent) || !isDirectory(parent))) return 'below a link or a file'
  // On a directory, the attribute only means that new files in it are encrypted
  if ((attributes & FILE_ATTRIBUTE_ENCRYPTED) !== 0 && streams.some(stream => stream.type === 'encrypted'))
    return 'encrypted'
  let point: ReparsePoint | undefined
  let reparseData: Buffer | undefined
  if (isReparsePoint(dentry)) {
    const linked = isLayerReparseTag(dentry.reparseTag)
    if (!linked && !lossless) return `reparse tag 0x${dentry.reparseTag.toString(16).padStart(8, '0')}`
    const stream = streams.find(({ type }) => type === 'reparse')
    if (stream?.blob !== undefined && stream.blob < 0) throw missingBlob(path(), stream)
    reparseData = reparseDataOf(dentry)
    if (!reparseData && stream) return 'reparse data longer than Windows allows'
    if (!reparseData && linked) return 'a reparse point without reparse data'
    reparseData ??= Buffer.alloc(0)
    if (linked) {
      point = parseReparsePoint(dentry.reparseTag, reparseData, path())
      if (point.target === '' || point.target.includes('\0') || /\p{Surrogate}/u.test(point.target)) {
        return `a link to ${JSON.stringify(point.target)}, which a tar cannot hold`
      }
      if (encodeReparseData(point.target, point.mountPoint).equals(reparseData)) reparseData = undefined
    }
  }
  let extendedAttributes: readonly ExtendedAttribute[] = NONE
  try {
    if (dentry.extendedAttributes.length > 0)
      extendedAttributes = parseExtendedAttributes(dentry.extendedAttributes, path())
  } catch (error) {
    if (error instanceof StowageError && error.code === 'LAYER_UNSUPPORTED') return error.message
    throw error
  }
  let named: readonly Stream[] = streams.length > 0 ? streams.filter(stream => stream.name !== '') : NONE
  if (order === 'tree' && named.length > 1)
    named = [...named].sort((a, b) => (upcase(a.name) < upcase(b.name) ? -1 : 1))
  const base = { dentry, extendedAttributes, streams: named.length > 0 ? named : NONE, reparseData }
  if (point) return { ...base, type: 'symlink', data: undefined, point }
  if (isDirectory(dentry)) return { ...base, type: 'directory', data: undefined }
  return { ...base, type: 'file', data: streams.find(stream => stream.type === 'data' && stream.name === '') }
}

async function ordered(
  entries: readonly LayerEntry[],
  names: LayerNames,
  { order, rankOf, slices }: LayerEntryOptions,
): Promise<readonly LayerEntry[]> {
  const primaries = await primaryNames(entries, names, slices)
  const tree: LayerEntry[] = []
  let files: LayerEntry[] = []
  const links: LayerEntry[] = []
  for (const entry of entries) {
    const primary = entry.type === 'file' ? primaries.get(linkKey(entry)) : undefined
    if (entry.type !== 'file') tree.push(entry)
    else if (primary && primary !== entry) links.push({ ...entry, type: 'hard link', target: primary.dentry })
    else files.push(entry)
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
