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
/** Recovery data that may stand in a sealed bundle directory: `stowage protect` writes it, for the par2 command too. */
export const RECOVERY_FILE = /^recovery(\.vol\d+\+\d+)?\.par2$/
