/** Files that a bundle carries besides its images, below `files/`: their paths and their descriptors. */
import { hashFile } from '../blob/hash-file.js'
import { StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { WaitOptions } from '../progress.js'
import { FILES } from './contents.js'
import { isBundlePath } from './manifest.js'

/** Names that Windows reserves for devices, with any extension. */
const DEVICE = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/i

/**
 * The path in the bundle of a file to be carried as `path`. Throws INVALID_ARGUMENT if some file system of a medium
 * cannot hold the name, or if it clashes with one of `taken`.
 */
export function carriedPath(path: string, taken: readonly string[]): string {
  const place = `${FILES}/${path}`
  const bad = path
    .split('/')
    .find(part => /[<>:"|?*\x00-\x1f]/.test(part) || /[. ]$/.test(part) || DEVICE.test(part) || part.length > 200)
  if (!isBundlePath(place) || bad !== undefined || path.length > 1000) {
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(path)} is not a valid path for a file in a bundle`, {
      hint: 'Separate names with "/", and avoid what FAT or Windows does not allow: < > : " | ? * \\, a dot or a space at the end.',
    })
  }
  const other = taken.find(known => clash(known, place))
  if (other !== undefined) {
    throw new StowageError(
      'INVALID_ARGUMENT',
      `two files would be carried as ${other} and ${place}, which are the same name on FAT and Windows`,
      {
        hint: 'Give one of them another name.',
      },
    )
  }
  return place
}

/** The descriptor of the file `source`. Throws FILE_NOT_FOUND, INVALID_ARGUMENT if it is not a file, ABORTED. */
export async function describeFile(source: string, options: WaitOptions = {}): Promise<Descriptor> {
  return { mediaType: 'application/octet-stream', ...(await hashFile(source, options)) }
}

/** Whether two paths are the same, or one is a directory of the other, ignoring case. */
function clash(one: string, other: string): boolean {
  const [a, b] = [one.toLowerCase(), other.toLowerCase()]
  return a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`)
}
