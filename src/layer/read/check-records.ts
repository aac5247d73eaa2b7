/** Checks the rules of {@link LAYER_RULES} that concern the records of a single entry. */
import {
  FILE_ATTRIBUTE_DIRECTORY,
  FILE_ATTRIBUTE_ENCRYPTED,
  FILE_ATTRIBUTE_REPARSE_POINT,
  FILE_ATTRIBUTE_TEMPORARY,
} from '../../windows/file-attributes.js'
import { ATTRIBUTES_LIMIT, attributeSize, forbiddenInAttributeName } from '../../windows/ntfs-limits.js'
import { sddlFlaw } from '../../windows/sddl.js'
import { securityDescriptorFlaw } from '../../windows/security-descriptor.js'
import type { Report } from './check-rules.js'
import type { LayerTarEntry } from './tar-entry.js'

/** FILE_ATTRIBUTE_OFFLINE, _RECALL_ON_OPEN and _RECALL_ON_DATA_ACCESS. */
const ELSEWHERE = 0x1000 | 0x40000 | 0x400000
const XATTR = 'MSWINDOWS.xattr.'
const CREATION = 'LIBARCHIVE.creationtime'
const TIMES = ['mtime', 'atime', 'ctime']
/** Seconds before or after 1970 that fit into 64-bit nanoseconds. */
const TIME_LIMIT = 9_223_372_036.854_774
/** Directories whose security descriptors and times the host sets. */
const ROOTS = new Set(['Files', 'UtilityVM', 'UtilityVM/Files', 'Hives'])

/**
 * Checks the records of an entry that is neither a stream nor a hard link, whose records Windows ignores. Returns its
 * attributes as the importer reads them.
 */
export function checkRecords(entry: LayerTarEntry, place: string, report: Report): number {
  const { path, type, records } = entry
  if (type === 'character device' || type === 'block device' || type === 'fifo')
    report('NOT_A_WINDOWS_FILE', path, `it is a ${type}`)
  const attributes = checkAttributes(entry, report)
  if (records.has('MSWINDOWS.mountpoint')) {
    if (type !== 'symlink') report('MOUNT_POINT', path, `MSWINDOWS.mountpoint on a ${type}`)
    else if ((attributes & FILE_ATTRIBUTE_DIRECTORY) === 0)
      report('JUNCTION_NOT_DIRECTORY', path, `a junction with ${hex(attributes)}`)
  }
  checkSecurity(entry, place, report)
  const missing = ['atime', CREATION].filter(key => !records.has(key))
  if (missing.length > 0 && !ROOTS.has(place)) report('NO_TIME', path, `no ${missing.join(' and no ')}`)
  const creation = records.get(CREATION)
  if (creation !== undefined) checkTime(path, CREATION, creation, report)
  checkExtendedAttributes(entry, report)
  return attributes
}

function checkAttributes({ path, type, records }: LayerTarEntry, report: Report): number {
  const text = records.get('MSWINDOWS.fileattr')
  if (text === undefined) {
    if (type !== 'directory') report('NO_ATTRIBUTES', path, 'no MSWINDOWS.fileattr')
    return type === 'directory' ? FILE_ATTRIBUTE_DIRECTORY : 0
  }
  const attributes = Number(text)
  if (!/^\d+$/.test(text) || attributes > 0xffffffff) {
    report('BAD_ATTRIBUTES', path, `MSWINDOWS.fileattr is ${JSON.stringify(text)}`)
    return type === 'directory' ? FILE_ATTRIBUTE_DIRECTORY : 0
  }
  const has = (bits: number): boolean => (attributes & bits) !== 0
  if (type === 'directory' && !has(FILE_ATTRIBUTE_DIRECTORY))
    report('DIRECTORY_AS_FILE', path, `a directory with ${hex(attributes)}`)
  if (type === 'file' && has(FILE_ATTRIBUTE_DIRECTORY))
    report('DIRECTORY_ATTRIBUTE', path, `a file with ${hex(attributes)}`)
  if (has(FILE_ATTRIBUTE_DIRECTORY) && has(FILE_ATTRIBUTE_TEMPORARY))
    report('TEMPORARY_DIRECTORY', path, `attributes ${hex(attributes)}`)
  if (has(FILE_ATTRIBUTE_REPARSE_POINT) !== (type === 'symlink'))
    report('REPARSE_ATTRIBUTE', path, `a ${type} with ${hex(attributes)}`)
  // On a directory, the attribute only means that new files in it are encrypted
  if (type !== 'directory' && has(FILE_ATTRIBUTE_ENCRYPTED)) report('ENCRYPTED', path, `attributes ${hex(attributes)}`)
  if (has(ELSEWHERE)) report('OFFLINE', path, `attributes ${hex(attributes)}`)
  return attributes
}

function hex(attributes: number): string {
  return `0x${attributes.toString(16)}`
}

/** Results by descriptor, because most entries share a few. */
const checked = new Map<string, string | undefined>()

/** The importer reads MSWINDOWS.sd only if there is no MSWINDOWS.rawsd, and takes an empty descriptor for none. */
function checkSecurity({ path, records }: LayerTarEntry, place: string, report: Report): void {
  const raw = records.get('MSWINDOWS.rawsd')
  const text = raw ?? records.get('MSWINDOWS.sd')
  if (text === undefined || text === '') {
    if (!ROOTS.has(place)) report('NO_SECURITY', path, text === undefined ? 'no MSWINDOWS.rawsd' : 'it is empty')
  } else if (raw === undefined) {
    const flaw = sddlFlaw(text)
    if (flaw !== undefined) report('BAD_SDDL', path, `MSWINDOWS.sd: ${flaw}`)
  } else {
    const flaw = securityFlaw(raw)
    if (flaw !== undefined) report('BAD_SECURITY', path, `MSWINDOWS.rawsd: ${flaw}`)
  }
}

function securityFlaw(text: string): string | undefined {
  if (!checked.has(text)) {
    if (checked.size > 5000) checked.clear()
    const bytes = fromBase64(text)
    checked.set(text, bytes ? securityDescriptorFlaw(bytes) : 'it is not base64')
  }
  return checked.get(text)
}

function checkExtendedAttributes({ path, type, records }: LayerTarEntry, report: Report): void {
  let total = 0
  let count = 0
  for (const [key, value] of records) {
    if (!key.startsWith(XATTR)) continue
    count += 1
    total += checkExtendedAttribute(path, key.slice(XATTR.length), value, report)
  }
  if (count === 0) return
  if (type === 'symlink') report('ATTRIBUTE_OF_LINK', path, 'it has extended attributes')
  if (total > ATTRIBUTES_LIMIT) report('ATTRIBUTES_TOO_LARGE', path, `${total} bytes`)
}

/** Returns the size of the attribute on NTFS; 0 if it has none, or is wrong in itself. */
function checkExtendedAttribute(path: string, name: string, text: string, report: Report): number {
  const value = fromBase64(text)
  const nameSize = Buffer.byteLength(name)
  const wrong = forbiddenInAttributeName(name)
  if (!value) report('BAD_ATTRIBUTE_VALUE', path, `${name}: its value is not base64`)
  else if (nameSize > 255) report('BAD_ATTRIBUTE_VALUE', path, `${name}: a name of ${nameSize} bytes`)
  else if (value.length > 0xffff) report('BAD_ATTRIBUTE_VALUE', path, `${name}: a value of ${value.length} bytes`)
  else if (wrong !== undefined) report('ATTRIBUTE_NAME', path, `${name}: it contains ${JSON.stringify(wrong)}`)
  else if (nameSize === 0) report('ATTRIBUTE_NO_NAME', path, `${value.length} bytes`)
  else if (value.length === 0) report('EMPTY_ATTRIBUTE', path, name)
  else return attributeSize(nameSize, value.length)
  return 0
}

/** Decodes padded base64 (RFC 4648) as the Windows tools do: only line ends are ignored. Undefined if invalid. */
function fromBase64(text: string): Buffer | undefined {
  const plain = text.replace(/[\r\n]/g, '')
  if (plain.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(plain)) return undefined
  return Buffer.from(plain, 'base64')
}

/** Checks the times of any entry, which Go's tar reader always parses unless they are empty. */
export function checkTimes({ path, records }: LayerTarEntry, report: Report): void {
  for (const key of TIMES) {
    const text = records.get(key)
    if (text !== undefined && text !== '') checkTime(path, key, text, report)
  }
}

function checkTime(path: string, key: string, text: string, report: Report): void {
  if (!/^[+-]?\d+(?:\.\d*)?$/.test(text) || !secondsFit(text))
    report('BAD_TIME', path, `${key} is ${JSON.stringify(text)}`)
  else if (Math.abs(Number(text)) > TIME_LIMIT) report('TIME_RANGE', path, `${key} is ${text}`)
}

/** Whether Go can hold the whole seconds of `text` in 64 bits. */
function secondsFit(text: string): boolean {
  if (text.length < 19) return true
  const [, sign, digits = ''] = /^([+-]?)0*(\d*)/.exec(text) ?? []
  if (digits.length !== 19) return digits.length < 19
  return BigInt(digits) <= (sign === '-' ? 2n ** 63n : 2n ** 63n - 1n)
}
