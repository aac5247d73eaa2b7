/**
 * The plan of a Windows layer: its entries as the bytes of a tar, but for the contents of files.
 * Sources: hcsshim and go-winio's documented behaviour (the tar form of Windows' backup streams), OCI image-spec layer.md.
 */
import { StowageError } from '../errors.js'
import { encodeEntry, padding, TAR_END, type TarEntry } from '../tar/header.js'
import { FILE_ATTRIBUTE_DIRECTORY, type Stream } from '../wim/dentry.js'
import { fitsUstarTime, paxTime, ustarTime } from './filetime.js'
import { layerEntries, type LayerEntry, type LayerTree, listed, missingBlob, type ReparseDataOf } from './layer-entries.js'

/** What the plan needs to know of blobs. */
export interface BlobFacts {
  readonly sizes: Float64Array
  readonly ranks: Uint32Array
}

export interface LayerPlan {
  /** Blobs in the order in which the layer holds them. */
  readonly blobs: Uint32Array
  /** The tar, but for the blobs: one goes in at each cut, an offset into the segment's bytes. */
  segments(): Iterable<{ readonly bytes: Uint8Array; readonly cuts: Uint32Array }>
  readonly counts: LayerCounts
  /** Bytes of all contents, without headers. */
  readonly contentSize: number
  /** Paths that were left out, with the reason. */
  readonly skipped: readonly string[]
}

export interface LayerCounts {
  readonly directories: number
  readonly files: number
  readonly hardLinks: number
  readonly symlinks: number
  /** Alternate data streams. */
  readonly streams: number
}

/** Segments handed over at a time, in bytes: a few thousand headers. */
const SEGMENT = 512 * 1024

/**
 * Plans the layer of `trees`, one after another, each in the order of {@link layerEntries}; alternate data streams follow
 * their owner at once. Throws LAYER_UNSUPPORTED listing the paths that a layer cannot hold (with `skipUnsupported` they are
 * left out and named in `skipped`, but for bad names), and WIM_CORRUPT where the WIM lacks a blob.
 */
export function planWindowsLayer(
  trees: readonly LayerTree[], facts: BlobFacts, reparseDataOf: ReparseDataOf,
  { skipUnsupported = false }: { readonly skipUnsupported?: boolean } = {},
): LayerPlan {
  const skipped: string[] = []
  const planned: LayerEntry[] = []
  for (const tree of trees) {
    const { entries, unsupported } = layerEntries(tree, blob => facts.ranks[blob] ?? 0, reparseDataOf)
    if (unsupported.length > 0 && !skipUnsupported) throw unsupportedError(unsupported)
    skipped.push(...unsupported)
    for (const entry of entries) planned.push(entry)
  }
  const blobs: number[] = []
  let contentSize = 0
  let streams = 0
  for (const entry of planned) {
    for (const { suffix, stream } of contentsOf(entry)) {
      if (suffix !== '') streams += 1
      if (stream.blob === undefined) continue
      if (stream.blob < 0) throw missingBlob(entry.path, stream)
      blobs.push(stream.blob)
      contentSize += facts.sizes[stream.blob] ?? 0
    }
  }
  const count = (type: LayerEntry['type']): number => planned.filter(entry => entry.type === type).length
  const counts = {
    directories: count('directory') + trees.filter(tree => parentRoot(tree)).length, files: count('file'),
    hardLinks: count('hard link'), symlinks: count('symlink'), streams,
  }
  return {
    blobs: Uint32Array.from(blobs), segments: () => segments(planned, facts), counts, contentSize, skipped,
  }
}

/** What stands in the layer for the entry, in this order: its own content, then its named streams. */
function* contentsOf(entry: LayerEntry): Iterable<{ readonly suffix: string; readonly stream: Stream }> {
  if (entry.type === 'hard link') return
  if (entry.type === 'file' && entry.data) yield { suffix: '', stream: entry.data }
  for (const stream of entry.dentry.streams) {
    if (stream.name !== '') yield { suffix: `:${stream.name}`, stream }
  }
}

function* segments(planned: readonly LayerEntry[], facts: BlobFacts): ReturnType<LayerPlan['segments']> {
  let pieces: Uint8Array[] = []
  let cuts: number[] = []
  let size = 0
  function add(bytes: Uint8Array): void {
    pieces.push(bytes)
    size += bytes.length
  }
  let tree: LayerTree | undefined
  let security: readonly string[] = []
  for (const entry of planned) {
    if (entry.tree !== tree) {
      tree = entry.tree
      security = tree.security.map(descriptor => descriptor.toString('base64'))
      const root = parentRoot(tree)
      if (root) add(encodeEntry(root))
    }
    add(encodeEntry(tarEntry(entry, security, entry.type === 'file' ? sizeOf(entry.data, facts) : 0)))
    for (const { suffix, stream } of contentsOf(entry)) {
      if (suffix !== '') add(encodeEntry(streamEntry(entry, suffix, sizeOf(stream, facts))))
      if (stream.blob === undefined) continue
      cuts.push(size)
      add(padding(sizeOf(stream, facts)))
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

/** `UtilityVM` itself stands in no image, so its entry is made here, with the times of the image's root. */
function parentRoot(tree: LayerTree): TarEntry | undefined {
  const slash = tree.root.indexOf('/')
  if (slash < 0) return undefined
  const time = tree.dentries[0]?.writeTime ?? 0n
  const records = { 'MSWINDOWS.fileattr': String(FILE_ATTRIBUTE_DIRECTORY), ...times(time, time, time) }
  return { name: tree.root.slice(0, slash), flag: '5', mode: 0o755, size: 0, mtime: ustarTime(time), records }
}

/** Permission bits mean nothing to Windows: these let a person read what GNU tar extracts. */
const FLAGS = {
  directory: { flag: '5', mode: 0o755 },
  file: { flag: '0', mode: 0o644 },
  symlink: { flag: '2', mode: 0o777 },
  'hard link': { flag: '1', mode: 0o644 },
} as const

function tarEntry(entry: LayerEntry, security: readonly string[], size: number): TarEntry {
  const { dentry, type } = entry
  const records: Record<string, string> = {
    'MSWINDOWS.fileattr': String(dentry.attributes),
    ...times(dentry.creationTime, dentry.accessTime, dentry.writeTime),
  }
  const descriptor = dentry.security < 0 ? undefined : security[dentry.security]
  if (type !== 'hard link') {
    if (descriptor) records['MSWINDOWS.rawsd'] = descriptor
    for (const { name, value } of entry.extendedAttributes) records[`MSWINDOWS.xattr.${name}`] = value.toString('base64')
  }
  if (type === 'symlink' && entry.point.mountPoint) records['MSWINDOWS.mountpoint'] = '1'
  const linkname = type === 'symlink' ? entry.point.target : type === 'hard link' ? entry.target : ''
  return { name: entry.path, ...FLAGS[type], size, mtime: ustarTime(dentry.writeTime), linkname, records }
}

function streamEntry(entry: LayerEntry, suffix: string, size: number): TarEntry {
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

function unsupportedError(paths: readonly string[]): StowageError {
  return new StowageError('LAYER_UNSUPPORTED', `a Windows layer cannot hold ${listed(paths)}`, {
    hint: 'Leave them out with --skip-unsupported, if the image can do without.',
  })
}
