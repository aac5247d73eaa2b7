/**
 * Plans a plain Linux layer from an image that wimlib captured with Unix data: owners, modes, devices, extended
 * attributes and the original targets of links. Sources: wimlib's documentation of `--unix-data`; OCI image-spec
 * layer.md.
 */
import { StowageError } from '../../errors.js'
import { type Dentry, type Stream } from '../../wim/dentry.js'
import { type ExtendedAttribute, parseUnixAttributes } from '../../windows/extended-attributes.js'
import { FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_REPARSE_POINT } from '../../windows/file-attributes.js'
import { FILETIME_NANOSECONDS, UNIX_EPOCH } from '../../windows/filetime.js'
import { isLayerReparseTag, parseUnixLink } from '../../windows/reparse-point.js'
import { NOTHING_LOST, NOTHING_MENDED } from './lossless.js'
import { canonicalPlaces, listed } from './names.js'
import { BlobPlan, type LayerPlan, type LayerPlanOptions } from './plan.js'
import { type LayerSegment, SegmentBuilder } from './segments.js'
import { sortInSlices } from './slices.js'
import { encodeUnixEntry, type UnixEntry } from './unix-entry.js'
import { type BlobFacts, type LayerTree, missingBlob } from './wim-tree.js'

interface PlannedFile {
  readonly dentry: Dentry
  readonly type: UnixEntry['type']
  readonly data: Stream | undefined
  /** The target of a symbolic link. */
  readonly target: string | undefined
  readonly attributes: readonly ExtendedAttribute[]
  /** For a hard link, the dentry whose entry is the file itself. */
  readonly primary: Dentry | undefined
}

const NONE: readonly never[] = []
const FORMATS: Readonly<Record<number, UnixEntry['type']>> = {
  0o010000: 'fifo',
  0o020000: 'character device',
  0o040000: 'directory',
  0o060000: 'block device',
  0o100000: 'file',
  0o120000: 'symlink',
}

/**
 * Plans the layer of one image, with its root as `./`: directories, links and devices first, then files, then hard
 * links. A dentry without Unix data belongs to root and gets the usual permissions. Throws LAYER_UNSUPPORTED and
 * WIM_CORRUPT.
 */
export async function planUnixLayer(
  tree: LayerTree,
  facts: BlobFacts,
  { skipUnsupported, order, reparseDataOf, slices }: LayerPlanOptions,
): Promise<LayerPlan> {
  const paths = await unixPaths(tree, slices)
  const omitted = new Set<number>()
  const skipped: string[] = []
  let kept: PlannedFile[] = []
  let withoutUnixData = 0
  for (const dentry of tree.dentries) {
    const found = omitted.has(dentry.parent ?? -1)
      ? 'below one of these'
      : plannedFile(dentry, paths.of(dentry), reparseDataOf)
    if (typeof found === 'string') {
      omitted.add(dentry.index)
      skipped.push(`${paths.of(dentry)} (${found})`)
    } else {
      kept.push(found)
      if (dentry.unixData.length < UNIX_DATA) withoutUnixData += 1
      for (const { name } of dentry.streams)
        if (name !== '') skipped.push(`${paths.of(dentry)}:${name} (an alternate data stream)`)
    }
    if (slices.due()) await slices.rest()
  }
  if (skipped.length > 0 && !skipUnsupported) {
    throw new StowageError('LAYER_UNSUPPORTED', `a Linux layer cannot hold ${listed(skipped)}`, {
      hint: 'Skip them with --skip-unsupported, which lists all of them, if the image does not need them.',
    })
  }
  if (order === 'tree') {
    const places = await canonicalPlaces(tree.dentries, slices)
    kept = await sortInSlices(kept, (a, b) => (places[a.dentry.index] ?? 0) - (places[b.dentry.index] ?? 0), slices)
  }
  const { others, links, files: grouped } = await groupLinks(kept, slices)
  let files = grouped
  if (order === 'blob') {
    const rank = ({ data }: PlannedFile): number => (data?.blob === undefined ? -1 : (facts.ranks[data.blob] ?? 0))
    files = await sortInSlices(files, (a, b) => rank(a) - rank(b) || a.dentry.index - b.dentry.index, slices)
  }
  const planned = [...others, ...files, ...links]
  const blobs = new BlobPlan(facts)
  const count = (type: UnixEntry['type']): number =>
    planned.reduce((sum, entry) => sum + (entry.type === type ? 1 : 0), 0)
  for (const { data, dentry } of files) if (data) blobs.add(data, () => paths.of(dentry))
  return {
    blobs: blobs.list(),
    segments: () => segments(planned, paths, facts),
    counts: {
      directories: count('directory'),
      files: files.length,
      hardLinks: links.length,
      symlinks: count('symlink'),
      streams: 0,
    },
    contentSize: blobs.size,
    skipped,
    lost: NOTHING_LOST,
    mended: NOTHING_MENDED,
    missing: [],
    withoutUnixData,
  }
}

/** Separates files, other entries, and further names of the same file as hard links. */
async function groupLinks(
  entries: readonly PlannedFile[],
  slices: LayerPlanOptions['slices'],
): Promise<{ readonly files: PlannedFile[]; readonly others: PlannedFile[]; readonly links: PlannedFile[] }> {
  const [files, others, links]: [PlannedFile[], PlannedFile[], PlannedFile[]] = [[], [], []]
  const primaries = new Map<string, Dentry>()
  for (const entry of entries) {
    const { linkGroup } = entry.dentry
    const key =
      linkGroup === 0n || entry.type === 'directory'
        ? ''
        : `${linkGroup} ${entry.type} ${entry.data?.sha1 ?? entry.data?.blob ?? ''}`
    const primary = key === '' ? undefined : primaries.get(key)
    if (primary) links.push({ ...entry, type: 'hard link', primary })
    else (entry.type === 'file' ? files : others).push(entry)
    if (key !== '' && !primary) primaries.set(key, entry.dentry)
    if (slices.due()) await slices.rest()
  }
  return { files, others, links }
}

interface Paths {
  of(dentry: Dentry): string
}

/** The paths of the tree. Throws LAYER_UNSUPPORTED for invalid names, although Linux allows almost any. */
async function unixPaths(tree: LayerTree, slices: LayerPlanOptions['slices']): Promise<Paths> {
  const directories = new Map<number, string>()
  const of = ({ index, parent, name }: Dentry): string => {
    const known = directories.get(index)
    if (known !== undefined) return known
    if (parent === undefined) return '.'
    const above = directories.get(parent) ?? '.'
    return above === '.' ? name : `${above}/${name}`
  }
  const wrong: string[] = []
  let [directory, siblings]: [number | undefined, Set<string>] = [undefined, new Set()]
  for (const dentry of tree.dentries) {
    const { name, parent, attributes } = dentry
    if ((attributes & FILE_ATTRIBUTE_DIRECTORY) !== 0) directories.set(dentry.index, of(dentry))
    if (slices.due()) await slices.rest()
    if (parent === undefined) continue
    if (parent !== directory) [directory, siblings] = [parent, new Set()]
    const flaw = siblings.has(name) ? 'occurs twice' : flawOf(name)
    siblings.add(name)
    if (flaw) wrong.push(`${JSON.stringify(of(dentry))} (${flaw})`)
  }
  if (wrong.length === 0) return { of }
  throw new StowageError('LAYER_UNSUPPORTED', `a Linux layer cannot hold these names: ${listed(wrong)}`, {
    hint: 'Rename or remove them in the WIM, for example with stowage wim update.',
  })
}

function flawOf(name: string): string | undefined {
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) return 'not a valid name on Linux'
  if (name.startsWith('.wh.')) return 'marks a deleted file in a layer'
  return /\p{Surrogate}/u.test(name) ? 'has an unpaired surrogate, which UTF-8 cannot hold' : undefined
}

const UNIX_DATA = 16

/** The file for the dentry, or the reason why the layer cannot hold it. */
function plannedFile(
  dentry: Dentry,
  path: string,
  reparseDataOf: LayerPlanOptions['reparseDataOf'],
): PlannedFile | string {
  const { attributes, reparseTag, streams } = dentry
  const reparse = (attributes & FILE_ATTRIBUTE_REPARSE_POINT) !== 0
  const format = dentry.unixData.length < UNIX_DATA ? undefined : dentry.unixData.readUInt32LE(8) & 0o170000
  if (format === 0o140000) return 'a socket'
  if (streams.some(stream => stream.type === 'encrypted')) return 'encrypted'
  const plain = reparse ? 'symlink' : (attributes & FILE_ATTRIBUTE_DIRECTORY) !== 0 ? 'directory' : 'file'
  const type = format === undefined || reparse || plain === 'directory' ? plain : FORMATS[format]
  if (type === undefined || (type === 'symlink') !== reparse || (type === 'directory') !== (plain === 'directory')) {
    return 'its mode is that of another type of file'
  }
  let target: string | undefined
  if (reparse) {
    if (!isLayerReparseTag(reparseTag)) return `reparse tag 0x${reparseTag.toString(16).padStart(8, '0')}`
    const stream = streams.find(candidate => candidate.type === 'reparse')
    if (stream?.blob !== undefined && stream.blob < 0) throw missingBlob(path, stream)
    const data = reparseDataOf(dentry)
    if (!data) return 'a link without reparse data'
    target = parseUnixLink(reparseTag, data, path)
    if (target === '' || /\0|\p{Surrogate}/u.test(target))
      return `a link to ${JSON.stringify(target)}, which a tar cannot hold`
  }
  let packed: readonly ExtendedAttribute[] = NONE
  try {
    if (dentry.extendedAttributes.length > 0) packed = parseUnixAttributes(dentry.extendedAttributes, path)
  } catch (error) {
    if (error instanceof StowageError && error.code === 'LAYER_UNSUPPORTED') return error.message
    throw error
  }
  const data = type === 'file' ? streams.find(stream => stream.type === 'data' && stream.name === '') : undefined
  return { dentry, type, data, target, attributes: packed, primary: undefined }
}

function* segments(planned: readonly PlannedFile[], paths: Paths, facts: BlobFacts): Iterable<LayerSegment> {
  const builder = new SegmentBuilder()
  for (const entry of planned) {
    const blob = entry.type === 'file' ? entry.data?.blob : undefined
    const content = blob === undefined ? 0 : (facts.sizes[blob] ?? 0)
    builder.add(encodeUnixEntry(unixEntry(entry, paths, content)))
    if (blob !== undefined) builder.addBlob(content)
    yield* builder.full()
  }
  yield builder.end()
}

function unixEntry({ dentry, type, target, attributes, primary }: PlannedFile, paths: Paths, size: number): UnixEntry {
  const packed = dentry.unixData
  const known = packed.length >= UNIX_DATA
  const usual = type === 'symlink' ? 0o777 : type === 'directory' ? 0o755 : 0o644
  const rdev = known ? packed.readUInt32LE(12) : 0
  const device = type === 'character device' || type === 'block device'
  return {
    path: paths.of(dentry),
    type,
    mode: known ? packed.readUInt32LE(8) : usual,
    uid: known ? packed.readUInt32LE(0) : 0,
    gid: known ? packed.readUInt32LE(4) : 0,
    mtime: (dentry.writeTime - UNIX_EPOCH) * FILETIME_NANOSECONDS,
    atime: (dentry.accessTime - UNIX_EPOCH) * FILETIME_NANOSECONDS,
    size,
    target: primary ? paths.of(primary) : target,
    // A 32-bit dev_t of Linux: the minor number is in the lowest 8 and the highest 12 bits, the major number between
    device: device ? { major: (rdev >>> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00) } : undefined,
    attributes: primary ? NONE : attributes,
  }
}
