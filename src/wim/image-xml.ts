/** Writes the XML data of a WIM. Source: Microsoft's WIM white paper, "XML data". */
import { StowageError } from '../errors.js'

/** One image for the XML. */
export interface ImageDescription {
  readonly name: string
  readonly description: string | undefined
  readonly directories: number
  readonly files: number
  readonly size: number
  readonly hardLinkSize: number
  /** FILETIME: 100 ns since 1601-01-01 UTC. */
  readonly created: bigint
  /** Facts about Windows; undefined for an image without it. */
  readonly windows: { readonly architecture: string; readonly version: string | undefined } | undefined
}

/** Numbers in the XML by GOARCH value. */
const ARCHITECTURES: Readonly<Record<string, number>> = { '386': 0, arm: 5, ia64: 6, amd64: 9, arm64: 12 }

/**
 * The IMAGE elements, in order, which are the content of the WIM element apart from its size. Throws INVALID_ARGUMENT.
 */
export function encodeImages(images: readonly ImageDescription[]): string {
  return images
    .map((image, n) => {
      const { name, description, directories, files, size, hardLinkSize, created, windows } = image
      const time = element('HIGHPART', hex(created >> 32n)) + element('LOWPART', hex(created & 0xffffffffn))
      const fields = [
        element('DIRCOUNT', String(directories)),
        element('FILECOUNT', String(files)),
        element('TOTALBYTES', String(size)),
        element('HARDLINKBYTES', String(hardLinkSize)),
        element('CREATIONTIME', time),
        element('LASTMODIFICATIONTIME', time),
        windows ? element('WINDOWS', encodeWindows(windows)) : '',
        element('NAME', text(name)),
        description === undefined ? '' : element('DESCRIPTION', text(description)),
      ]
      return `<IMAGE INDEX="${n + 1}">${fields.join('')}</IMAGE>`
    })
    .join('')
}

/** The number of an architecture: 9 for `amd64`. Throws INVALID_ARGUMENT listing the known ones. */
export function checkArchitecture(architecture: string): number {
  const number = Object.hasOwn(ARCHITECTURES, architecture) ? ARCHITECTURES[architecture] : undefined
  if (number !== undefined) return number
  throw new StowageError(
    'INVALID_ARGUMENT',
    `${JSON.stringify(architecture)} is not an architecture that a WIM can record`,
    {
      hint: `Use one of ${Object.keys(ARCHITECTURES).join(', ')}.`,
    },
  )
}

/** The numbers in MAJOR.MINOR.BUILD[.SPBUILD]. Throws INVALID_ARGUMENT. */
export function checkWindowsVersion(version: string): readonly string[] {
  const match = /^(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?$/.exec(version)
  if (match) return match.slice(1).filter(number => number !== undefined)
  throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(version)} is not a version of Windows`, {
    hint: 'Write MAJOR.MINOR.BUILD.SPBUILD, such as 10.0.20348.169.',
  })
}

function encodeWindows({
  architecture,
  version,
}: {
  readonly architecture: string
  readonly version: string | undefined
}): string {
  const numbers = version === undefined ? [] : checkWindowsVersion(version)
  const parts = ['MAJOR', 'MINOR', 'BUILD', 'SPBUILD'].flatMap((name, n) => {
    const number = numbers[n]
    return number === undefined ? [] : [element(name, number)]
  })
  return (
    element('ARCH', String(checkArchitecture(architecture))) +
    (parts.length > 0 ? element('VERSION', parts.join('')) : '')
  )
}

function element(name: string, content: string): string {
  return `<${name}>${content}</${name}>`
}

function hex(part: bigint): string {
  return `0x${part.toString(16).toUpperCase().padStart(8, '0')}`
}

function text(value: string): string {
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/u.test(value)) {
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(value)} cannot be written in the XML of a WIM`)
  }
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
