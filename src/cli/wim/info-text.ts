/** The text output of `stowage wim info`, with the field names and order of wimlib-imagex for scripts that parse it. */
import type { ResourceHeader, WimHeader } from '../../wim/header.js'
import type { WimImage } from '../../wim/image.js'
import type { WimFile } from '../../wim/wim-file.js'
import { clockText } from './text.js'
import type { WimInfo } from '../../wim/info.js'
import type { BlobCount } from '../../wim/missing.js'
import { filetimeToISOString } from '../../windows/filetime.js'

const COMPRESSIONS = { none: 'None', xpress: 'XPRESS', lzx: 'LZX', lzms: 'LZMS' } as const
const ARCHITECTURES: Readonly<Record<string, string>> = { 0: 'x86', 5: 'ARM', 6: 'ia64', 9: 'x86_64', 12: 'ARM64' }
const HEADER_FLAGS: readonly (readonly [bit: number, name: string])[] = [
  [0x1, 'RESERVED'],
  [0x2, 'COMPRESSION'],
  [0x4, 'READONLY'],
  [0x8, 'SPANNED'],
  [0x10, 'RESOURCE_ONLY'],
  [0x20, 'METADATA_ONLY'],
  [0x40, 'WRITE_IN_PROGRESS'],
  [0x80, 'RP_FIX'],
  [0x10000, 'COMPRESS_RESERVED'],
  [0x20000, 'COMPRESS_XPRESS'],
  [0x40000, 'COMPRESS_LZX'],
  [0x80000, 'COMPRESS_LZMS'],
  [0x200000, 'COMPRESS_XPRESS_2'],
]

/** Fields of an image in the order of output: the label, the property, and the function that formats its value. */
const FIELDS: readonly (readonly [label: string, property: string, read: (value: string) => string])[] = [
  ['Display Name', 'DISPLAYNAME', String],
  ['Display Description', 'DISPLAYDESCRIPTION', String],
  ['Directory Count', 'DIRCOUNT', numberText],
  ['File Count', 'FILECOUNT', numberText],
  ['Total Bytes', 'TOTALBYTES', numberText],
  ['Hard Link Bytes', 'HARDLINKBYTES', numberText],
  ['Creation Time', 'CREATIONTIME', String],
  ['Last Modification Time', 'LASTMODIFICATIONTIME', String],
  ['Architecture', 'WINDOWS/ARCH', value => ARCHITECTURES[numberText(value)] ?? 'unknown'],
  ['Product Name', 'WINDOWS/PRODUCTNAME', String],
  ['Edition ID', 'WINDOWS/EDITIONID', String],
  ['Installation Type', 'WINDOWS/INSTALLATIONTYPE', String],
  ['HAL', 'WINDOWS/HAL', String],
  ['Product Type', 'WINDOWS/PRODUCTTYPE', String],
  ['Product Suite', 'WINDOWS/PRODUCTSUITE', String],
  ['Languages', 'WINDOWS/LANGUAGES', String],
  ['Default Language', 'WINDOWS/LANGUAGES/DEFAULT', String],
  ['System Root', 'WINDOWS/SYSTEMROOT', String],
  ['Major Version', 'WINDOWS/VERSION/MAJOR', numberText],
  ['Minor Version', 'WINDOWS/VERSION/MINOR', numberText],
  ['Build', 'WINDOWS/VERSION/BUILD', numberText],
  ['Service Pack Build', 'WINDOWS/VERSION/SPBUILD', numberText],
  ['Service Pack Level', 'WINDOWS/VERSION/SPLEVEL', numberText],
  ['Flags', 'FLAGS', String],
]

/** The properties of the archive, followed by a blank line. `blobs`, if it is known, is what its images use. */
export function archiveText(path: string, info: WimInfo, xml: string, blobs: BlobCount | undefined): string {
  const attributes = [
    info.pipable && 'Pipable',
    info.integrityTable && 'Integrity info',
    info.rpfix && 'Relative path junction',
    info.resourceOnly && 'Resource only',
    info.metadataOnly && 'Metadata only',
    info.readonly && 'Readonly',
  ]
  const total = /<TOTALBYTES>(\d+)<\/TOTALBYTES>/.exec(xml.replace(/<IMAGE[ >].*?<\/IMAGE>/gs, ''))?.[1]
  const rows = [
    ['Path', path],
    ['GUID', `0x${info.guid}`],
    ['Version', String(info.version)],
    ['Image Count', String(info.imageCount)],
    ['Compression', COMPRESSIONS[info.compression]],
    ['Chunk Size', `${info.chunkSize} bytes`],
    ['Part Number', `${info.part}/${info.totalParts}`],
    ['Boot Index', String(info.bootIndex)],
    ['Size', `${total ?? '0'} bytes`],
    ['Attributes', attributes.filter(word => word !== false).join(', ')],
    ...(blobs && blobs.missing > 0
      ? [['Missing Blobs', `${missingText(blobs)} (a delta WIM: name its base with --ref)`]]
      : []),
  ]
  return `WIM Information:\n----------------\n${rows.map(([name, text]) => `${`${name}:`.padEnd(15)} ${text}\n`).join('')}\n`
}

/** wimlib-imagex has no field for this, so it is shown only if something is missing. */
function missingText({ used, missing }: BlobCount): string {
  return `${missing} of ${used}`
}

/**
 * One image, with one field per line. `xml` is the XML document of the WIM; `blobs`, if it is known, is what the image
 * uses.
 */
export async function imageText(
  wim: WimFile,
  image: number,
  xml: string,
  blobs: BlobCount | undefined,
): Promise<string> {
  const { name, description } = wim.image(image)
  const element = new RegExp(`<IMAGE INDEX="${image}">.*?</IMAGE>`, 's').exec(xml)?.[0] ?? ''
  const rows: (readonly [label: string, value: string])[] = [
    ['Index', String(image)],
    ['Name', name],
    ['Description', description ?? ''],
  ]
  for (const [label, property, read] of FIELDS) {
    const found = (await propertyText(wim, image, property)) ?? (isNumber(property, element) ? '0' : undefined)
    if (found !== undefined) rows.push([label, read(found)])
  }
  const wimboot = numberText((await wim.property(image, 'WIMBOOT')) ?? '0') === '1'
  rows.push(['WIMBoot compatible', wimboot ? 'yes' : 'no'])
  if (blobs && blobs.missing > 0) rows.push(['Missing Blobs', missingText(blobs)])
  return rows.map(([label, text]) => `${`${label}:`.padEnd(23)} ${text}\n`).join('')
}

/** Whether wimlib-imagex shows this number as 0 if it is missing, which it does if the element around it exists. */
function isNumber(property: string, element: string): boolean {
  if (property === 'WINDOWS/ARCH') return element.includes('<WINDOWS>')
  return property.startsWith('WINDOWS/VERSION/') && element.includes('<VERSION>')
}

async function propertyText(wim: WimFile, image: number, property: string): Promise<string | undefined> {
  const get = async (name: string): Promise<string | undefined> => wim.property(image, name)
  if (property.endsWith('TIME')) {
    const [high, low] = [await get(`${property}/HIGHPART`), await get(`${property}/LOWPART`)]
    return high === undefined && low === undefined ? undefined : clockText((integer(high) << 32n) | integer(low))
  }
  if (property === 'WINDOWS/LANGUAGES') {
    const { languages } = wim.image(image).windows ?? { languages: [] }
    return languages.length === 0 ? undefined : languages.map(language => `${language} `).join('')
  }
  return get(property)
}

function integer(text: string = '0'): bigint {
  const match = /^\s*(0x[0-9a-f]+|\d+)/i.exec(text)
  return match?.[1] === undefined ? 0n : BigInt(match[1]) & 0xffffffffn
}

/** The leading digits of a value, which C would parse, or 0. */
function numberText(value: string): string {
  return /^\s*0*(\d+)/.exec(value)?.[1] ?? '0'
}

export function headerText(header: WimHeader): string {
  const line = (name: string, value: string | number): string => `${name.padEnd(27)} = ${value}\n`
  const hex = (number: number): string => `0x${number.toString(16)}`
  const resource = (
    name: string,
    { size, flags, offset, originalSize }: ResourceHeader,
    last = 'Original Size',
  ): string =>
    line(`${name} Size`, size) +
    line(`${name} Flags`, hex(flags)) +
    line(`${name} Offset`, offset) +
    line(`${name} ${last}`, originalSize)
  const set = HEADER_FLAGS.filter(([bit]) => (header.flags & bit) !== 0).map(
    ([, name]) => `    WIM_HDR_FLAG_${name} is set\n`,
  )
  return (
    line('Magic Characters', header.magic.replaceAll('\0', '\\0')) +
    line('Header Size', header.headerSize) +
    line('Version', hex(header.version)) +
    line('Flags', hex(header.flags)) +
    set.join('') +
    line('Chunk Size', header.chunkSize) +
    line('GUID', header.guid) +
    line('Part Number', header.partNumber) +
    line('Total Parts', header.totalParts) +
    line('Image Count', header.imageCount) +
    resource('Blob Table', header.blobTable, 'Original_size') +
    resource('XML Data', header.xmlData) +
    resource('Boot Metadata', header.bootMetadata) +
    line('Boot Index', header.bootIndex) +
    resource('Integrity', header.integrity, 'Original_size')
  )
}

/** An image for JSON output. `blobs`, if it is known, is what it uses. */
export async function imageDocument(
  wim: WimFile,
  image: number,
  blobs?: BlobCount,
): Promise<Readonly<Record<string, unknown>>> {
  const { created, modified, ...rest }: WimImage = wim.image(image)
  const time = (filetime: bigint | undefined): string | undefined =>
    filetime === undefined ? undefined : filetimeToISOString(filetime)
  const flags = await wim.property(image, 'FLAGS')
  return {
    ...rest,
    created: time(created),
    modified: time(modified),
    flags,
    bootable: wim.info.bootIndex === image,
    ...blobsDocument(blobs),
  }
}

/** What is in JSON output for {@link BlobCount}. */
export function blobsDocument(blobs: BlobCount | undefined): Readonly<Record<string, unknown>> {
  return blobs ? { usedBlobs: blobs.used, missingBlobs: blobs.missing } : {}
}
