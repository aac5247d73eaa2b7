/**
 * What can be known of a bundle without reading what is not loaded: defects that `verify` finds, too. What could change
 * what is loaded is refused; the rest is told. docs/load.md has the table.
 */
import { engineNames } from '../archive/heads.js'
import { StowageError } from '../errors.js'
import { groupByRoot } from '../image/selection.js'
import { type Digest, digestOf } from '../oci/digest.js'
import { type Descriptor } from '../oci/descriptor.js'
import { DOCKER_FILE } from '../archive/heads.js'
import { INDEX_FILE, LAYOUT_FILE, nameOf } from '../oci/layout.js'
import { formatReference, parseReference, type Reference } from '../oci/reference.js'
import { CHECKSUMS_FILE, comparePaths } from './checksums.js'
import { BLOBS, isBeside, tooLargeBeside } from './contents.js'
import { type BundleFiles, readSmall } from './files.js'
import type { Finding, FindingCode } from './graph.js'
import { BUNDLE_FILE, type BundleManifest, digestOfIntegrity } from './manifest.js'
import { README_FILE } from './readme.js'

const README_LIMIT = 1024 * 1024
/** More than these are counted. */
const TOLD = 5

/**
 * Throws BUNDLE_INVALID if the lists contradict one another about what is loaded: a blob, a head, an image or its names.
 */
export function refuseContradictions(
  manifest: BundleManifest,
  sums: ReadonlyMap<string, Digest>,
  index: readonly Descriptor[],
): void {
  for (const { path, message } of listsDiffer(manifest, sums)) {
    if (isLoaded(path)) throw new StowageError('BUNDLE_INVALID', `${path}: ${message}`, { hint: HINT })
  }
  const listed = new Map(
    groupByRoot(index.map(root => ({ root, name: nameOf(root) }))).map(each => [each.root.digest, each]),
  )
  const ours = new Set(manifest.images.map(({ root }) => root.digest))
  for (const digest of listed.keys()) {
    if (!ours.has(digest)) throw contradiction(`${INDEX_FILE} has an image ${digest} that ${BUNDLE_FILE} does not have`)
  }
  for (const { root, names } of manifest.images) {
    const other = listed.get(root.digest)
    if (!other) throw contradiction(`${BUNDLE_FILE} has an image ${root.digest} that ${INDEX_FILE} does not have`)
    const [said, found] = [namesText(names.map(parseReference)), namesText(other.names)]
    if (said !== found)
      throw contradiction(`${root.digest} is named ${said} in ${BUNDLE_FILE}, but ${found} in ${INDEX_FILE}`)
  }
}

/** Defects of what is not loaded: the caller tells them, and goes on. Sorted by path, then by code. */
export async function doubtsAbout(
  files: Pick<BundleFiles, 'files' | 'read'>,
  manifest: BundleManifest,
  sums: ReadonlyMap<string, Digest>,
  signal: AbortSignal | undefined,
): Promise<readonly Finding[]> {
  const doubts: Finding[] = listsDiffer(manifest, sums).map(each => ({ ...each, code: 'LISTS_DIFFER' }))
  const find = (code: FindingCode, path: string, message: string): unknown => doubts.push({ code, path, message })
  const listed = new Map(manifest.files.map(file => [file.path, file]))
  const known = new Set([...listed.keys(), ...sums.keys(), BUNDLE_FILE, CHECKSUMS_FILE])
  for (const { path, size, type } of files.files.values()) {
    if (type !== 'file') find('NOT_A_FILE', path, 'a link, a device or a name that is not UTF-8: it was not read')
    else if (isBeside(path)) {
      const why = tooLargeBeside(path, size)
      if (why) find('FILE_EXTRA', path, why)
    } else if (!known.has(path)) find('FILE_EXTRA', path, `neither ${BUNDLE_FILE} nor ${CHECKSUMS_FILE} lists the file`)
  }
  for (const [path, { size }] of listed) {
    const file = files.files.get(path)
    if (!file) find('FILE_MISSING', path, `the file is missing; ${BUNDLE_FILE} lists it`)
    else if (file.type === 'file' && file.size !== size)
      find('SIZE_MISMATCH', path, `expected ${size} bytes but found ${file.size}`)
  }
  const readme = listed.get(README_FILE)
  if (readme && files.files.get(README_FILE)?.type === 'file' && readme.size === files.files.get(README_FILE)?.size) {
    const digest = digestOf(await readSmall(files, README_FILE, README_LIMIT, signal))
    const expected = digestOfIntegrity(readme.integrity)
    if (digest !== expected) find('DIGEST_MISMATCH', README_FILE, `expected ${expected} but the content is ${digest}`)
  }
  return doubts.sort((a, b) => comparePaths(a.path, b.path) || comparePaths(a.code, b.code))
}

/** Sentences about what {@link doubtsAbout} gives. */
export function doubtsText(path: string, doubts: readonly Finding[]): readonly string[] {
  if (doubts.length === 0) return []
  const shown = doubts.slice(0, TOLD).map(({ code, path, message }) => `${code}  ${path}: ${message}`)
  const more = doubts.length > TOLD ? [`and ${doubts.length - TOLD} more`] : []
  return [...shown, ...more, `${path} is not as it was packed: "stowage verify ${path}" finds all that is wrong`]
}

const HINT = '"stowage verify" names everything that is wrong. Get the bundle again from where it was packed.'

function contradiction(message: string): StowageError {
  return new StowageError('BUNDLE_INVALID', message, { hint: HINT })
}

function listsDiffer(
  manifest: BundleManifest,
  sums: ReadonlyMap<string, Digest>,
): readonly { readonly path: string; readonly message: string }[] {
  const listed = new Map(manifest.files.map(file => [file.path, digestOfIntegrity(file.integrity)]))
  const found: { path: string; message: string }[] = []
  for (const path of new Set([...listed.keys(), ...sums.keys()])) {
    const [ours, theirs] = [listed.get(path), sums.get(path)]
    if (ours === theirs || path === BUNDLE_FILE) continue
    const message =
      ours && theirs
        ? `${BUNDLE_FILE} says ${ours} but ${CHECKSUMS_FILE} says ${theirs}`
        : `only ${ours ? BUNDLE_FILE : CHECKSUMS_FILE} lists the file`
    found.push({ path, message })
  }
  return found
}

function isLoaded(path: string): boolean {
  return path.startsWith(`${BLOBS}/`) || [LAYOUT_FILE, INDEX_FILE, DOCKER_FILE].includes(path)
}

function namesText(names: readonly Reference[]): string {
  return engineNames(names).map(formatReference).sort().join(' ') || 'nothing'
}
