/** Recognizes files that are taken for a tar or a WIM by mistake, and rejects unsupported compressions by name. */
import { StowageError } from '../errors.js'
import { ARCHIVE_COMPRESSION_NAMES, type ArchiveCompression, archiveCompressionOf } from '../oci/compression.js'

/** A file that is no tar. */
export interface OtherFile {
  /** What it is, in a sentence: `a WIM file`. */
  readonly title: string
  /** What to do with a file of this name instead; left out if there is nothing to do with it here. */
  hint?(name: string): string
}

const DOWNLOAD = 'A server probably sent this page in place of the file: download it again.'

/** Each by its first bytes, as latin1 text. */
const KINDS: readonly (OtherFile & { readonly magic: RegExp })[] = [
  { title: 'a zip archive', magic: /^PK(?:\x03\x04|\x05\x06)/, hint: name => `Unpack it first: unzip ${name}` },
  { title: 'a 7z archive', magic: /^7z\xbc\xaf\x27\x1c/, hint: name => `Unpack it first: 7z x ${name}` },
  { title: 'a RAR archive', magic: /^Rar!\x1a\x07/, hint: name => `Unpack it first: 7z x ${name}` },
  { title: 'a cabinet file', magic: /^MSCF\0\0\0\0/, hint: name => `Unpack it first: cabextract ${name}` },
  { title: 'a virtual disk (VHDX)', magic: /^vhdxfile/ },
  {
    title: 'a web page',
    magic: /^(?:\xef\xbb\xbf)?\s*<(?:!doctype|html)/i,
    hint: () => DOWNLOAD,
  },
  {
    title: 'an XML document',
    magic: /^(?:(?:\xef\xbb\xbf)?<\?xml|\xff\xfe<\0\?\0)/,
    hint: () => DOWNLOAD,
  },
  { title: 'a program', magic: /^\x7fELF/ },
]

const WIM: OtherFile & { readonly magic: RegExp } = {
  title: 'a WIM file',
  magic: /^(?:MSWIM|WLPWM)\0\0\0/,
  hint: name => `Pack it: stowage pack wim:${name} -o BUNDLE. "stowage wim verify ${name}" checks it.`,
}

const ISO: OtherFile = {
  title: 'an ISO image',
  hint: name => `Unpack it first, or mount it: 7z x ${name}. For a WIM in it: stowage pack wim:FILE -o BUNDLE.`,
}

/** An ISO 9660 or UDF file system has nothing in its first 32 KiB, and then one of these. */
const ISO_MARK = { at: 32769, size: 5, texts: ['CD001', 'BEA01'] } as const

/** Other compressions, with the command that decompresses them. */
const OTHERS: readonly (readonly [string, string, RegExp])[] = [
  ['bzip2', 'bzip2 -d', /^BZh[1-9]1AY&SY/],
  ['lz4', 'lz4 -d', /^\x04"M\x18/],
]

/** What a file is that begins with `head`, of at least 10 bytes; undefined if it may be a tar. */
export function otherFile(head: Uint8Array): OtherFile | undefined {
  const text = Buffer.from(head).toString('latin1')
  return [WIM, ...KINDS].find(({ magic }) => magic.test(text))
}

/** Like {@link otherFile}, for what can only be told further on in the file. `read` gives fewer bytes at its end. */
export async function otherFileWithin(
  head: Uint8Array,
  read: (at: number, size: number) => Promise<Uint8Array>,
): Promise<OtherFile | undefined> {
  if (head.some(byte => byte !== 0)) return undefined
  const mark = Buffer.from(await read(ISO_MARK.at, ISO_MARK.size)).toString('latin1')
  return ISO_MARK.texts.some(each => each === mark) ? ISO : undefined
}

/**
 * Throws UNSUPPORTED, with the command for such a file, if `head` is that of another compression or of a file that is no
 * tar. `outer` says that `head` is that of the decompressed bytes of `name`.
 */
export function refuseOthers(head: Uint8Array, name: string, outer?: ArchiveCompression): void {
  refuseOther(otherFile(head), name, outer)
  const text = Buffer.from(head).toString('latin1')
  for (const [compression, command, magic] of OTHERS) {
    if (!magic.test(text)) continue
    const first = outer === undefined ? '' : `, below ${outer}`
    throw new StowageError(
      'UNSUPPORTED',
      `${name} is compressed with ${compression}${first}; only ${ARCHIVE_COMPRESSION_NAMES.join(', ')} and uncompressed files can be read`,
      {
        hint: `Decompress it first: ${outer === undefined ? `${command} ${name}` : `${outer} -dc ${name} | ${command}`}`,
      },
    )
  }
}

/** Throws UNSUPPORTED, with what to do with it instead, for a file that is no tar; `outer` as for {@link refuseOthers}. */
export function refuseOther(other: OtherFile | undefined, name: string, outer?: ArchiveCompression): void {
  if (!other) return
  const { title, hint = () => 'Name a bundle, an archive or a layer.' } = other
  if (outer === undefined) throw new StowageError('UNSUPPORTED', `${name} is ${title}, not a tar`, { hint: hint(name) })
  const inner = innerName(name)
  const then = hint(inner)
  throw new StowageError('UNSUPPORTED', `${name}, decompressed, is ${title}, not a tar`, {
    hint: then === hint('') ? then : `Decompress it: ${outer} -dc ${name} > ${inner}. ${then}`,
  })
}

/** What to say of a file that is no WIM, if it is known what it is. `head` is its first 512 bytes; `read` as for {@link otherFileWithin}. */
export async function otherThanWim(
  name: string,
  head: Uint8Array,
  read: (at: number, size: number) => Promise<Uint8Array>,
): Promise<{ readonly message: string; readonly hint: string } | undefined> {
  if (head.length === 0) return { message: `${name} is empty, not a WIM`, hint: 'Copy the file again.' }
  const compression = archiveCompressionOf(head)
  if (compression) {
    const inner = innerName(name)
    const hint = `If there is a WIM in it, decompress it first: ${compression} -dc ${name} > ${inner === 'FILE' ? 'x.wim' : inner}`
    return { message: `${name} is compressed with ${compression}, not a WIM`, hint }
  }
  const other = otherFile(head) ?? (isTarHead(head) ? TAR : await otherFileWithin(head, read))
  if (!other) return undefined
  const { title, hint = () => 'Name a .wim, .esd or .swm file.' } = other
  return { message: `${name} is ${title}, not a WIM`, hint: hint(name) }
}

const TAR: OtherFile = {
  title: 'a tar',
  hint: name =>
    `If it has images: stowage inspect ${name.includes('/') ? name : `./${name}`}. If it is a layer: stowage layer inspect ${name}`,
}

/** By the magic of ustar, which GNU's and POSIX's tars have. */
function isTarHead(head: Uint8Array): boolean {
  return Buffer.from(head.subarray(257, 262)).toString('latin1') === 'ustar'
}

function innerName(name: string): string {
  return /^(.+)\.(?:gz|zst|xz)$/i.exec(name)?.[1] ?? 'FILE'
}
