/** Layers made in memory, entry by entry, and layers as other tools read them. */
import { execFileSync } from 'node:child_process'
import { emptyHive } from '../../fixtures/make/hive.js'
import { FULL, securityDescriptor, SIDS } from '../../fixtures/make/security.js'
import { encodeEntry, padding, TAR_END, type TarEntry } from '../../src/tar/header.js'

/** An entry to be written: what is left out has the value of a plain file. */
export interface MadeEntry {
  readonly name: string
  readonly flag?: TarEntry['flag'] | '3' | '4' | '6'
  readonly mode?: number
  readonly mtime?: number
  readonly linkname?: string
  readonly records?: Readonly<Record<string, string>>
  readonly content?: Uint8Array | string
}

/** The tar of `entries`. Types that we never write ourselves are put into the header by hand. */
export function makeTar(entries: readonly MadeEntry[]): Buffer {
  return Buffer.concat([...entries.flatMap(entry => [...makeEntry(entry)]), TAR_END])
}

function* makeEntry({
  name,
  flag = '0',
  mode = 0o644,
  mtime = 0,
  linkname = '',
  records = {},
  content = '',
}: MadeEntry): Iterable<Uint8Array> {
  const bytes = Buffer.from(content)
  const known = flag === '3' || flag === '4' || flag === '6' ? '0' : flag
  const header = Buffer.from(encodeEntry({ name, flag: known, mode, size: bytes.length, mtime, linkname, records }))
  if (known !== flag) setField(header.subarray(header.length - 512), 156, flag)
  yield header
  yield bytes
  yield padding(bytes.length)
}

/** Writes `bytes` into the 512 bytes of `header` at `offset`, and makes its checksum right again. */
export function setField(header: Buffer, offset: number, bytes: Uint8Array | string): void {
  Buffer.from(bytes).copy(header, offset)
  header.write('        ', 148)
  const sum = header.subarray(0, 512).reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
}

/** An entry as Python's tarfile reads it. */
export interface PythonEntry {
  readonly name: string
  readonly type: string
  readonly size: number
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly uname: string
  readonly gname: string
  readonly linkname: string
  readonly mtime: number
  readonly offset: number
  readonly pax: Readonly<Record<string, string>>
  readonly sha256: string | null
}

/** The entries as Python's tarfile reads them: a reader that is not ours. */
export function pythonEntries(layer: string): PythonEntry[] {
  const program = `
import hashlib, json, sys, tarfile
entries = []
with tarfile.open(sys.argv[1]) as tar:
    for e in tar:
        content = tar.extractfile(e) if e.isreg() else None
        entries.append(dict(name=e.name, type=e.type.decode(), size=e.size, mode=e.mode, uid=e.uid, gid=e.gid, uname=e.uname,
            gname=e.gname, linkname=e.linkname, mtime=e.mtime, offset=e.offset, pax=e.pax_headers,
            sha256=hashlib.sha256(content.read()).hexdigest() if content else None))
sys.stdout.buffer.write(json.dumps(entries).encode())`
  return JSON.parse(
    execFileSync('python3', ['-c', program, layer], { encoding: 'utf8', maxBuffer: 1 << 28 }),
  ) as PythonEntry[]
}

const SECURITY = securityDescriptor({
  owner: SIDS.administrators,
  group: SIDS.system,
  dacl: [{ sid: SIDS.system, mask: FULL }],
})

/** The records of a good entry with these attributes. */
export function windowsRecords(attributes: number): Record<string, string> {
  return {
    'MSWINDOWS.fileattr': String(attributes),
    'MSWINDOWS.rawsd': SECURITY.toString('base64'),
    'LIBARCHIVE.creationtime': '1464264000.1234567',
    atime: '1464264000.5',
  }
}

export const directoryEntry = (name: string): MadeEntry => ({
  name,
  flag: '5',
  mode: 0o755,
  records: windowsRecords(0x10),
})
export const fileEntry = (name: string, content: Uint8Array | string = name): MadeEntry => ({
  name,
  content,
  records: windowsRecords(0x20),
})
export const linkEntry = (name: string, linkname: string): MadeEntry => ({ name, flag: '1', linkname })
export const symlinkEntry = (name: string, linkname: string): MadeEntry => ({
  name,
  flag: '2',
  linkname,
  records: windowsRecords(0x400),
})

/** A Windows base layer with all that one must have, one of each kind of entry, and no flaw. */
export function goodLayer(): MadeEntry[] {
  const hive = (path: string): MadeEntry => fileEntry(path, emptyHive(path.slice(-20)))
  const config = 'Windows/System32/config'
  const directories = (root: string, paths: string[]): MadeEntry[] =>
    paths.map(path => directoryEntry(path === '' ? root : `${root}/${path}`))
  return [
    ...directories('Files', ['', 'Windows', 'Windows/System32', config]),
    {
      ...symlinkEntry('Files/junction', 'C:\\Windows'),
      records: { ...windowsRecords(0x410), 'MSWINDOWS.mountpoint': '1' },
    },
    symlinkEntry('Files/symlink', '..\\Files\\Windows'),
    ...['DEFAULT', 'SAM', 'SECURITY', 'SOFTWARE', 'SYSTEM'].map(name => hive(`Files/${config}/${name}`)),
    {
      ...fileEntry('Files/attributes.txt'),
      records: { ...windowsRecords(0x20), 'MSWINDOWS.xattr.$KERNEL.PURGE.X': Buffer.from('value').toString('base64') },
    },
    fileEntry('Files/ünïcode.txt'),
    linkEntry('Files/Windows/link', 'Files/attributes.txt'),
    directoryEntry('UtilityVM'),
    ...directories('UtilityVM/Files', ['', 'EFI', 'EFI/Microsoft', 'EFI/Microsoft/Boot']),
    hive('UtilityVM/Files/EFI/Microsoft/Boot/BCD'),
    ...directories('UtilityVM/Files', ['Windows', 'Windows/System32', config]),
    hive(`UtilityVM/Files/${config}/SOFTWARE`),
    fileEntry('UtilityVM/Files/EFI/Microsoft/Boot/bootmgfw.efi'),
  ]
}
