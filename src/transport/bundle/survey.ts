/** What a bundle that is to be written already has, without writing to it. */
import { readdir } from 'node:fs/promises'
import { blobsOf } from '../../blob/closure.js'
import { BlobDirectory } from '../../blob/directory.js'
import { refuseExisting } from '../../blob/partial-file.js'
import { STANDARD_STREAM } from '../../archive/standard-stream.js'
import { refuseOccupied } from '../../bundle/directory-medium.js'
import { isTarPath } from '../../bundle/files.js'
import { BUNDLE_FILE } from '../../bundle/manifest.js'
import { fileError, systemCode } from '../../errors.js'
import { blobSurvey, type DestinationSurvey } from '../../image/destination-survey.js'

/** Looks at the bundle `path`, which need not exist. Throws OUTPUT_EXISTS like openBundleWriter(). */
export async function surveyBundle(path: string): Promise<DestinationSurvey> {
  if (isTarPath(path)) {
    if (path !== STANDARD_STREAM) await refuseExisting(path, 'a bundle')
    return blobSurvey(blobsOf, () => false)
  }
  try {
    const entries = await readdir(path, { withFileTypes: true })
    if (!entries.some(({ name }) => name === BUNDLE_FILE)) refuseOccupied(path, entries)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw fileError(error, path)
  }
  const blobs = new BlobDirectory(path)
  return blobSurvey(blobsOf, async blob => await blobs.holds(blob))
}
