/** The image in an engine's export: untouched where it is an OCI layout, else with a manifest written around it. */
import type { BlobDirectory } from '../blob/directory.js'
import { readVerified } from '../blob/verified.js'
import { StowageError } from '../errors.js'
import { parseConfig } from '../oci/config.js'
import { type Descriptor, describe } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { array, optionalArray, parseJson, record, string } from '../oci/json.js'
import { INDEX_FILE, LAYOUT_FILE, parseLayoutIndex } from '../oci/layout.js'
import { MANIFEST_LIMIT, parseManifest } from '../oci/manifest.js'
import { isIndex, isManifest, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST } from '../oci/media-type.js'
import type { ExportArchive } from './export-archive.js'

/**
 * The root of the one image of `archive`, with all it reaches in `directory`.
 *
 * Docker 25 and later export an OCI layout; its manifests and blobs are taken as they are. Engines leave out what they
 * do not have without a word: of an index that lacks platforms the only whole image is taken, anything else that is not
 * whole is BLOB_MISSING. Older engines and Podman export a config and plain tar layers: those bytes stay, and an OCI
 * manifest that names them is added. Throws BLOB_MISSING, DIGEST_MISMATCH, INVALID_MANIFEST.
 */
export async function findExportedImage(
  archive: ExportArchive,
  directory: BlobDirectory,
  name: string,
): Promise<Descriptor> {
  const index = archive.find(LAYOUT_FILE) && (await archive.read(INDEX_FILE))
  if (!index) return await describeDockerArchive(archive, directory, name)
  const roots = new Map(parseLayoutIndex(index, INDEX_FILE).map(root => [root.digest, root]))
  const [root, ...others] = roots.values()
  if (!root || others.length > 0) {
    throw new StowageError('INVALID_MANIFEST', `the export of ${name}: expected one image but found ${roots.size}`)
  }
  return await wholeRoot(root, directory, name)
}

async function wholeRoot(root: Descriptor, directory: BlobDirectory, name: string): Promise<Descriptor> {
  const missing = await missingBelow(root, directory)
  if (missing.length === 0) return root
  const whole: Descriptor[] = []
  for (const child of await childrenOf(root, directory)) {
    const image = isManifest(child.mediaType) && child.platform?.os !== 'unknown'
    if (image && (await missingBelow(child, directory)).length === 0) whole.push(child)
  }
  const [only, ...others] = whole
  if (isIndex(root.mediaType) && only && others.length === 0) return only
  throw new StowageError('BLOB_MISSING', `the engine's export of ${name} lacks ${missing.join(', ')}`, {
    hint: 'The engine does not hold all of it (load or pull it again), or it has foreign layers, which no export holds.',
  })
}

/** Digests of what is not in `directory` of all that `blob` reaches. */
async function missingBelow(blob: Descriptor, directory: BlobDirectory): Promise<readonly Digest[]> {
  if (!(await directory.has(blob))) return [blob.digest]
  const missing: Digest[] = []
  for (const child of await childrenOf(blob, directory)) missing.push(...(await missingBelow(child, directory)))
  return missing
}

async function childrenOf(blob: Descriptor, directory: BlobDirectory): Promise<readonly Descriptor[]> {
  const parent = isIndex(blob.mediaType) || isManifest(blob.mediaType)
  if (!parent || !(await directory.has(blob))) return []
  const parsed = parseManifest(await readVerified(blob, directory.fetch(blob), MANIFEST_LIMIT), blob.digest, blob.mediaType)
  return parsed.type === 'index' ? parsed.manifests : [parsed.config, ...parsed.layers]
}

/** The form of Docker before 25, and of Podman. Source: moby, image/spec/v1.2. */
async function describeDockerArchive(archive: ExportArchive, directory: BlobDirectory, name: string): Promise<Descriptor> {
  const where = 'manifest.json'
  const bytes = await archive.read(where)
  if (!bytes) throw lacking(name, where)
  const images = array({ images: parseJson(bytes, where) }, 'images', where)
  if (images.length !== 1) {
    throw new StowageError('INVALID_MANIFEST', `the export of ${name}: expected one image but found ${images.length}`)
  }
  const image = record(images[0], where)
  const configName = string(image, 'Config', where)
  const config = archive.find(configName)
  const configBytes = await archive.read(configName)
  if (!config || !configBytes) throw lacking(name, configName)
  const { diffIds } = parseConfig(configBytes, configName)
  const paths = optionalArray(image, 'Layers', where)
  if (paths.length !== diffIds.length) {
    const what = `the export of ${name} has ${paths.length} layers, but its config says ${diffIds.length}`
    throw new StowageError('INVALID_MANIFEST', what)
  }
  const layers = diffIds.map((diffId, n) => {
    const path = String(paths[n])
    const layer = archive.find(path)
    if (!layer) throw lacking(name, path)
    if (layer.digest !== diffId) {
      const what = `expected ${diffId} as layer ${n + 1} of ${name} but ${path} is ${layer.digest}`
      throw new StowageError('DIGEST_MISMATCH', what)
    }
    return { mediaType: OCI_LAYER, ...layer }
  })
  const manifest = new TextEncoder().encode(
    JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, config: { mediaType: OCI_CONFIG, ...config }, layers }),
  )
  const root = describe(OCI_MANIFEST, manifest)
  await directory.put(root, async function* () { yield manifest })
  return root
}

function lacking(name: string, path: string): StowageError {
  return new StowageError('BLOB_MISSING', `the engine's export of ${name} has no ${path}`, {
    hint: 'The engine does not hold the whole image: load or pull it again.',
  })
}
