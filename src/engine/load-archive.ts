/** The tar that an engine loads: an OCI layout and a docker archive in one, made while it is sent. */
import type { BlobStore, Bytes } from '../blob/blob-store.js'
import { verified } from '../blob/verified.js'
import type { Descriptor } from '../oci/descriptor.js'
import { blobPath, INDEX_FILE, LAYOUT_BYTES, LAYOUT_FILE, namedDescriptor } from '../oci/layout.js'
import { OCI_INDEX } from '../oci/media-type.js'
import { formatReference, type Reference } from '../oci/reference.js'
import { encodeHeader, padding, TAR_END } from '../tar/header.js'
import type { LoadPlan } from './load-plan.js'

export interface LoadArchiveOptions {
  readonly signal?: AbortSignal | undefined
  /** Told the size in bytes of each piece of a layer that went out. */
  readonly onBytes?: ((size: number) => void) | undefined
}

/**
 * Members in the order engines like best: the small ones that name the image, its manifests and configs, then `layers`
 * (of `plan`, without what the engine has) as `blobs` gives them, checked on the way. `name` is the only name it gets.
 *
 * Every piece ends inside a member, but the last: stopping after any of them makes an archive that no engine takes
 * for a whole one. Throws what `blobs` and `verified()` throw.
 */
export async function* loadArchive(
  plan: LoadPlan,
  layers: readonly Descriptor[],
  name: Reference | undefined,
  blobs: BlobStore,
  { signal, onBytes }: LoadArchiveOptions = {},
): Bytes {
  // What ends a member waits for the header of the next: a tar reader takes an end between two for the end of all.
  let waiting: Uint8Array = Buffer.concat(smallMembers(plan, name).flatMap(([path, bytes]) => member(path, bytes)))
  for (const layer of layers) {
    waiting = Buffer.concat([waiting, encodeHeader({ name: blobPath(layer.digest), size: layer.size })])
    for await (const piece of verified(layer, blobs.fetch(layer, { signal }))) {
      yield waiting
      onBytes?.(piece.length)
      waiting = piece
    }
    waiting = Buffer.concat([waiting, padding(layer.size)])
  }
  yield Buffer.concat([waiting, TAR_END])
}

function smallMembers(plan: LoadPlan, name: Reference | undefined): readonly (readonly [string, Uint8Array])[] {
  const { annotations: _annotations, ...bare } = plan.root
  // Both annotations hold the full name: engines that read the short form make a name of their own from it.
  const root = name ? namedDescriptor(bare, name, formatReference(name)) : bare
  return [
    [LAYOUT_FILE, LAYOUT_BYTES],
    [INDEX_FILE, json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [root] })],
    ['manifest.json', json([dockerEntry(plan, name)])],
    ...plan.documents.map(({ descriptor, bytes }) => [blobPath(descriptor.digest), bytes] as const),
  ]
}

function member(path: string, bytes: Uint8Array): readonly Uint8Array[] {
  return [encodeHeader({ name: path, size: bytes.length }), bytes, padding(bytes.length)]
}

/** One image of a docker archive. It names every layer, also those that are left out: their number must be right. */
function dockerEntry({ main: { manifest } }: LoadPlan, name: Reference | undefined): unknown {
  return {
    Config: blobPath(manifest.config.digest),
    RepoTags: name ? [formatReference(name)] : [],
    Layers: manifest.layers.map(layer => blobPath(layer.digest)),
  }
}

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}
