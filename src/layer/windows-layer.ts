/**
 * The plan of a Windows layer: which entries its tar has, in which order, with which PAX records.
 * Sources: hcsshim and go-winio's documented behaviour (the tar form of Windows' backup streams), OCI image-spec layer.md.
 */
import { StowageError } from '../errors.js'
import { encodeEntry, padding, TAR_END, type TarEntry } from '../tar/header.js'
import {
  type Dentry, FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_ENCRYPTED, FILE_ATTRIBUTE_REPARSE_POINT, type Stream,
} from '../wim/dentry.js'
import { type ExtendedAttribute, parseExtendedAttributes } from './extended-attribute.js'
import { fitsUstarTime, paxTime, ustarTime } from './filetime.js'
import { isLayerReparseTag, type ReparsePoint } from './reparse-point.js'

/** One image of a WIM, with all that its entries need. */
export interface LayerTree {
  /** `Files` or `UtilityVM/Files`: where the image's root stands in the layer. */
  readonly root: string
  /** All dentries of the image, parents before children. */
  readonly dentries: readonly Dentry[]
  readonly security: readonly Buffer[]
}

/** What the plan needs to know of blobs. */
export interface BlobFacts {
  readonly sizes: Float64Array
  readonly ranks: Uint32Array
}

/** A reparse point's content; asked only for tags that a layer can hold. */
export type ReadReparsePoint = (tree: LayerTree, dentry: Dentry) => ReparsePoint

export interface LayerPlan {
  /** Blobs in the order in which the layer holds them. */
  readonly blobs: Uint32Array
  /** The tar, but for the blobs: one goes in at each cut, an offset into the segment's bytes. */
  segments(): Iterable<{ readonly bytes: Uint8Array; readonly cuts: Uint32Array }>
  readonly counts: LayerCounts
  /** Bytes of all contents, without headers. */
  readonly contentSize: number
}

export interface LayerCounts {
  readonly directories: number
  readonly files: number
  readonly hardLinks: number
  readonly symlinks: number
  /** Alternate data streams. */
  readonly streams: number
}

/** A name in the layer. */
interface Entry {
  readonly tree: LayerTree
  readonly dentry: Dentry
  readonly path: string
}

type PlannedEntry =
  | (Entry & { readonly type: 'directory' })
  | (Entry & { readonly type: 'file'; readonly data: Stream | undefined })
  | (Entry & { readonly type: 'symlink'; readonly point: ReparsePoint })
  | (Entry & { readonly type: 'hard link'; readonly target: string })

/** Segments handed over at a time, in bytes: a few thousand headers. */
const SEGMENT = 512 * 1024

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

/** How many paths an error names before it counts the rest. */
const NAMED = 10

/**
 * Plans the layer of `trees`. Order: in each tree directories and reparse points, parents first; then files in the order
 * their data stand in the WIM; then hard links. Alternate data streams follow their owner at once.
 * Throws LAYER_UNSUPPORTED listing the paths that a layer cannot hold (with `skipUnsupported`, they are left out and
 * named in `skipped`, but for names no Windows could have), and WIM_CORRUPT where the WIM lacks a blob.
 */
export function planWindowsLayer(
  trees: readonly LayerTree[], facts: BlobFacts, readReparsePoint: ReadReparsePoint,
  { skipUnsupported = false }: { readonly skipUnsupported?: boolean } = {},
): LayerPlan & { readonly skipped: readonly string[] } {
  const skipped: string[] = []
  const planned: PlannedEntry[] = []
  for (const tree of trees) {
    const entries = namedEntries(tree)
    checkNames(entries, tree)
    const { held, unsupported } = divide(entries)
    if (unsupported.length > 0 && !skipUnsupported) throw unsupportedError(unsupported)
    skipped.push(...unsupported)
    for (const entry of planTree(held, facts, readReparsePoint)) planned.push(entry)
  }
  const blobs: number[] = []
  let contentSize = 0
  let streams = 0
  for (const entry of planned) {
    for (const { stream } of contentsOf(entry)) {
      if (stream.name !== '') streams += 1
      if (stream.blob === undefined) continue
      if (stream.blob < 0) throw missingBlob(entry.path, stream)
      blobs.push(stream.blob)
      contentSize += facts.sizes[stream.blob] ?? 0
    }
  }
  const count = (type: PlannedEntry['type']): number => planned.filter(entry => entry.type === type).length
  const counts = {
    directories: count('directory') + extraRoots(trees).length, files: count('file'), hardLinks: count('hard link'),
    symlinks: count('symlink'), streams,
  }
  return {
    blobs: Uint32Array.from(blobs), segments: () => segments(trees, planned, facts), counts, contentSize, skipped,
  }
}

function namedEntries(tree: LayerTree): Entry[] {
  const paths: string[] = []
  return tree.dentries.map(dentry => {
    const parent = dentry.parent === undefined ? undefined : paths[dentry.parent]
    const path = parent === undefined ? tree.root : `${parent}/${dentry.name}`
    const spelled = SPELLINGS.get(path.toLowerCase()) ?? path
    paths.push(spelled)
    return { tree, dentry, path: spelled }
  })
}

/** Names that no Windows file system can hold, or that a tar cannot, or that two files share. */
function checkNames(entries: readonly Entry[], tree: LayerTree): void {
  const wrong: string[] = []
  const seen = new Map<string, string>()
  for (const { dentry, path } of entries) {
    const name = dentry.name
    if (dentry.parent !== undefined && (name === '' || name === '.' || name === '..' || /[\0/\\:]/.test(name))) {
      wrong.push(`${JSON.stringify(path)} (not a name)`)
    } else if (/\p{Surrogate}/u.test(name)) {
      wrong.push(`${JSON.stringify(path)} (half a surrogate pair, which UTF-8 cannot hold)`)
    }
    const other = seen.get(upcase(path))
    if (other !== undefined) wrong.push(`${JSON.stringify(path)} and ${JSON.stringify(other)} (one name to Windows)`)
    seen.set(upcase(path), path)
    for (const stream of dentry.streams) {
      if (/[\0/\\:]/.test(stream.name) || /\p{Surrogate}/u.test(stream.name)) {
        wrong.push(`${JSON.stringify(`${path}:${stream.name}`)} (not a stream name)`)
      }
    }
  }
  if (wrong.length === 0) return
  throw new StowageError('LAYER_UNSUPPORTED', `a layer cannot hold these names of ${tree.root}: ${list(wrong)}`, {
    hint: 'Rename or remove them in the WIM, for example with wimlib-imagex update.',
  })
}

/** NTFS's own comparison, near enough: each UTF-16 unit in upper case, if that is one unit. */
function upcase(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is meant
  if (/^[\x00-\x7f]*$/.test(text)) return text.toUpperCase()
  return Array.from(text, unit => (unit.toUpperCase().length === unit.length ? unit.toUpperCase() : unit)).join('')
}

/** Separates what the layer format has no place for, with all that stands below it. */
function divide(entries: readonly Entry[]): { held: Entry[]; unsupported: string[] } {
  const held: Entry[] = []
  const unsupported: string[] = []
  const gone = new Set<number>()
  for (const entry of entries) {
    const { attributes, reparseTag, parent, index } = entry.dentry
    const reparse = (attributes & FILE_ATTRIBUTE_REPARSE_POINT) !== 0
    const below = parent !== undefined && gone.has(parent)
    if ((attributes & FILE_ATTRIBUTE_ENCRYPTED) !== 0 && isEncrypted(entry.dentry)) {
      unsupported.push(`${entry.path} (encrypted)`)
    } else if (reparse && !isLayerReparseTag(reparseTag)) {
      unsupported.push(`${entry.path} (reparse tag 0x${reparseTag.toString(16).padStart(8, '0')})`)
    } else if (below) {
      unsupported.push(`${entry.path} (below one of these)`)
    } else {
      held.push(entry)
      continue
    }
    gone.add(index)
  }
  return { held, unsupported }
}

/** A directory's attribute only says that new files are encrypted: it has no content of its own. */
function isEncrypted(dentry: Dentry): boolean {
  return dentry.streams.some(stream => stream.type === 'encrypted')
}

function planTree(entries: readonly Entry[], facts: BlobFacts, readReparsePoint: ReadReparsePoint): PlannedEntry[] {
  const primaries = primaryNames(entries)
  const tree: PlannedEntry[] = []
  const files: (Entry & { readonly type: 'file'; readonly data: Stream | undefined })[] = []
  const links: PlannedEntry[] = []
  for (const entry of entries) {
    const { attributes, linkGroup } = entry.dentry
    const primary = linkGroup === 0n ? undefined : primaries.get(linkGroup)
    if ((attributes & FILE_ATTRIBUTE_REPARSE_POINT) !== 0) {
      tree.push({ ...entry, type: 'symlink', point: readReparsePoint(entry.tree, entry.dentry) })
    } else if ((attributes & FILE_ATTRIBUTE_DIRECTORY) !== 0) {
      tree.push({ ...entry, type: 'directory' })
    } else if (primary !== undefined && primary !== entry) {
      links.push({ ...entry, type: 'hard link', target: primary.path })
    } else {
      files.push({ ...entry, type: 'file', data: entry.dentry.streams.find(stream => isUnnamedData(stream)) })
    }
  }
  const rank = (stream: Stream | undefined): number => (stream?.blob === undefined ? -1 : (facts.ranks[stream.blob] ?? -1))
  files.sort((a, b) => rank(a.data) - rank(b.data) || a.dentry.index - b.dentry.index)
  return [...tree, ...files, ...links]
}

/** Of each group of hard links, the name that holds the file: one the importer insists on, else the first. */
function primaryNames(entries: readonly Entry[]): Map<bigint, Entry> {
  const primaries = new Map<bigint, Entry>()
  for (const entry of entries) {
    const { linkGroup, attributes } = entry.dentry
    if (linkGroup === 0n || (attributes & (FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_REPARSE_POINT)) !== 0) continue
    if (!primaries.has(linkGroup) || PRIMARY_NAMES.has(entry.path.toLowerCase())) primaries.set(linkGroup, entry)
  }
  return primaries
}

function isUnnamedData(stream: Stream): boolean {
  return stream.type === 'data' && stream.name === ''
}

/** The tar entries of one planned entry, each with the stream that is its content: itself, then its named streams. */
function* contentsOf(entry: PlannedEntry): Iterable<{ readonly suffix: string; readonly stream: Stream }> {
  if (entry.type === 'hard link') return
  if (entry.type === 'file' && entry.data) yield { suffix: '', stream: entry.data }
  for (const stream of entry.dentry.streams) {
    if (stream.name !== '') yield { suffix: `:${stream.name}`, stream }
  }
}

/** `UtilityVM` itself stands in no image, so its entry is made here, with the times of the image's root. */
function extraRoots(trees: readonly LayerTree[]): TarEntry[] {
  return trees.filter(tree => tree.root.includes('/')).map(tree => {
    const time = tree.dentries[0]?.writeTime ?? 0n
    const records = { 'MSWINDOWS.fileattr': String(FILE_ATTRIBUTE_DIRECTORY), ...times(time, time, time) }
    return { name: tree.root.slice(0, tree.root.indexOf('/')), flag: '5', mode: 0o755, size: 0, mtime: ustarTime(time), records }
  })
}

function* segments(trees: readonly LayerTree[], planned: readonly PlannedEntry[], facts: BlobFacts): ReturnType<LayerPlan['segments']> {
  const extra = new Map(trees.map((tree, n) => [tree, extraRoots([tree])[0], n] as const).map(([tree, root]) => [tree, root]))
  const security = new Map<LayerTree, string[]>(trees.map(tree => [tree, tree.security.map(sd => sd.toString('base64'))]))
  let pieces: Uint8Array[] = []
  let cuts: number[] = []
  let size = 0
  function add(bytes: Uint8Array): void {
    pieces.push(bytes)
    size += bytes.length
  }
  function addContent(blob: number | undefined): void {
    if (blob === undefined) return
    cuts.push(size)
    add(padding(facts.sizes[blob] ?? 0))
  }
  for (const entry of planned) {
    const root = extra.get(entry.tree)
    if (root) {
      add(encodeEntry(root))
      extra.delete(entry.tree)
    }
    const data = entry.type === 'file' ? entry.data : undefined
    add(encodeEntry(tarEntry(entry, security.get(entry.tree) ?? [], sizeOf(data, facts))))
    addContent(data?.blob)
    for (const { suffix, stream } of contentsOf(entry)) {
      if (suffix === '') continue
      add(encodeEntry(streamEntry(entry, suffix, sizeOf(stream, facts))))
      addContent(stream.blob)
    }
    if (size < SEGMENT) continue
    yield { bytes: Buffer.concat(pieces, size), cuts: Uint32Array.from(cuts) }
    pieces = []
    cuts = []
    size = 0
  }
  add(TAR_END)
  yield { bytes: Buffer.concat(pieces, size), cuts: Uint32Array.from(cuts) }
}

function sizeOf(stream: Stream | undefined, facts: BlobFacts): number {
  return stream?.blob === undefined ? 0 : (facts.sizes[stream.blob] ?? 0)
}

/** Permission bits mean nothing to Windows: these let a person read what GNU tar extracts. */
const FLAGS = {
  directory: { flag: '5', mode: 0o755 },
  file: { flag: '0', mode: 0o644 },
  symlink: { flag: '2', mode: 0o777 },
  'hard link': { flag: '1', mode: 0o644 },
} as const

function tarEntry(entry: PlannedEntry, security: readonly string[], size: number): TarEntry {
  const { dentry, type } = entry
  const records: Record<string, string> = {
    'MSWINDOWS.fileattr': String(dentry.attributes),
    ...times(dentry.creationTime, dentry.accessTime, dentry.writeTime),
  }
  const descriptor = dentry.security < 0 ? undefined : security[dentry.security]
  if (type !== 'hard link') {
    if (descriptor) records['MSWINDOWS.rawsd'] = descriptor
    for (const { name, value } of attributesOf(entry)) records[`MSWINDOWS.xattr.${name}`] = value.toString('base64')
  }
  if (type === 'symlink' && entry.point.mountPoint) records['MSWINDOWS.mountpoint'] = '1'
  const linkname = type === 'symlink' ? entry.point.target : type === 'hard link' ? entry.target : ''
  return { name: entry.path, ...FLAGS[type], size, mtime: ustarTime(dentry.writeTime), linkname, records }
}

function streamEntry(entry: PlannedEntry, suffix: string, size: number): TarEntry {
  const { creationTime, accessTime, writeTime } = entry.dentry
  const records = times(creationTime, accessTime, writeTime)
  return { name: `${entry.path}${suffix}`, ...FLAGS.file, size, mtime: ustarTime(writeTime), records }
}

function times(creation: bigint, access: bigint, write: bigint): Record<string, string> {
  return {
    'LIBARCHIVE.creationtime': paxTime(creation),
    atime: paxTime(access),
    ...(fitsUstarTime(write) ? {} : { mtime: paxTime(write) }),
  }
}

function attributesOf(entry: PlannedEntry): readonly ExtendedAttribute[] {
  return parseExtendedAttributes(entry.dentry.extendedAttributes, entry.path)
}

function list(items: readonly string[]): string {
  const rest = items.length - NAMED
  return items.slice(0, NAMED).join(', ') + (rest > 0 ? ` and ${rest} more` : '')
}

function unsupportedError(paths: readonly string[]): StowageError {
  return new StowageError('LAYER_UNSUPPORTED', `a Windows layer cannot hold ${list(paths)}`, {
    hint: 'Leave them out with --skip-unsupported, if the image can do without.',
  })
}

function missingBlob(path: string, stream: Stream): StowageError {
  return new StowageError('WIM_CORRUPT', `the WIM does not hold the content of ${path} (SHA-1 ${stream.sha1})`, {
    hint: 'It may be a delta WIM, which needs its base; or a part of a split WIM is not beside it.',
  })
}
