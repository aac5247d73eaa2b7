/** What kind of engine it is and how it keeps images: that decides what it takes, and how it calls what it has. */
import { StowageError } from '../errors.js'
import { textIn } from '../oci/json.js'
import type { Platform } from '../oci/platform.js'
import { listOf, objectOf } from './answer.js'
import type { EngineCallOptions, EngineClient } from './client.js'

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

/** How long a first answer may take, in milliseconds: over ssh, someone types a password meanwhile. */
const PATIENCE = 60_000

/** Throws ENGINE_UNREACHABLE, also when there is no answer within `patience`, and ENGINE_PROTOCOL. */
export async function readStore(
  client: EngineClient,
  { signal, patience = PATIENCE }: EngineCallOptions & { readonly patience?: number } = {},
): Promise<EngineStore> {
  const version = objectOf(await firstAnswer(client, signal, patience), 'GET /version')
  const info = objectOf(await client.call('GET', '/info', { signal }), 'GET /info')
  const components = listOf(version['Components'], 'GET /version: Components').map(item => objectOf(item, 'Components'))
  const podman = components.some(component => component['Name'] === 'Podman Engine')
  const os = textIn(version, 'Os') ?? textIn(info, 'OSType') ?? 'linux'
  const osVersion =
    os === 'windows'
      ? windowsVersion(textIn(info, 'OSVersion'), textIn(info, 'KernelVersion') ?? textIn(version, 'KernelVersion'))
      : undefined
  return {
    kind: podman ? 'podman' : hasContainerdStore(info['DriverStatus']) ? 'containerd' : 'graphdriver',
    engine: `${podman ? 'Podman' : 'Docker'} ${textIn(version, 'Version') ?? 'of an unknown version'}`,
    api: Number(/^1\.(\d+)$/.exec(textIn(version, 'ApiVersion') ?? '')?.[1] ?? 0),
    platform: {
      os,
      architecture: textIn(version, 'Arch') ?? 'unknown',
      ...(osVersion ? { 'os.version': osVersion } : {}),
    },
  }
}

/** `10.0.20348.169`, or as much of it as there is. The kernel's is `10.0 20348 (20348.1.amd64fre.fe_release…)`, and older engines tell no other. */
function windowsVersion(version: string | undefined, kernel: string | undefined): string | undefined {
  if (version !== undefined && /^\d+\.\d+\.\d+/.test(version)) return version
  const [, major, build] = /^(\d+\.\d+) (\d+)/.exec(kernel ?? '') ?? []
  return build === undefined ? version : `${major}.${build}`
}

/** Whatever may listen at the endpoint: it is not known to be an engine yet. */
async function firstAnswer(client: EngineClient, signal: AbortSignal | undefined, patience: number): Promise<unknown> {
  const late = AbortSignal.timeout(patience)
  try {
    return await client.call('GET', '/version', { signal: signal ? AbortSignal.any([signal, late]) : late })
  } catch (error) {
    if (!late.aborted || signal?.aborted) throw error
    const what = `the server at ${client.endpoint.name} did not answer within ${patience / 1000} s`
    throw new StowageError('ENGINE_UNREACHABLE', what, {
      hint: 'Does `docker version` answer? Start the engine again, or write an OCI layout, which needs none: --to oci:DIR.',
      cause: error,
    })
  }
}

/** Docker says so in the status of its driver: `["driver-type", "io.containerd.snapshotter.v1"]`. */
function hasContainerdStore(status: unknown): boolean {
  return listOf(status, 'GET /info: DriverStatus').some(
    pair => Array.isArray(pair) && pair[0] === 'driver-type' && pair[1] === 'io.containerd.snapshotter.v1',
  )
}
