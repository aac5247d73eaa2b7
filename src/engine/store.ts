/** Detects the kind of an engine and of its image store, which decide what it accepts and which IDs images have. */
import { StowageError } from '../errors.js'
import { textIn } from '../oci/json.js'
import type { Platform } from '../oci/platform.js'
import { listOf, objectOf } from './answer.js'
import type { EngineCallOptions, EngineClient } from './client.js'

/**
 * Docker's own store of unpacked layers (`graphdriver`: an image is identified by its config), containerd's store of
 * blobs (`containerd`: by its manifest or index), or Podman's (by its config; the manifest is kept too).
 */
export type StoreKind = 'graphdriver' | 'containerd' | 'podman'

export interface EngineStore {
  readonly kind: StoreKind
  /** For messages: `Docker 20.10.24`. */
  readonly engine: string
  /** Minor number of the newest API version: 41 for 1.41. */
  readonly api: number
  /** The platform that the engine runs; `os.version` only on Windows. */
  readonly platform: Platform
}

/** Milliseconds that the first response may take: over ssh, the user may have to type a password. */
const PATIENCE = 60_000

/** Throws ENGINE_UNREACHABLE, also if there is no response within `patience` milliseconds, and ENGINE_PROTOCOL. */
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

/**
 * The Windows version, such as `10.0.20348.169`. Older engines report only that of the kernel,
 * `10.0 20348 (20348.1.amd64fre.fe_release…)`, which gives `10.0.20348`.
 */
function windowsVersion(version: string | undefined, kernel: string | undefined): string | undefined {
  if (version !== undefined && /^\d+\.\d+\.\d+/.test(version)) return version
  const [, major, build] = /^(\d+\.\d+) (\d+)/.exec(kernel ?? '') ?? []
  return build === undefined ? version : `${major}.${build}`
}

/** The first call, with a timeout, because the server at the endpoint may not be an engine. */
async function firstAnswer(client: EngineClient, signal: AbortSignal | undefined, patience: number): Promise<unknown> {
  const late = AbortSignal.timeout(patience)
  try {
    return await client.call('GET', '/version', { signal: signal ? AbortSignal.any([signal, late]) : late })
  } catch (error) {
    if (!late.aborted || signal?.aborted) throw error
    const what = `the server at ${client.endpoint.name} did not answer within ${patience / 1000} s`
    throw new StowageError('ENGINE_UNREACHABLE', what, {
      hint: 'Check `docker version`, restart the engine, or use an OCI layout, which needs no engine: --to oci:DIR, or --store oci:DIR.',
      cause: error,
    })
  }
}

/** Whether the status of the driver contains `["driver-type", "io.containerd.snapshotter.v1"]`. */
function hasContainerdStore(status: unknown): boolean {
  return listOf(status, 'GET /info: DriverStatus').some(
    pair => Array.isArray(pair) && pair[0] === 'driver-type' && pair[1] === 'io.containerd.snapshotter.v1',
  )
}
