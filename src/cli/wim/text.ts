/** Formats files and blobs of a WIM as text, with the field names of wimlib-imagex. */
import type { DirectoryEntry, Resource } from '../../wim/entry.js'
import { FILE_ATTRIBUTE_ENCRYPTED, FILE_ATTRIBUTE_REPARSE_POINT } from '../../windows/file-attributes.js'
import { filetimeToDate } from '../../windows/filetime.js'

const ATTRIBUTES: readonly (readonly [bit: number, name: string])[] = [
  [0x1, 'READONLY'],
  [0x2, 'HIDDEN'],
  [0x4, 'SYSTEM'],
  [0x10, 'DIRECTORY'],
  [0x20, 'ARCHIVE'],
  [0x40, 'DEVICE'],
  [0x80, 'NORMAL'],
  [0x100, 'TEMPORARY'],
  [0x200, 'SPARSE_FILE'],
  [0x400, 'REPARSE_POINT'],
  [0x800, 'COMPRESSED'],
  [0x1000, 'OFFLINE'],
  [0x2000, 'NOT_CONTENT_INDEXED'],
  [0x4000, 'ENCRYPTED'],
  [0x10000, 'VIRTUAL'],
]

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** `Sat Nov 21 10:40:05 2026 UTC`, or the number itself if it is more than a FILETIME can be. */
export function clockText(filetime: bigint): string {
  const date = filetimeToDate(filetime)
  if (Number.isNaN(date.getTime())) return String(filetime)
  const two = (number: number): string => String(number).padStart(2, '0')
  const day = `${DAYS[date.getUTCDay()]} ${MONTHS[date.getUTCMonth()]} ${two(date.getUTCDate())}`
  const time = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(':')
  return `${day} ${time} ${date.getUTCFullYear()} UTC`
}

/** A file, for `dir --detailed`. */
export function entryText(entry: DirectoryEntry): string {
  const { path, shortName, attributes, security, reparseTag, hardLinkGroup, linkCount, unix, objectId, streams } = entry
  const set = ATTRIBUTES.filter(([bit]) => (attributes & bit) !== 0).map(
    ([, name]) => `    FILE_ATTRIBUTE_${name} is set\n`,
  )
  const ids = ['Object ID', 'Birth Volume ID', 'Birth Object ID', 'Domain ID']
  return [
    `${'-'.repeat(76)}\n`,
    field('Full Path', `"${path}"`),
    field('Short Name', `"${shortName}"`),
    field('Attributes', hex(attributes, 8)),
    ...set,
    ...(security ? [field('Security Descriptor', security.toString('hex'))] : []),
    field('Creation Time', clockText(entry.creationTime)),
    field('Last Write Time', clockText(entry.writeTime)),
    field('Last Access Time', clockText(entry.accessTime)),
    ...((attributes & FILE_ATTRIBUTE_REPARSE_POINT) !== 0
      ? [field('Reparse Tag', `0x${reparseTag.toString(16)}`)]
      : []),
    field('Link Group ID', `0x${hardLinkGroup.toString(16).padStart(16, '0')}`),
    field('Link Count', String(linkCount)),
    ...(unix ? [field('UNIX Data', unixText(unix))] : []),
    ...(objectId ? ids.map((name, n) => field(name, `0x${objectId.toString('hex', 16 * n, 16 * n + 16)}`)) : []),
    ...streams.map(({ name, resource }) => `\t${streamTitle(name, attributes)}:\n${resourceText(resource)}\n`),
  ].join('')
}

function field(name: string, value: string): string {
  return `${name.padEnd(19)} = ${value}\n`
}

function hex(number: number, digits: number): string {
  return `0x${number.toString(16).padStart(digits, '0')}`
}

function unixText({ uid, gid, mode, rdev }: NonNullable<DirectoryEntry['unix']>): string {
  return `uid:${uid} gid:${gid} mode:0${mode.toString(8)} rdev:0x${rdev.toString(16)}`
}

function streamTitle(name: string, attributes: number): string {
  if (name !== '') return `Named data stream "${name}"`
  if ((attributes & FILE_ATTRIBUTE_ENCRYPTED) !== 0) return 'Raw encrypted data stream'
  return (attributes & FILE_ATTRIBUTE_REPARSE_POINT) !== 0 ? 'Reparse point stream' : 'Unnamed data stream'
}

/** A blob, for `info --blobs`. */
export function resourceText(resource: Resource): string {
  const flags = [
    resource.compressed && 'COMPRESSED',
    resource.metadata && 'METADATA',
    resource.free && 'FREE',
    resource.spanned && 'SPANNED',
    resource.solid && 'SOLID',
  ]
  const { sha1, size, solid, resourceSize, resourceCompressedSize, resourceOffset } = resource
  const line = (name: string, value: string): string => `${name.padEnd(17)} = ${value}\n`
  const place = solid
    ? line('Solid resource', `${resourceSize} => ${resourceCompressedSize} bytes @ offset ${resourceOffset}`) +
      line('Solid offset', `${resource.offset} bytes`)
    : line('Compressed size', `${resource.compressedSize} bytes`) + line('Offset in WIM', `${resource.offset} bytes`)
  return (
    line('Hash', `0x${sha1}`) +
    line('Uncompressed size', `${size} bytes`) +
    place +
    line('Part Number', String(resource.partNumber)) +
    line('Reference Count', String(resource.references)) +
    line(
      'Flags',
      flags
        .filter(flag => flag !== false)
        .map(flag => `WIM_RESHDR_FLAG_${flag}  `)
        .join(''),
    )
  )
}
