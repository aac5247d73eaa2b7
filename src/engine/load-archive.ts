/** Generates the tar for an engine to load, which is both an OCI layout and a docker archive, while it is sent. */
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
  /** Called with the size in bytes of each piece of a layer that was sent. */
  readonly onBytes?: ((size: number) => void) | undefined
}

/**
 * The small members come first: the index, manifests and configs. Then come `layers`, those of `plan` that the engine
 * does not have, read from `blobs` and verified. `name` is the only name of the image.
 *
 * Every piece except the last ends inside a member, so that no engine takes an archive that stops after any of them for
 * a complete one. Throws what `blobs` and `verified()` throw.
 */
export async function* loadArchive(
  plan: LoadPlan,
  layers: readonly Descriptor[],
  name: Reference | undefined,
  blobs: BlobStore,
  { signal, onBytes }: LoadArchiveOptions = {},
): Bytes {
  // The end of a member is held back until the next header, because a tar may end between two members
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
  // Both annotations hold the full name: some engines would complete a short one in a different way
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

/** The entry in a docker archive. It lists all layers, even those that are not sent: their number must match. */
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
