/** Layers made in memory, entry by entry, and layers as other tools read them. */
import { execFileSync } from 'node:child_process'
import { type TarEntry, encodeEntry, padding, TAR_END } from '../../src/tar/header.js'

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

function* makeEntry({ name, flag = '0', mode = 0o644, mtime = 0, linkname = '', records = {}, content = '' }: MadeEntry): Iterable<Uint8Array> {
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
  return JSON.parse(execFileSync('python3', ['-c', program, layer], { encoding: 'utf8', maxBuffer: 1 << 28 })) as PythonEntry[]
}
