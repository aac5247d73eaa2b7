/** Inventory: lists what a place has, so that a bundle for it can leave that out. */
import { type InventoryDocument, inventoryDocument } from '../delta/inventory-file.js'
import { abortError } from '../errors.js'
import type { Inventory } from '../image/inventory.js'
import type { WaitOptions } from '../progress.js'
import { Registries } from '../registry/registries.js'
import { cannot, capability } from '../transport/location.js'
import { sourceLocation } from '../transport/source-location.js'
import { usualStore } from '../transport/usual-store.js'

export interface InventoryOptions extends WaitOptions {
  /** The engine's address; defaults to the engine that `docker` would use. */
  readonly host?: string | undefined
  /** Registries (`host[:port]`) to contact over plain HTTP; loopback addresses need not be listed. */
  readonly insecure?: readonly string[] | undefined
  /** Hosts (`host[:port]`) whose certificates are accepted without verification; `onNotice` is told so. */
  readonly tlsSkipVerify?: readonly string[] | undefined
  /** Called with notices for the user, one sentence each. */
  readonly onNotice?: ((sentence: string) => void) | undefined
}

/**
 * What is at `place`: `docker-daemon:`, `oci:DIR`, `docker://HOST[:PORT][/PREFIX]` or `bundle:PATH`; by default in the
 * engine, or in the default store if no engine answers. No layer is read. Format: docs/delta.md. Throws
 * INVALID_ARGUMENT, and what reading the place throws.
 */
export async function takeInventory(
  place: string | undefined,
  options: InventoryOptions = {},
): Promise<InventoryDocument> {
  const { host, signal, onProgress } = options
  const text = place ?? (await usualStore(host, { signal, onProgress }))
  return inventoryDocument(await readInventoryOf(text, options))
}

/** The inventory of a location. Throws like {@link takeInventory}. */
export async function readInventoryOf(
  place: string,
  { host, insecure, tlsSkipVerify, signal, onNotice, onProgress }: InventoryOptions,
): Promise<Inventory> {
  const location = await sourceLocation(place)
  const transport = capability(location, 'take an inventory of', ({ inventory }) => inventory)
  if (location.ref !== undefined)
    throw cannot(location, 'take an inventory of', ({ inventory }) => inventory, 'Name no image in it.')
  try {
    await using registries = new Registries({ insecure, tlsSkipVerify, onNotice, onProgress })
    return await transport.read(location, { host, registries, signal, onNotice, onProgress })
  } catch (error) {
    throw abortError(error, signal)
  }
}
