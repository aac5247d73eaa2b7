/** Reads the facts that a WIM states about itself and its images. */
import { StowageError } from '../errors.js'
import type { Platform } from '../oci/platform.js'
import type { NativeWimFile } from './addon.js'
import { compressionName } from './compression.js'
import type { WimInfo } from './info.js'
import type { WimXml } from './wim-xml.js'

/** One image, from the archive's XML. */
export interface WimImage {
  /** From 1. */
  readonly index: number
  readonly name: string
  readonly description: string | undefined
  readonly displayName: string | undefined
  readonly directories: number
  readonly files: number
  /** Total size of its files in bytes, as the XML states it (`TOTALBYTES`). */
  readonly size: number
  /** FILETIMEs, 100 ns since 1601-01-01 UTC. */
  readonly created: bigint | undefined
  readonly modified: bigint | undefined
  /** Facts about Windows; undefined if the XML states neither an architecture nor a version. */
  readonly windows: WindowsInfo | undefined
}

export interface WindowsInfo {
  /** A GOARCH value (`amd64`, `arm64`, `386`, `arm`), or the number in the XML if it has none; undefined without one. */
  readonly architecture: string | undefined
  /** MAJOR.MINOR.BUILD.SPBUILD. */
  readonly version: string | undefined
  readonly productName: string | undefined
  readonly editionId: string | undefined
  readonly installationType: string | undefined
  readonly languages: readonly string[]
}

/** The facts read from a WIM while no job was running. */
export interface WimFacts {
  readonly info: WimInfo
  readonly images: readonly WimImage[]
}

const ARCHITECTURES: Readonly<Record<string, string>> = { 0: '386', 5: 'arm', 6: 'ia64', 9: 'amd64', 12: 'arm64' }

/**
 * Reads the facts while no job is running on this WIM: from libwim if it has the WIM, with what was changed in memory,
 * else from `xml()`, the XML data in the file.
 */
export function readFacts(native: NativeWimFile, xml: () => WimXml): WimFacts {
  const { compression, guid, ...facts } = native.info()
  const info: WimInfo = { ...facts, compression: compressionName(compression), guid: guid.toString('hex') }
  const source = native.isOpened() ? native : xml()
  return { info, images: Array.from({ length: info.imageCount }, (_, n) => readImage(source, n + 1)) }
}

function readImage(source: Pick<NativeWimFile, 'property'> | WimXml, index: number): WimImage {
  const text = (name: string): string | undefined => source.property(index, name)
  const count = (name: string): number => Number(text(name) ?? 0)
  return {
    index,
    name: text('NAME') ?? '',
    description: text('DESCRIPTION'),
    displayName: text('DISPLAYNAME'),
    directories: count('DIRCOUNT'),
    files: count('FILECOUNT'),
    size: count('TOTALBYTES'),
    created: fileTime(text('CREATIONTIME/HIGHPART'), text('CREATIONTIME/LOWPART')),
    modified: fileTime(text('LASTMODIFICATIONTIME/HIGHPART'), text('LASTMODIFICATIONTIME/LOWPART')),
    windows: windowsInfo(text),
  }
}

function windowsInfo(text: (name: string) => string | undefined): WindowsInfo | undefined {
  const architecture = text('WINDOWS/ARCH')
  const numbers = ['MAJOR', 'MINOR', 'BUILD', 'SPBUILD'].map(part => text(`WINDOWS/VERSION/${part}`))
  const known = numbers.slice(0, 3).every(number => number !== undefined && /^\d+$/.test(number))
  if (architecture === undefined && !known) return undefined
  const languages: string[] = []
  for (let n = 1; ; n += 1) {
    const language = text(`WINDOWS/LANGUAGES/LANGUAGE[${n}]`)
    if (language === undefined) break
    languages.push(language)
  }
  return {
    architecture: architecture === undefined ? undefined : (ARCHITECTURES[architecture] ?? architecture),
    version: known ? numbers.map(number => number ?? '0').join('.') : undefined,
    productName: text('WINDOWS/PRODUCTNAME'),
    editionId: text('WINDOWS/EDITIONID'),
    installationType: text('WINDOWS/INSTALLATIONTYPE'),
    languages,
  }
}

function fileTime(high: string | undefined, low: string | undefined): bigint | undefined {
  const hex = /^0x[0-9a-f]{1,8}$/i
  if (high === undefined || low === undefined || !hex.test(high) || !hex.test(low)) return undefined
  return (BigInt(high) << 32n) | BigInt(low)
}

/** The platform of the image as the XML states it; undefined if it does not. */
export function wimPlatform({ windows }: WimImage): Platform | undefined {
  if (windows?.architecture === undefined) return undefined
  return {
    os: 'windows',
    architecture: windows.architecture,
    ...(windows.version ? { 'os.version': windows.version } : {}),
  }
}

/** See `WimFile.image()`. `name` is that of the WIM, for errors. */
export function findImage(images: readonly WimImage[], selector: string | number, name: string): WimImage {
  const byIndex = /^\d+$/.test(String(selector)) ? images[Number(selector) - 1] : undefined
  const found = byIndex ?? images.find(image => image.name === String(selector))
  if (found) return found
  throw new StowageError('IMAGE_NOT_FOUND', `${name} has no image ${JSON.stringify(String(selector))}`, {
    hint: images.length > 0 ? `It has: ${listText(images)}.` : 'It has no images.',
  })
}

/** The number of the only image. Throws IMAGE_NOT_FOUND if there is none, INVALID_ARGUMENT if there are several. */
export function onlyWimImage(images: readonly WimImage[], name: string): number {
  const [image, ...others] = images
  if (!image) throw new StowageError('IMAGE_NOT_FOUND', `${name} has no images`)
  if (others.length === 0) return image.index
  throw new StowageError('INVALID_ARGUMENT', `${name} has ${images.length} images: ${listText(images)}`, {
    hint: 'Pass the number of one of them.',
  })
}

function listText(images: readonly WimImage[]): string {
  return images.map(({ index, name }) => `${index} ${JSON.stringify(name)}`).join(', ')
}
