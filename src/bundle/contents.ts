/** The paths in a bundle, relative to its top directory. Format: docs/bundle-format.md. */
import { DOCKER_FILE } from '../archive/heads.js'
import { INDEX_FILE, LAYOUT_FILE } from '../oci/layout.js'
import { CHECKSUMS_FILE } from './checksums.js'
import { BUNDLE_FILE } from './manifest.js'
import { README_FILE } from './readme.js'

/** Exists from the first write until the bundle is sealed. */
export const INCOMPLETE_FILE = 'INCOMPLETE'
export const INCOMPLETE_TEXT = `This bundle is not complete: "stowage pack" is still writing it, or was interrupted.
Do not load it. Run the same command again to finish it, or delete this directory.
`

export const BLOBS = 'blobs'
/** The directory of files carried besides the images. */
export const FILES = 'files'

/** Largest bundle.json, SHA256SUMS or head that is read, in bytes: enough for the files of 10,000 images. */
export const DOCUMENT_LIMIT = 64 * 1024 * 1024

/** The documents that a complete bundle must have. */
export const REQUIRED_DOCUMENTS: readonly string[] = [LAYOUT_FILE, INDEX_FILE, DOCKER_FILE, BUNDLE_FILE, CHECKSUMS_FILE]
/** Every file of a bundle that is neither a blob nor a carried file. */
export const DOCUMENTS: readonly string[] = [README_FILE, ...REQUIRED_DOCUMENTS]

/** A kind of file that may stand in a sealed bundle although no list of it names the file. */
interface BesideFile {
  readonly name: RegExp
  readonly title: string
  /** In bytes; recovery data may have any size. */
  readonly limit: number
}

const MIB = 1024 * 1024

/** Largest file of a signature, in bytes. */
export const SIGNATURE_LIMIT = MIB

/** Signatures of bundle.json, for openssl and for cosign, by any number of keys. */
const SIGNATURE: BesideFile = {
  name: /^bundle\.json(\.[0-9A-Za-z_-]{1,128})?\.(sig|sigstore\.json)$/,
  title: 'a signature',
  limit: SIGNATURE_LIMIT,
}

/** All that may stand beside the contents of a sealed bundle, at its top. Documented in docs/bundle-format.md. */
const BESIDE: readonly BesideFile[] = [
  SIGNATURE,
  { name: /^receipt-[0-9A-Za-z._-]{1,200}\.json$/, title: 'a receipt', limit: 16 * MIB },
  // `stowage protect` writes it, for the par2 command too
  { name: /^recovery(\.vol\d+\+\d+)?\.par2$/, title: 'recovery data', limit: Infinity },
]

/** Whether a file of this path may stand in a sealed bundle without being listed. */
export function isBeside(path: string): boolean {
  return BESIDE.some(({ name }) => name.test(path))
}

export function isSignature(path: string): boolean {
  return SIGNATURE.name.test(path)
}

/** Why the file, which {@link isBeside}, is too large; undefined if it is not. */
export function tooLargeBeside(path: string, size: number): string | undefined {
  const kind = BESIDE.find(({ name }) => name.test(path))
  if (!kind || size <= kind.limit) return undefined
  return `it has ${size} bytes, but ${kind.title} has at most ${kind.limit}`
}
