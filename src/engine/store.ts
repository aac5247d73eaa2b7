/** What kind of engine it is and how it keeps images: that decides what it takes, and how it calls what it has. */
import type { Platform } from '../oci/platform.js'
import { listOf, objectOf, textOf } from './answer.js'
import type { CallOptions, EngineClient } from './client.js'

/**
 * Docker's own store of unpacked layers (`graphdriver`: an image is its config), containerd's store of blobs
 * (`containerd`: an image is its manifest or index), or Podman's (an image is its config; the manifest is kept beside).
 */
export type StoreKind = 'graphdriver' | 'containerd' | 'podman'

export interface EngineStore {
  readonly kind: StoreKind
  /** For messages: `Docker 20.10.24`. */
  readonly engine: string
  /** Newest version of the API, as minor number: 41 for 1.41. */
  readonly api: number
  /** What the engine runs; `os.version` on Windows alone. */
  readonly platform: Platform
}

/** Throws ENGINE_UNREACHABLE, ENGINE_PROTOCOL. */
export async function readStore(client: EngineClient, options: CallOptions = {}): Promise<EngineStore> {
  const version = objectOf(await client.call('GET', '/version', options), 'GET /version')
  const info = objectOf(await client.call('GET', '/info', options), 'GET /info')
  const components = listOf(version['Components'], 'GET /version: Components').map(item => objectOf(item, 'Components'))
  const podman = components.some(component => component['Name'] === 'Podman Engine')
  const os = textOf(version, 'Os') ?? textOf(info, 'OSType') ?? 'linux'
  const osVersion = os === 'windows' ? textOf(info, 'OSVersion') : undefined
  return {
    kind: podman ? 'podman' : hasContainerdStore(info['DriverStatus']) ? 'containerd' : 'graphdriver',
    engine: `${podman ? 'Podman' : 'Docker'} ${textOf(version, 'Version') ?? 'of an unknown version'}`,
    api: Number(/^1\.(\d+)$/.exec(textOf(version, 'ApiVersion') ?? '')?.[1] ?? 0),
    platform: { os, architecture: textOf(version, 'Arch') ?? 'unknown', ...(osVersion ? { 'os.version': osVersion } : {}) },
  }
}

/** Docker says so in the status of its driver: `["driver-type", "io.containerd.snapshotter.v1"]`. */
function hasContainerdStore(status: unknown): boolean {
  return listOf(status, 'GET /info: DriverStatus').some(
    pair => Array.isArray(pair) && pair[0] === 'driver-type' && pair[1] === 'io.containerd.snapshotter.v1',
  )
}
