/** What an OCI image layout that is to be written already has, without writing to it. */
import { blobsOf, readImage } from '../../blob/closure.js'
import { BlobDirectory } from '../../blob/directory.js'
import { StowageError } from '../../errors.js'
import { blobSurvey, type DestinationSurvey, type ExpectedImage } from '../../image/destination-survey.js'
import { namedEntry, type NamedEntry } from '../../image/selection.js'
import type { Digest } from '../../oci/digest.js'
import { formatReference, type Reference } from '../../oci/reference.js'
import { expectLayout, layoutWriting } from './destination.js'
import { readLayoutIndex } from './source.js'

/** Looks at the layout `directory`, which need not exist. Throws like openLayoutDestination(). */
export async function surveyLayout(directory: string): Promise<DestinationSurvey> {
  await expectLayout(directory)
  const blobs = new BlobDirectory(directory)
  return {
    ...blobSurvey(
      blobsOf,
      async blob => await blobs.holds(blob),
      async (images, more) => await layoutWriting(directory, blobs, images, more),
    ),
    async lacking({ layers }, _names, leftOut) {
      const lost: Digest[] = []
      for (const layer of layers) if (leftOut.has(layer.digest) && !(await blobs.holds(layer))) lost.push(layer.digest)
      return lost
    },
    async unnamed({ names, ...image }, options) {
      const entries = (await readLayoutIndex(directory).catch(ifMissing)).map(namedEntry)
      const lost: Reference[] = []
      for (const name of names) {
        const full = formatReference(name)
        const entry = entries.find(each => each.name && formatReference(each.name) === full)
        if (!entry || !(await isWhole(entry, image))) lost.push(name)
      }
      return lost

      async function isWhole(
        { root, listed, absent = [] }: NamedEntry,
        { roots, manifests = [] }: Pick<ExpectedImage, 'roots' | 'manifests'>,
      ): Promise<boolean> {
        if (!roots.includes(root.digest) && !(listed && roots.includes(listed))) return false
        if (manifests.some(digest => absent.includes(digest))) return false
        try {
          const content = await readImage(blobs, root, { absent, ...options })
          for (const layer of content.layers) if (!(await blobs.holds(layer))) return false
          return true
        } catch (error) {
          if (!(error instanceof StowageError) || error.code === 'ABORTED') throw error
          return false
        }
      }
    },
  }
}

/** A layout that does not exist yet has nothing. */
function ifMissing(error: unknown): readonly never[] {
  if (error instanceof StowageError && error.code === 'FILE_NOT_FOUND') return []
  throw error
}
