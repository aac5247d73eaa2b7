/**
 * Plans a Windows layer: its entries as the bytes of a tar, without the contents of files. Sources: hcsshim and
 * go-winio's documented behavior (the tar form of Windows' backup streams), OCI image-spec layer.md.
 */
import { StowageError } from '../../errors.js'
import { encodeEntry, type TarEntry } from '../../tar/header.js'
import { type Dentry, type Stream } from '../../wim/dentry.js'
import { FILE_ATTRIBUTE_DIRECTORY } from '../../windows/file-attributes.js'
import { fitsUstarTime, hostTime, paxTime, UNIX_EPOCH, ustarTime } from '../../windows/filetime.js'
import { BOOT_CONFIGURATION, HIVES } from '../../windows/layer-paths.js'
import { layerEntries, type LayerEntries, type LayerEntry } from './entries.js'
import { losslessRecords, LossCount, shownAttributes } from './lossless.js'
import { listed } from './names.js'
import { BlobPlan, type LayerPlan, type LayerPlanOptions } from './plan.js'
import { type LayerSegment, SegmentBuilder } from './segments.js'
import type { Slices } from './slices.js'
import type { BlobFacts, LayerTree } from './wim-tree.js'

/** The plan of a Windows layer, with its entries. */
export interface WindowsLayerPlan extends LayerPlan {
  /** The entries, in the order of the layer. */
  entries(): Iterable<PlannedEntry>
  /** The plan without the entries whose paths `keeps` refuses. A hard link must not lose the file that it names. */
  only(keeps: (path: string) => boolean): Promise<WindowsLayerPlan>
}

/** An entry of the layer, and the stream in the WIM with its content, if it has any. */
export interface PlannedEntry {
  readonly entry: TarEntry
  readonly content: Stream | undefined
}

/**
 * Plans the layer of `trees`, one after another, each in the order of {@link layerEntries}; alternate data streams
 * directly follow their file. Throws LAYER_UNSUPPORTED listing the paths that a layer cannot hold (with
 * `skipUnsupported`, only for invalid names; other paths go to `skipped`), and WIM_CORRUPT if the WIM lacks a blob.
 */
export async function planWindowsLayer(
  trees: readonly LayerTree[],
  facts: BlobFacts,
  options: LayerPlanOptions,
): Promise<WindowsLayerPlan> {
  const { skipUnsupported } = options
  const skipped: string[] = []
  const planned: LayerEntries[] = []
  for (const tree of trees) {
    const found = await layerEntries(tree, { ...options, rankOf: blob => facts.ranks[blob] ?? 0 })
    for (const path of found.unsupported) skipped.push(path)
    planned.push(found)
  }
  if (skipped.length > 0 && !skipUnsupported) throw unsupportedError(skipped)
  return await planOf(planned, skipped, facts, options)
}

async function planOf(
  planned: readonly LayerEntries[],
  skipped: readonly string[],
  facts: BlobFacts,
  options: LayerPlanOptions,
): Promise<WindowsLayerPlan> {
  const { lossless, slices } = options
  const blobs = new BlobPlan(facts)
  const counts = { directory: planned.filter(found => parentRoot(found)).length, file: 0, 'hard link': 0, symlink: 0 }
  const lost = new LossCount(lossless)
  let streams = 0
  for (const { entries, names } of planned) {
    for (const entry of entries) {
      counts[entry.type] += 1
      lost.add(entry)
      for (const stream of contentsOf(entry)) blobs.add(stream, () => names.pathOf(entry.dentry))
      if (entry.type !== 'hard link') streams += entry.streams.length
      if (slices.due()) await slices.rest()
    }
  }
  const { directory: directories, file: files, 'hard link': hardLinks, symlink: symlinks } = counts
  return {
    blobs: blobs.list(),
    segments: () => segmentsOf(plannedEntries(planned, facts, lossless), facts),
    entries: () => plannedEntries(planned, facts, lossless),
    only: async keeps => await planOf(await kept(planned, keeps, slices), skipped, facts, options),
    counts: { directories, files, hardLinks, symlinks, streams },
    contentSize: blobs.size,
    skipped,
    lost: lost.losses(),
    mended: lost.mends(),
    missing: await missingFiles(planned, slices),
    withoutUnixData: 0,
  }
}

async function kept(
  planned: readonly LayerEntries[],
  keeps: (path: string) => boolean,
  slices: Slices,
): Promise<LayerEntries[]> {
  const found: LayerEntries[] = []
  for (const { names, entries, ...rest } of planned) {
    const those: LayerEntry[] = []
    for (const entry of entries) {
      if (keeps(names.pathOf(entry.dentry))) those.push(entry)
      if (slices.due()) await slices.rest()
    }
    found.push({ ...rest, names, entries: those })
  }
  return found
}

/** The contents of the entry in the order of the layer: its own content, then its named streams. */
function contentsOf(entry: LayerEntry): readonly Stream[] {
  if (entry.type === 'hard link') return []
  return entry.data ? [entry.data, ...entry.streams] : entry.streams
}

/** The files required in a base layer that are missing or are only links. */
async function missingFiles(planned: readonly LayerEntries[], slices: Slices): Promise<string[]> {
  const wanted = new Map(HIVES.map(path => [path.toLowerCase(), path]))
  if (planned.some(found => parentRoot(found))) wanted.set(BOOT_CONFIGURATION.toLowerCase(), BOOT_CONFIGURATION)
  for (const { entries, names } of planned) {
    for (const { type, dentry } of entries) {
      if (type === 'file' && names.isPrimary(dentry)) wanted.delete(names.pathOf(dentry).toLowerCase())
      if (slices.due()) await slices.rest()
    }
  }
  return [...wanted.values()]
}

/** The tar of `entries`, with the contents to be inserted. */
export function* segmentsOf(entries: Iterable<PlannedEntry>, facts: BlobFacts): Iterable<LayerSegment> {
  const builder = new SegmentBuilder()
  for (const { entry, content } of entries) {
    builder.add(encodeEntry(entry))
    if (content?.blob !== undefined) builder.addBlob(sizeOf(content, facts))
    yield* builder.full()
  }
  yield builder.end()
}

function* plannedEntries(
  planned: readonly LayerEntries[],
  facts: BlobFacts,
  lossless: boolean,
): Iterable<PlannedEntry> {
  for (const found of planned) {
    const { tree, names, entries } = found
    const security = tree.security.map(descriptor => descriptor.toString('base64'))
    const root = parentRoot(found)
    if (root) yield { entry: root, content: undefined }
    for (const entry of entries) {
      const path = names.pathOf(entry.dentry)
      const linkname =
        entry.type === 'symlink' ? entry.point.target : entry.type === 'hard link' ? names.pathOf(entry.target) : ''
      const own = entry.type === 'file' ? entry.data : undefined
      yield {
        entry: { ...tarEntry(entry, security, lossless), name: path, linkname, size: sizeOf(own, facts) },
        content: own,
      }
      for (const stream of entry.type === 'hard link' ? [] : entry.streams) {
        yield { entry: streamEntry(entry, `${path}:${stream.name}`, sizeOf(stream, facts)), content: stream }
      }
    }
  }
}

function sizeOf(stream: Stream | undefined, facts: BlobFacts): number {
  return stream?.blob === undefined ? 0 : (facts.sizes[stream.blob] ?? 0)
}

/** The entry for `UtilityVM` itself, which is not in the image, with the times of the image's root. */
function parentRoot({ tree, entries }: LayerEntries): TarEntry | undefined {
  const slash = tree.root.indexOf('/')
  if (slash < 0 || entries.length === 0) return undefined
  const time = tree.dentries[0]?.writeTime ?? 0n
  const records = { 'MSWINDOWS.fileattr': String(FILE_ATTRIBUTE_DIRECTORY) }
  const mtime = addTimes(records, { creationTime: time, accessTime: time, writeTime: time }, true)
  return { name: tree.root.slice(0, slash), flag: '5', mode: 0o755, size: 0, mtime, records }
}

/** Windows ignores permission bits: these make files that GNU tar extracts readable. */
const FLAGS = {
  directory: { flag: '5', mode: 0o755 },
  file: { flag: '0', mode: 0o644 },
  symlink: { flag: '2', mode: 0o777 },
  'hard link': { flag: '1', mode: 0o644 },
} as const

/** The entry without its name, size and target. */
function tarEntry(
  entry: LayerEntry,
  security: readonly string[],
  lossless: boolean,
): Omit<TarEntry, 'name' | 'size' | 'linkname'> {
  const { dentry, type } = entry
  const records: Record<string, string> = { 'MSWINDOWS.fileattr': String(shownAttributes(entry)) }
  const mtime = addTimes(records, dentry, entry.oddTimes)
  const descriptor = dentry.security < 0 ? undefined : security[dentry.security]
  if (type !== 'hard link') {
    if (descriptor && !entry.refused.security) records['MSWINDOWS.rawsd'] = descriptor
    for (const { name, value } of entry.extendedAttributes)
      records[`MSWINDOWS.xattr.${name}`] = value.toString('base64')
  }
  if (type === 'symlink' && entry.point.mountPoint) records['MSWINDOWS.mountpoint'] = '1'
  if (lossless) Object.assign(records, losslessRecords(entry, descriptor))
  return { ...FLAGS[type], mtime, records }
}

function streamEntry({ dentry, oddTimes }: LayerEntry, name: string, size: number): TarEntry {
  const records: Record<string, string> = {}
  return { name, ...FLAGS.file, size, mtime: addTimes(records, dentry, oddTimes), records }
}

/**
 * Adds the times as a host reads them from a layer to `records`, and returns the time for the header. 0 means that a
 * time is not set: a host takes the last write for a creation time that is missing, but needs some last access.
 */
function addTimes(
  records: Record<string, string>,
  { creationTime, accessTime, writeTime }: Pick<Dentry, 'creationTime' | 'accessTime' | 'writeTime'>,
  odd: boolean,
): number {
  const write = !odd ? writeTime : writeTime === 0n ? UNIX_EPOCH : hostTime(writeTime)
  if (!odd) records['LIBARCHIVE.creationtime'] = paxTime(creationTime)
  else if (creationTime !== 0n) records['LIBARCHIVE.creationtime'] = paxTime(hostTime(creationTime))
  records['atime'] = paxTime(!odd ? accessTime : accessTime === 0n ? write : hostTime(accessTime))
  if (!fitsUstarTime(write)) records['mtime'] = paxTime(write)
  return ustarTime(write)
}

function unsupportedError(paths: readonly string[]): StowageError {
  return new StowageError('LAYER_UNSUPPORTED', `a Windows layer cannot hold ${listed(paths)}`, {
    hint: 'Skip them with --skip-unsupported, which lists all of them, if the image does not need them.',
  })
}
