/** What a registry has, for an inventory: all tags of its repositories. Source: OCI distribution-spec. */
import pMap from 'p-map'
import { StowageError } from '../../errors.js'
import type { Inventory, InventoryImage, InventoryLayer } from '../../image/inventory.js'
import type { Digest } from '../../oci/digest.js'
import { parseManifest } from '../../oci/manifest.js'
import { isIndex, isManifest } from '../../oci/media-type.js'
import { formatReference } from '../../oci/reference.js'
import { DEPTH_LIMIT } from '../../blob/closure.js'
import type { RegistryClient } from '../../registry/client.js'
import type { Registries } from '../../registry/registries.js'
import type { WaitOptions } from '../../progress.js'

/** Manifests to read at a time. */
const AT_ONCE = 10

interface Tree {
  readonly layers: ReadonlyMap<Digest, InventoryLayer>
  readonly manifests: readonly Digest[]
  readonly absent: readonly Digest[]
}

/**
 * The images below `path`, which is `HOST[:PORT][/PREFIX]`; if the registry has no catalog, or there is nothing below the
 * prefix, those of the repository of that name. Throws IMAGE_NOT_FOUND, connection errors, and what reading throws.
 */
export async function registryInventory(
  place: string,
  path: string,
  registries: Registries,
  { signal, onProgress }: WaitOptions,
): Promise<Inventory> {
  const [domain = '', ...parts] = path.replace(/\/+$/, '').split('/')
  const prefix = parts.join('/')
  const client = await registries.get(domain)
  const images: InventoryImage[] = []
  const trees = new Map<string, Promise<Tree>>()
  for (const repository of await repositoriesOf(client, prefix, signal)) {
    onProgress?.({ type: 'stage', stage: 'read', subject: `${domain}/${repository}` })
    const tags = new Set<string>()
    for await (const tag of client.tags(repository, { signal })) tags.add(tag)
    const found = await pMap(tags, async tag => await imageOf(repository, tag), { concurrency: AT_ONCE })
    images.push(...found.flat())
    onProgress?.({ type: 'done', subject: `${domain}/${repository}` })
  }
  return { place, kind: 'blobs', images: merged(images) }

  async function imageOf(repository: string, tag: string): Promise<readonly InventoryImage[]> {
    const root = await client.headManifest(repository, tag, { signal })
    if (!root) return [] // removed in the meantime
    const { layers, manifests, absent } = await treeOf(repository, root.digest)
    return [
      {
        names: [formatReference({ domain, path: repository, tag })],
        id: root.digest,
        layers: [...layers.values()],
        ...(isIndex(root.mediaType) ? { manifests } : {}),
        ...(absent.length > 0 ? { absent } : {}),
      },
    ]
  }

  async function treeOf(repository: string, digest: Digest, depth = 0): Promise<Tree> {
    const key = `${repository} ${digest}`
    const known = trees.get(key) ?? readTree(repository, digest, depth)
    trees.set(key, known)
    return await known
  }

  async function readTree(repository: string, digest: Digest, depth: number): Promise<Tree> {
    if (depth > DEPTH_LIMIT)
      throw new StowageError('INVALID_MANIFEST', `${digest}: indexes nested over ${DEPTH_LIMIT} deep`)
    const { descriptor, bytes } = await client.manifest(repository, digest, { signal })
    const parsed = parseManifest(bytes, digest, descriptor.mediaType)
    if (parsed.type === 'manifest') {
      const layers = parsed.layers.map(layer => [layer.digest, { digest: layer.digest, size: layer.size }] as const)
      return { layers: new Map(layers), manifests: [digest], absent: [] }
    }
    const layers = new Map<Digest, InventoryLayer>()
    const [manifests, absent]: [Digest[], Digest[]] = [[], []]
    for (const child of parsed.manifests) {
      if (!isIndex(child.mediaType) && !isManifest(child.mediaType)) continue
      const tree = await treeOf(repository, child.digest, depth + 1).catch((error: unknown) => {
        if (!(error instanceof StowageError) || error.code !== 'IMAGE_NOT_FOUND') throw error
      })
      if (!tree) {
        absent.push(child.digest)
        continue
      }
      for (const [key, layer] of tree.layers) layers.set(key, layer)
      manifests.push(...tree.manifests)
      absent.push(...tree.absent)
    }
    return { layers, manifests, absent }
  }
}

async function repositoriesOf(
  client: RegistryClient,
  prefix: string,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const found = new Set<string>()
  try {
    for await (const name of client.repositories({ signal }))
      if (prefix === '' || name === prefix || name.startsWith(`${prefix}/`)) found.add(name)
  } catch (error) {
    if (!(error instanceof StowageError) || error.code === 'ABORTED' || prefix === '') throw error
  }
  return found.size === 0 && prefix !== '' ? [prefix] : [...found].sort()
}

/** An image that has several tags is one image. */
function merged(images: readonly InventoryImage[]): readonly InventoryImage[] {
  const byId = new Map<string, InventoryImage>()
  for (const image of images) {
    const known = byId.get(image.id)
    byId.set(image.id, known ? { ...known, names: [...known.names, ...image.names] } : image)
  }
  return [...byId.values()]
}
