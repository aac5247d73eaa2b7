/** What a bundle that is to be written already has, without writing to it. */
import { readdir } from 'node:fs/promises'
import { blobsOf } from '../../blob/closure.js'
import { BlobDirectory } from '../../blob/directory.js'
import { refuseExisting } from '../../blob/partial-file.js'
import { STANDARD_STREAM } from '../../archive/standard-stream.js'
import { refuseOccupied } from '../../bundle/directory-medium.js'
import { isTarPath } from '../../bundle/files.js'
import { BUNDLE_FILE } from '../../bundle/manifest.js'
import { writingOf } from '../../bundle/writer-space.js'
import type { SparseForm } from '../../blob/stripped.js'
import { compressionOfName } from '../../oci/compression.js'
import { sourceDateEpoch } from '../../tar/source-date-epoch.js'
import { fileError, systemCode } from '../../errors.js'
import { blobSurvey, type DestinationSurvey } from '../../image/destination-survey.js'

/** Looks at the bundle `path`, which need not exist. Throws OUTPUT_EXISTS like openBundleWriter(). */
export async function surveyBundle(path: string, sparse?: SparseForm): Promise<DestinationSurvey> {
  const tar = isTarPath(path)
  if (tar) {
    if (path !== STANDARD_STREAM) await refuseExisting(path, 'a bundle')
  } else {
    try {
      const entries = await readdir(path, { withFileTypes: true })
      if (!entries.some(({ name }) => name === BUNDLE_FILE)) refuseOccupied(path, entries)
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw fileError(error, path)
    }
  }
  const blobs = new BlobDirectory(path)
  const form = { path, tar, compression: compressionOfName(path) }
  return blobSurvey(
    blobsOf,
    async blob => !tar && (await blobs.holds(blob)),
    async (images, more) => await writingOf({ images, sparse, epoch: sourceDateEpoch() }, form, { more }),
  )
}
