/** Replaces the index of an OCI image layout, one process at a time. Source: OCI image-spec, image-layout.md. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { syncPath, writeDurably } from '../../blob/durable.js'
import { withLock } from '../../blob/lock.js'
import { fileError, StowageError, systemCode } from '../../errors.js'
import { type Descriptor, parseDescriptor } from '../../oci/descriptor.js'
import { array, LIST_VALUE_LIMIT, parseJson, record } from '../../oci/json.js'
import { INDEX_FILE } from '../../oci/layout.js'
import { OCI_INDEX } from '../../oci/media-type.js'
import type { WaitOptions } from '../../progress.js'

export const LOCK_FILE = '.stowage.lock'

/** Files that mark a directory as a bundle, whose checksums would be wrong after an image is added. */
const BUNDLE_MARKS = ['bundle.json', 'SHA256SUMS', 'INCOMPLETE']

/** An entry of the index: the JSON, including fields that we do not read, and the parsed descriptor. */
export interface LayoutEntry {
  readonly raw: unknown
  readonly descriptor: Descriptor
}

/**
 * Passes the entries of `directory`'s index.json to `change` and writes the entries it returns, under the lock, so that
 * no other writer's entry is lost. Writes nothing if it returns undefined. `after` runs under the same lock once the
 * index is written.
 */
export async function changeLayoutIndex(
  directory: string,
  change: (entries: readonly LayoutEntry[]) => Promise<readonly unknown[] | undefined>,
  { after, ...waiting }: WaitOptions & { readonly after?: (() => Promise<void>) | undefined } = {},
): Promise<void> {
  await withLock(
    join(directory, LOCK_FILE),
    async () => {
      const path = join(directory, INDEX_FILE)
      const index = record(parseJson(await readIndex(path), path, LIST_VALUE_LIMIT), path)
      const manifests = await change(
        array(index, 'manifests', path).map((raw, n) => ({
          raw,
          descriptor: parseDescriptor(raw, `${path}.manifests[${n}]`),
        })),
      )
      if (!manifests) return
      await writeDurably(
        path,
        new TextEncoder().encode(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, ...index, manifests })),
      )
      await syncPath(directory, 'directory')
      await after?.()
    },
    waiting,
  )
}

/** Throws OUTPUT_EXISTS if `names`, the entries of `directory`, mark it as a bundle. */
export function refuseBundle(directory: string, names: readonly string[]): void {
  const mark = BUNDLE_MARKS.find(name => names.includes(name))
  if (mark === undefined) return
  throw new StowageError(
    'OUTPUT_EXISTS',
    `${directory} is a bundle (it holds ${mark}): adding an image would make its checksums wrong`,
    { hint: 'Name another directory.' },
  )
}

async function readIndex(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return new TextEncoder().encode('{"manifests":[]}')
    throw fileError(error, path)
  }
}
