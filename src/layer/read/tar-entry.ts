/** Decodes the batches of layer entries that the addon produces. Source: POSIX.1-2017, pax. */
import type { TarEntry } from '../../tar/header.js'
import * as buffer from 'node:buffer'

export const TAR_TYPES = {
  '0': 'file',
  '1': 'hard link',
  '2': 'symlink',
  '3': 'character device',
  '4': 'block device',
  '5': 'directory',
  '6': 'fifo',
} as const

export type TarEntryType = (typeof TAR_TYPES)[keyof typeof TAR_TYPES]

/** An entry read from a layer. */
export interface LayerTarEntry {
  readonly type: TarEntryType
  /** Path with PAX and GNU long names applied, otherwise unchanged: that of a directory may end in `/`. */
  readonly path: string
  /** Target of a link, unchanged; otherwise empty. */
  readonly linkname: string
  /** Whether path and link target are UTF-8. If not, invalid bytes appear as U+FFFD. */
  readonly utf8: boolean
  /** Permission bits and any other bits of the header field. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly uname: string
  readonly gname: string
  /** Whole seconds since 1970, from the header. A PAX time is in `records`. */
  readonly mtime: number
  /** Size of the content in bytes; 0 except for files. */
  readonly size: number
  readonly devmajor: number
  readonly devminor: number
  /** PAX records, sorted by key. Each character of a value is one byte (latin1); those of Windows are ASCII. */
  readonly records: ReadonlyMap<string, string>
  /** SHA-256 of a file's content in 64 hex digits, if requested. */
  readonly sha256: string | undefined
  /** SHA-1 of a file's content in 40 hex digits, if requested. */
  readonly sha1?: string | undefined
  /** The requested beginning of a file's content. It is part of a larger buffer, so copy what you keep. */
  readonly head: Buffer
  /** Offset of its header in the tar, in bytes. */
  readonly offset: number
}

const FIXED = 112
const NOTHING = Buffer.alloc(0)
const NO_RECORDS: ReadonlyMap<string, string> = new Map()

/** Decodes a batch of `native/layer/layer_scan.cc`. `hash` says how the contents of files were hashed: true is SHA-256. */
export function decodeTarEntries(batch: Buffer, hash: boolean | 'sha1'): LayerTarEntry[] {
  const entries: LayerTarEntry[] = []
  let at = 0
  function take(size: number): Buffer {
    const bytes = size === 0 ? NOTHING : batch.subarray(at, at + size)
    at += size
    return bytes
  }
  while (at < batch.length) {
    const start = at
    const u32 = (offset: number): number => batch.readUInt32LE(start + offset)
    const u64 = (offset: number): number => Number(batch.readBigUInt64LE(start + offset))
    at += FIXED
    const [path, linkname, uname, gname] = [take(u32(56)), take(u32(60)), take(u32(64)), take(u32(68))]
    const type = TAR_TYPES[String.fromCharCode(u32(40)) as keyof typeof TAR_TYPES] // the addon produces no others
    const records = u32(72) === 0 ? NO_RECORDS : takeRecords(u32(72))
    entries.push({
      type,
      path: path.toString(),
      linkname: linkname.toString(),
      utf8: buffer.isUtf8(path) && buffer.isUtf8(linkname),
      mode: u32(44),
      uid: u64(16),
      gid: u64(24),
      uname: uname.toString(),
      gname: gname.toString(),
      mtime: Number(batch.readBigInt64LE(start + 32)),
      size: u64(8),
      devmajor: u32(48),
      devminor: u32(52),
      records,
      sha256: hash === true && type === 'file' ? batch.toString('hex', start + 80, start + FIXED) : undefined,
      ...(hash === 'sha1' && type === 'file' ? { sha1: batch.toString('hex', start + 80, start + 100) } : {}),
      head: take(u32(76)),
      offset: u64(0),
    })
  }
  return entries

  function takeRecords(count: number): Map<string, string> {
    const records = new Map<string, string>()
    for (let n = 0; n < count; n += 1) {
      const [keySize, valueSize] = [batch.readUInt32LE(at), batch.readUInt32LE(at + 4)]
      at += 8
      records.set(take(keySize).toString(), take(valueSize).toString('latin1'))
    }
    return records
  }
}

/** An entry that is to be written, as a reader of the layer decodes it. */
export function asRead(entry: TarEntry, head: Buffer = Buffer.alloc(0), offset = 0): LayerTarEntry {
  const { name, flag, linkname = '', mode, size, mtime, records = {} } = entry
  const keys = Object.keys(records).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  return {
    type: TAR_TYPES[flag],
    path: name,
    linkname,
    utf8: true,
    mode,
    uid: 0,
    gid: 0,
    uname: '',
    gname: '',
    mtime,
    size,
    devmajor: 0,
    devminor: 0,
    records: new Map(keys.map(key => [key, Buffer.from(records[key] ?? '').toString('latin1')])),
    sha256: undefined,
    head,
    offset,
  }
}
