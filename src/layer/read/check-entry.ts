/** Checks the rules of {@link LAYER_RULES} that concern a single entry: its name, records and type. */
import {
  FILE_ATTRIBUTE_DIRECTORY,
  FILE_ATTRIBUTE_ENCRYPTED,
  FILE_ATTRIBUTE_REPARSE_POINT,
} from '../../windows/file-attributes.js'
import { PATH_LIMIT } from '../../windows/layer-paths.js'
import { securityDescriptorFlaw } from '../../windows/security-descriptor.js'
import type { Report } from './check-rules.js'
import type { LayerTarEntry } from './tar-entry.js'

/** FILE_ATTRIBUTE_OFFLINE, _RECALL_ON_OPEN and _RECALL_ON_DATA_ACCESS. */
const ELSEWHERE = 0x1000 | 0x40000 | 0x400000
const XATTR = 'MSWINDOWS.xattr.'
const TIMES = ['mtime', 'atime', 'ctime', 'LIBARCHIVE.creationtime']
/** Seconds before or after 1970 that fit into 64-bit nanoseconds. */
const TIME_LIMIT = 9_223_372_036.854_774
const NAME_LIMIT = 255
/** Characters of a target, so that two UTF-16 copies and 20 bytes fit into MAXIMUM_REPARSE_DATA_BUFFER_SIZE. */
const TARGET_LIMIT = 4088
/** Directories whose security descriptors and times the host sets. */
const ROOTS = new Set(['Files', 'UtilityVM', 'UtilityVM/Files', 'Hives'])

/** Checks that Windows allows the path. `names` are its components without empty ones and `.`. */
export function checkName(
  { path, utf8, linkname, type }: LayerTarEntry,
  names: readonly string[],
  report: Report,
): void {
  const plain = path.endsWith('/') ? path.slice(0, -1) : path
  if (plain !== names.join('/') || names.length === 0 || names.includes('..'))
    report('BAD_PATH', path, flawOfPath(path))
  if (!utf8) report('NOT_UTF8', path, 'its name or target is not UTF-8')
  const wrong = names.map(name => /[\u0000-\u001f"*<>?\\|]/.exec(name)?.[0]).find(found => found !== undefined)
  if (wrong !== undefined) report('INVALID_NAME', path, `it contains the character ${JSON.stringify(wrong)}`)
  const long = names.find(name => name.replace(/:.*/, '').length > NAME_LIMIT)
  if (long !== undefined) report('NAME_TOO_LONG', path, `a name of ${long.length} characters`)
  else if (plain.length > PATH_LIMIT) report('NAME_TOO_LONG', path, `a path of ${plain.length} characters`)
  if (type === 'directory' && path.endsWith('/') && names.length > 0) {
    if (names.join('/') === 'UtilityVM/Files') report('UTILITY_VM_SLASH', path, 'it ends in a slash')
    else report('TRAILING_SLASH', path, 'it ends in a slash')
  }
  if (type !== 'symlink') return
  if (linkname === '') report('EMPTY_TARGET', path, 'its target is empty')
  if (linkname.length > TARGET_LIMIT) report('LONG_TARGET', path, `a target of ${linkname.length} characters`)
}

function flawOfPath(path: string): string {
  if (path === '') return 'it is empty'
  if (path.startsWith('/')) return 'it is absolute'
  return path.split('/').includes('..') ? 'it contains ".."' : 'it contains "." or an empty name'
}

/** Checks the records of an entry that is neither a stream nor a hard link, whose records Windows ignores. */
export function checkRecords(entry: LayerTarEntry, place: string, report: Report): void {
  const { path, type, records } = entry
  if (type === 'character device' || type === 'block device' || type === 'fifo')
    report('NOT_A_WINDOWS_FILE', path, `it is a ${type}`)
  checkAttributes(entry, report)
  if (records.has('MSWINDOWS.mountpoint') && type !== 'symlink')
    report('MOUNT_POINT', path, `MSWINDOWS.mountpoint on a ${type}`)
  const security = records.get('MSWINDOWS.rawsd')
  if (security !== undefined) checkSecurity(path, security, report)
  else if (!ROOTS.has(place) && !records.has('MSWINDOWS.sd')) report('NO_SECURITY', path, 'no MSWINDOWS.rawsd')
  const missing = ['atime', 'LIBARCHIVE.creationtime'].filter(key => !records.has(key))
  if (missing.length > 0 && !ROOTS.has(place)) report('NO_TIME', path, `no ${missing.join(' and no ')}`)
  for (const [key, value] of records) {
    if (key.startsWith(XATTR)) checkExtendedAttribute(path, key.slice(XATTR.length), value, report)
  }
}

function checkAttributes({ path, type, records }: LayerTarEntry, report: Report): void {
  const text = records.get('MSWINDOWS.fileattr')
  if (text === undefined) {
    if (type !== 'directory') report('NO_ATTRIBUTES', path, 'no MSWINDOWS.fileattr')
    return
  }
  const attributes = Number(text)
  if (!/^\d{1,10}$/.test(text) || attributes > 0xffffffff) {
    report('BAD_ATTRIBUTES', path, `MSWINDOWS.fileattr is ${JSON.stringify(text)}`)
    return
  }
  const has = (bits: number): boolean => (attributes & bits) !== 0
  if (type === 'directory' && !has(FILE_ATTRIBUTE_DIRECTORY))
    report('DIRECTORY_ATTRIBUTE', path, `a directory with ${hex(attributes)}`)
  if (type === 'file' && has(FILE_ATTRIBUTE_DIRECTORY))
    report('DIRECTORY_ATTRIBUTE', path, `a file with ${hex(attributes)}`)
  if (has(FILE_ATTRIBUTE_REPARSE_POINT) !== (type === 'symlink'))
    report('REPARSE_ATTRIBUTE', path, `a ${type} with ${hex(attributes)}`)
  if (has(FILE_ATTRIBUTE_ENCRYPTED)) report('ENCRYPTED', path, `attributes ${hex(attributes)}`)
  if (has(ELSEWHERE)) report('OFFLINE', path, `attributes ${hex(attributes)}`)
}

function hex(attributes: number): string {
  return `0x${attributes.toString(16)}`
}

/** Results by descriptor, because most entries share a few. */
const checked = new Map<string, string | undefined>()

function checkSecurity(path: string, text: string, report: Report): void {
  if (!checked.has(text)) {
    if (checked.size > 5000) checked.clear()
    const bytes = fromBase64(text)
    checked.set(text, bytes ? securityDescriptorFlaw(bytes) : 'it is not base64')
  }
  const flaw = checked.get(text)
  if (flaw !== undefined) report('BAD_SECURITY', path, `MSWINDOWS.rawsd: ${flaw}`)
}

function checkExtendedAttribute(path: string, name: string, text: string, report: Report): void {
  const value = fromBase64(text)
  const nameSize = Buffer.byteLength(name)
  if (!value) report('BAD_ATTRIBUTE_VALUE', path, `${name}: its value is not base64`)
  else if (nameSize === 0 || nameSize > 255)
    report('BAD_ATTRIBUTE_VALUE', path, `${JSON.stringify(name)}: a name of ${nameSize} bytes`)
  else if (value.length > 0xffff) report('BAD_ATTRIBUTE_VALUE', path, `${name}: a value of ${value.length} bytes`)
  else if (value.length === 0) report('EMPTY_ATTRIBUTE', path, name)
}

/** Decodes padded base64 (RFC 4648) as the Windows tools do: only line ends are ignored. Undefined if invalid. */
function fromBase64(text: string): Buffer | undefined {
  const plain = text.replace(/[\r\n]/g, '')
  if (plain.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(plain)) return undefined
  return Buffer.from(plain, 'base64')
}

/** Checks the times of any entry, which the tar reader of the Windows tools always parses. */
export function checkTimes({ path, records }: LayerTarEntry, report: Report): void {
  for (const key of TIMES) {
    const text = records.get(key)
    if (text === undefined || text === '') continue
    if (!/^-?\d{1,18}(\.\d*)?$/.test(text)) report('BAD_TIME', path, `${key} is ${JSON.stringify(text)}`)
    else if (Math.abs(Number(text)) > TIME_LIMIT) report('TIME_RANGE', path, `${key} is ${text}`)
  }
}
