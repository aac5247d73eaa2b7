/** Finds the image in an engine's export: unchanged if it is an OCI layout, else with a manifest that is added. */
import type { ArchiveFiles } from '../archive/archive-files.js'
import { DockerImages, readDockerEntries } from '../archive/docker-images.js'
import { type WholeRoot, wholeRoot } from '../archive/whole-root.js'
import type { BlobDirectory } from '../blob/directory.js'
import { StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import { INDEX_FILE, LAYOUT_FILE, parseLayoutIndex } from '../oci/layout.js'

/**
 * The root of the only image in `archive`, with everything that it reaches in `directory`.
 *
 * Docker 25 and later export an OCI layout, whose manifests and blobs are used unchanged. Engines silently omit what
 * they do not have: of an index that lacks platforms, the complete images are used; other missing content is
 * BLOB_MISSING. Older engines and Podman export a config and uncompressed layers: these are kept, and an OCI manifest
 * for them is added. Throws BLOB_MISSING, DIGEST_MISMATCH, INVALID_MANIFEST.
 */
export async function findExportedImage(archive: ArchiveFiles, directory: BlobDirectory): Promise<WholeRoot> {
  if (!archive.find(LAYOUT_FILE) || !archive.find(INDEX_FILE)) return { root: await describeImage(archive, directory) }
  const index = parseLayoutIndex(await archive.readSmall(INDEX_FILE), INDEX_FILE)
  const roots = new Map(index.map(root => [root.digest, root]))
  const [root, ...others] = roots.values()
  if (!root || others.length > 0) throw notOne(archive, roots.size)
  const { name } = archive.subject
  return await wholeRoot(root, directory, {
    name,
    hint: 'The image in the engine is incomplete (load or pull it again), or it has foreign layers, which exports omit.',
  })
}

/** Adds a manifest to the format of Podman and of Docker before 25. */
async function describeImage(archive: ArchiveFiles, directory: BlobDirectory): Promise<Descriptor> {
  const [entry, ...others] = await readDockerEntries(archive)
  if (!entry || others.length > 0) throw notOne(archive, entry ? others.length + 1 : 0)
  const { root, manifest } = await new DockerImages(archive).image(entry)
  await directory.put(root, async function* () {
    yield manifest
  })
  return root
}

function notOne({ subject }: ArchiveFiles, found: number): StowageError {
  return new StowageError('INVALID_MANIFEST', `${subject.name}: expected one image but found ${found}`)
}
