/** Compares two layers, regardless of their order and compression. */
import type { WaitOptions } from '../../progress.js'
import { type LayerFacts, type LayerSource, readLayer } from './read-layer.js'
import type { LayerTarEntry } from './tar-entry.js'

/** The fields of an entry that are compared. */
export const DIFF_FIELDS = [
  'type',
  'content',
  'target',
  'links',
  'mode',
  'owner',
  'device',
  'times',
  'attributes',
  'security',
  'xattrs',
  'records',
] as const

export type DiffField = (typeof DIFF_FIELDS)[number]

export interface DiffLayersOptions extends WaitOptions {
  /** Fields whose differences are ignored. */
  readonly ignore?: readonly DiffField[] | undefined
}

/** A path in both layers, and the fields that differ. `a` and `b` are texts for the user. */
export interface LayerChange {
  readonly path: string
  readonly fields: readonly { readonly field: DiffField; readonly a: string; readonly b: string }[]
}

export interface LayerDiff {
  readonly same: boolean
  readonly a: LayerFacts
  readonly b: LayerFacts
  /** Paths that only `b` has. All three lists are sorted. */
  readonly added: readonly string[]
  /** Paths that only `a` has. */
  readonly removed: readonly string[]
  readonly changed: readonly LayerChange[]
}

type State = Readonly<Record<DiffField, string>>

interface Tree {
  readonly facts: LayerFacts
  readonly states: ReadonlyMap<string, State>
}

/**
 * Compares entry by entry: contents by SHA-256, times to the last digit, and hard links as names of one file, no matter
 * which of them is the file in the tar. Trailing slashes and a leading `./` are ignored. If a layer has a path twice,
 * the last entry counts. Throws LAYER_CORRUPT, UNSUPPORTED, ABORTED.
 */
export async function diffLayers(
  a: LayerSource,
  b: LayerSource,
  { ignore = [], ...wait }: DiffLayersOptions = {},
): Promise<LayerDiff> {
  const before = await readTree(a, wait).catch((error: unknown) => {
    b.close?.()
    throw error
  })
  const after = await readTree(b, wait)
  const fields = DIFF_FIELDS.filter(field => !ignore.includes(field))
  const removed: string[] = []
  const changed: LayerChange[] = []
  for (const [path, state] of before.states) {
    const other = after.states.get(path)
    if (!other) {
      removed.push(path)
      continue
    }
    const different = fields
      .filter(field => state[field] !== other[field])
      .map(field => ({ field, a: state[field], b: other[field] }))
    if (different.length > 0) changed.push({ path, fields: different })
  }
  const added = [...after.states.keys()].filter(path => !before.states.has(path))
  return {
    same: added.length + removed.length + changed.length === 0,
    a: before.facts,
    b: after.facts,
    added: added.sort(),
    removed: removed.sort(),
    changed: changed.sort((one, two) => (one.path < two.path ? -1 : 1)),
  }
}

async function readTree(source: LayerSource, wait: WaitOptions): Promise<Tree> {
  const states = new Map<string, State>()
  const targets = new Map<string, string>()
  const facts = await readLayer(source, { ...wait, hash: true }, batch => {
    for (const entry of batch) {
      const path = plain(entry.path)
      states.set(path, stateOf(entry))
      if (entry.type === 'hard link') targets.set(path, plain(entry.linkname))
      else targets.delete(path)
    }
  })
  joinLinks(states, targets)
  return { facts, states }
}

/** Gives all names of a file the state of its entry, and the list of its names. */
function joinLinks(states: Map<string, State>, targets: ReadonlyMap<string, string>): void {
  const groups = new Map<string, string[]>()
  const files = new Map<string, string>()
  for (const link of targets.keys()) {
    const file = fileOf(link, targets, files)
    if (!states.has(file) || targets.has(file)) continue // its file is in another layer, or does not exist
    const group = groups.get(file)
    if (group) group.push(link)
    else groups.set(file, [file, link])
  }
  for (const [file, names] of groups) {
    const state = states.get(file)
    const links = names.sort().join(', ')
    for (const name of names) if (state) states.set(name, { ...state, links })
  }
}

/**
 * The end of the chain of links from `link`; in a loop, any link in it. `files` caches results, so each link is
 * followed once.
 */
function fileOf(link: string, targets: ReadonlyMap<string, string>, files: Map<string, string>): string {
  const chain = new Set<string>()
  let at = link
  for (let next = targets.get(at); next !== undefined && !files.has(at) && !chain.has(at); next = targets.get(at)) {
    chain.add(at)
    at = next
  }
  const file = files.get(at) ?? at
  for (const passed of chain) files.set(passed, file)
  return file
}

function plain(path: string): string {
  return path.replace(/^(?:\.?\/)+/, '').replace(/\/+$/, '') || '.'
}

const FIELD_RECORDS = new Set(['path', 'linkpath', 'size', 'uid', 'gid', 'uname', 'gname'])
const XATTRS = /^(?:MSWINDOWS|SCHILY|LIBARCHIVE)\.xattr\./
const TIMES = new Set(['mtime', 'atime', 'ctime', 'LIBARCHIVE.creationtime'])

function stateOf(entry: LayerTarEntry): State {
  const { type, sha256, linkname, mode, uid, gid, uname, gname, devmajor, devminor, records } = entry
  const [times, xattrs, others]: [string[], string[], string[]] = [[], [], []]
  if (!records.has('mtime')) times.push(`mtime=${entry.mtime}`)
  let [attributes, security] = ['', '']
  for (const [key, value] of records) {
    if (FIELD_RECORDS.has(key)) continue
    if (TIMES.has(key)) times.push(`${key}=${value.replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, '')}`)
    else if (XATTRS.test(key)) xattrs.push(`${key}=${value}`)
    else if (key === 'MSWINDOWS.fileattr') attributes = value
    else if (key === 'MSWINDOWS.rawsd' || key === 'MSWINDOWS.sd') security = value
    else others.push(`${key}=${value}`)
  }
  const device = type === 'character device' || type === 'block device'
  return {
    type,
    content: sha256 ?? '',
    target: type === 'hard link' ? plain(linkname) : linkname,
    links: '',
    mode: (mode & 0o7777).toString(8).padStart(4, '0'), // some writers include the file type
    owner: `${uid}:${gid} ${uname}:${gname}`,
    device: device ? `${devmajor}:${devminor}` : '',
    times: times.sort().join(' '),
    attributes,
    security,
    xattrs: xattrs.join(' '),
    records: others.join(' '),
  }
}
