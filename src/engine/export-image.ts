/** The image in an engine's export: untouched where it is an OCI layout, else with a manifest written around it. */
import type { ArchiveFiles } from '../archive/archive-files.js'
import { DockerImages, readDockerEntries } from '../archive/docker-images.js'
import { wholeRoot } from '../archive/whole-root.js'
import type { BlobDirectory } from '../blob/directory.js'
import { StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import { INDEX_FILE, LAYOUT_FILE, parseLayoutIndex } from '../oci/layout.js'

/**
 * The root of the one image of `archive`, with all it reaches in `directory`.
 *
 * Docker 25 and later export an OCI layout; its manifests and blobs are taken as they are. Engines leave out what they
 * do not have without a word: of an index that lacks platforms the only whole image is taken, anything else that is not
 * whole is BLOB_MISSING. Older engines and Podman export a config and plain tar layers: those bytes stay, and an OCI
 * manifest that names them is added. Throws BLOB_MISSING, DIGEST_MISMATCH, INVALID_MANIFEST.
 */
export async function findExportedImage(archive: ArchiveFiles, directory: BlobDirectory): Promise<Descriptor> {
  if (!archive.find(LAYOUT_FILE) || !archive.find(INDEX_FILE)) return await describeImage(archive, directory)
  const index = parseLayoutIndex(await archive.readSmall(INDEX_FILE), INDEX_FILE)
  const roots = new Map(index.map(root => [root.digest, root]))
  const [root, ...others] = roots.values()
  if (!root || others.length > 0) throw notOne(archive, roots.size)
  const { name } = archive.subject
  return await wholeRoot(root, directory, {
    name,
    hint: 'The engine does not hold all of it (load or pull it again), or it has foreign layers, which exports do not contain.',
  })
}

/** The form of Docker before 25, and of Podman. */
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
