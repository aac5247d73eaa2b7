/** Inspects a layer: counts, sizes, the largest files, the keys of its PAX records, and owners. */
import type { WaitOptions } from '../../progress.js'
import { type LayerFacts, type LayerSource, readLayer } from './read-layer.js'
import type { LayerTarEntry, TarEntryType } from './tar-entry.js'

export interface InspectLayerOptions extends WaitOptions {
  /** How many of the largest files to list, by default 10. */
  readonly largest?: number | undefined
  /** Called with all entries as they are read. A promise that it returns is awaited. */
  readonly onEntries?: ((entries: readonly LayerTarEntry[]) => void | Promise<void>) | undefined
}

export interface LayerInspection extends LayerFacts {
  readonly counts: LayerEntryCounts
  /** Total size of all contents without headers, in bytes. */
  readonly contentSize: number
  /** Largest first; files of the same size in the order of the layer. */
  readonly largest: readonly { readonly path: string; readonly size: number }[]
  /** PAX keys, sorted, and how many entries have each. */
  readonly records: readonly { readonly key: string; readonly count: number }[]
  /** The owner with the most entries first. */
  readonly owners: readonly LayerOwner[]
}

/** Counts by type of entry. `entries` is the total; streams and whiteouts are also counted as files. */
export interface LayerEntryCounts {
  readonly entries: number
  readonly files: number
  readonly directories: number
  readonly hardLinks: number
  readonly symlinks: number
  readonly devices: number
  readonly fifos: number
  /** Windows alternate data streams: files named after the preceding entry, with a colon. */
  readonly streams: number
  /** Entries that mark files deleted from the layers below. */
  readonly whiteouts: number
}

export interface LayerOwner {
  readonly uid: number
  readonly gid: number
  readonly uname: string
  readonly gname: string
  readonly count: number
}

/** Reads the layer to its end. Throws LAYER_CORRUPT, UNSUPPORTED, ABORTED. */
export async function inspectLayer(
  source: LayerSource,
  { largest: most = 10, onEntries, ...wait }: InspectLayerOptions = {},
): Promise<LayerInspection> {
  const types = new Map<TarEntryType, number>()
  const records = new Map<string, number>()
  const owners = new Map<string, Omit<LayerOwner, 'count'> & { count: number }>()
  let largest: { path: string; size: number }[] = []
  let [entries, contentSize, streams, whiteouts] = [0, 0, 0, 0]
  let owner = ''
  const facts = await readLayer(source, wait, async batch => {
    for (const entry of batch) add(entry)
    largest = largest.sort((a, b) => b.size - a.size).slice(0, most)
    await onEntries?.(batch)
  })
  const count = (...wanted: TarEntryType[]): number => wanted.reduce((sum, type) => sum + (types.get(type) ?? 0), 0)
  return {
    ...facts,
    counts: {
      entries,
      files: count('file'),
      directories: count('directory'),
      hardLinks: count('hard link'),
      symlinks: count('symlink'),
      devices: count('character device', 'block device'),
      fifos: count('fifo'),
      streams,
      whiteouts,
    },
    contentSize,
    largest,
    records: [...records].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, times]) => ({ key, count: times })),
    owners: [...owners.values()].sort((a, b) => b.count - a.count),
  }

  function add({ path, type, size, records: own, uid, gid, uname, gname }: LayerTarEntry): void {
    entries += 1
    contentSize += size
    types.set(type, (types.get(type) ?? 0) + 1)
    if (type === 'file' && size > 0) largest.push({ path, size })
    if (/(^|\/)\.wh\.[^/]*$/.test(path)) whiteouts += 1
    if (owner !== '' && type === 'file' && path.startsWith(`${owner}:`)) streams += 1
    else owner = path
    for (const key of own.keys()) records.set(key, (records.get(key) ?? 0) + 1)
    const name = `${uid} ${gid} ${uname}\0${gname}`
    const known = owners.get(name) ?? { uid, gid, uname, gname, count: 0 }
    known.count += 1
    owners.set(name, known)
  }
}
