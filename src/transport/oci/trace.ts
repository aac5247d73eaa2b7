/** Records what a layout held before something was written to it, so that a failure leaves it as it was. */
import { readdir, readFile, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileError, systemCode } from '../../errors.js'
import { blobPath, INDEX_FILE, LAYOUT_FILE } from '../../oci/layout.js'
import type { DestinationTrace } from '../transport.js'

const BLOBS = join('blobs', 'sha256')

/**
 * Records the contents of the layout `directory`, which need not exist. `undo` removes those of the given blobs that
 * were not there before, and the layout itself if it is new and holds nothing else. It does nothing if the index has
 * changed.
 */
export async function traceLayout(directory: string): Promise<DestinationTrace> {
  const [entries, blobs, index] = [
    await namesIn(directory),
    await namesIn(join(directory, BLOBS)),
    await indexOf(directory),
  ]
  return {
    async undo(digests) {
      // Another process has written to the layout, and may rely on these blobs
      if ((await indexOf(directory)) !== index) return
      const before = new Set(blobs)
      for (const digest of new Set(digests))
        if (!before.has(blobPath(digest).split('/').at(-1) ?? ''))
          await rm(join(directory, blobPath(digest)), { force: true })
      if (blobs === undefined) for (const path of [BLOBS, 'blobs']) await removeEmpty(join(directory, path))
      if (entries?.includes(LAYOUT_FILE)) return
      const left = (await namesIn(directory)) ?? []
      if (left.every(name => name === LAYOUT_FILE)) await rm(join(directory, LAYOUT_FILE), { force: true })
      if (entries === undefined) await removeEmpty(directory)
    },
  }
}

async function namesIn(directory: string): Promise<readonly string[] | undefined> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined
    throw fileError(error, directory)
  }
}

async function indexOf(directory: string): Promise<string | undefined> {
  try {
    return await readFile(join(directory, INDEX_FILE), 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined
    throw fileError(error, directory)
  }
}

async function removeEmpty(directory: string): Promise<void> {
  await rmdir(directory).catch((error: unknown) => {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(systemCode(error) ?? '')) throw fileError(error, directory)
  })
}
