/**
 * Decides in advance whether an engine can hold and run a Windows base OS image. Sources: containerd's matching of
 * Windows platforms, Microsoft's table of container version compatibility.
 */
import type { EngineStore } from '../engine/store.js'
import type { ErrorCode } from '../errors.js'
import { formatPlatform } from '../oci/platform.js'

export interface HostVerdict {
  /** `note`: it can be installed, but the user should know the message. */
  readonly severity: 'error' | 'note'
  readonly code: ErrorCode
  readonly message: string
  readonly hint: string
  /** Whether the user can install it despite an error, to keep it there. */
  readonly possible: boolean
}

export interface JudgedImage {
  /** For messages. */
  readonly name: string
  /** Undefined if not known yet. */
  readonly architecture: string | undefined
  /** `10.0.14300.1010`. */
  readonly version: string
  /** Whether it contains the UtilityVM that Hyper-V isolation requires; undefined if not known yet. */
  readonly utilityVm: boolean | undefined
}

/** From this build on (Windows Server 2022), a host runs older images, down to this build, with process isolation. */
const COMPATIBLE_BUILD = 20348

/** The verdict on `image` for the engine `store`; undefined if there is nothing to report. */
export function judgeHost(
  { name, architecture, version, utilityVm }: JudgedImage,
  store: EngineStore,
): HostVerdict | undefined {
  const { engine, kind, platform } = store
  if (platform.os !== 'windows') {
    const what = `${engine} runs ${platform.os}`
    if (kind === 'graphdriver') {
      return mismatch(
        `${what}, and its store cannot hold Windows images such as ${name}`,
        'Install it into a layout (--to oci:), a bundle (--to bundle:PATH), or a Windows engine (--host).',
        { possible: false },
      )
    }
    return note(`${what}: it can hold ${name} but cannot run it`)
  }
  if (architecture !== undefined && architecture !== platform.architecture) {
    return mismatch(
      `${name} is for ${architecture}, but ${engine} runs ${formatPlatform(platform)}`,
      'Install the image for this processor, or use --force to install this one anyway.',
    )
  }
  const [own, host] = [buildOf(version), buildOf(platform['os.version'])]
  if (own === undefined || host === undefined || own === host) return undefined
  if (own > host) {
    return mismatch(
      `${name} is build ${own}, but this host is build ${host}: a container cannot be newer than its host`,
      `Install one of build ${host} or older, update the host, or use --force to install this one anyway.`,
    )
  }
  if (host >= COMPATIBLE_BUILD && own >= COMPATIBLE_BUILD) return undefined
  const isolated = `${name} is build ${own}, but this host is build ${host}: it runs only with Hyper-V isolation`
  if (utilityVm === false) {
    return mismatch(
      `${isolated}, for which it lacks UtilityVM`,
      `Install one of build ${host}, or use --force to install this one anyway.`,
    )
  }
  return note(`${isolated} (docker run --isolation=hyperv)`)
}

function buildOf(version: string | undefined): number | undefined {
  const build = Number(version?.split('.')[2])
  return Number.isInteger(build) && build > 0 ? build : undefined
}

function mismatch(message: string, hint: string, { possible } = { possible: true }): HostVerdict {
  return { severity: 'error', code: 'PLATFORM_MISMATCH', message, hint, possible }
}

function note(message: string): HostVerdict {
  return { severity: 'note', code: 'PLATFORM_MISMATCH', message, hint: '', possible: true }
}
