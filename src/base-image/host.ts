/**
 * Whether an engine can hold a base OS image of Windows, and run it: told before the work. Sources: containerd's matching of
 * Windows platforms, Microsoft's table of container versions.
 */
import type { EngineStore } from '../engine/store.js'
import type { ErrorCode } from '../errors.js'
import { formatPlatform } from '../oci/platform.js'

export interface HostVerdict {
  /** `note`: it can be installed, and people should know. */
  readonly severity: 'error' | 'note'
  readonly code: ErrorCode
  readonly message: string
  readonly hint: string
  /** It can be installed all the same by one who wants it kept there. */
  readonly possible: boolean
}

export interface JudgedImage {
  /** For messages. */
  readonly name: string
  /** undefined if it is not known yet. */
  readonly architecture: string | undefined
  /** `10.0.14300.1010`. */
  readonly version: string
  /** It brings what Hyper-V isolation starts from; undefined if it is not known yet. */
  readonly utilityVm: boolean | undefined
}

/** First build whose hosts run older long-term releases, down to this one, in process isolation: Windows Server 2022. */
const COMPATIBLE_BUILD = 20348

/** What is to be said of `image` on the engine `store`; undefined if all is well. */
export function judgeHost(
  { name, architecture, version, utilityVm }: JudgedImage,
  store: EngineStore,
): HostVerdict | undefined {
  const { engine, kind, platform } = store
  if (platform.os !== 'windows') {
    const what = `${engine} runs ${platform.os}`
    if (kind === 'graphdriver') {
      return mismatch(
        false,
        `${what}, and its store cannot hold Windows images such as ${name}`,
        'Install it into a layout (--to oci:), a bundle (--to bundle:PATH), or a Windows engine (--host).',
      )
    }
    return note(`${what}: it can hold ${name} but cannot run it`)
  }
  if (architecture !== undefined && architecture !== platform.architecture) {
    return mismatch(
      true,
      `${name} is for ${architecture}, but ${engine} runs ${formatPlatform(platform)}`,
      'Install the image for this processor, or use --force to install this one anyway.',
    )
  }
  const [own, host] = [buildOf(version), buildOf(platform['os.version'])]
  if (own === undefined || host === undefined || own === host) return undefined
  if (own > host) {
    return mismatch(
      true,
      `${name} is build ${own}, but this host is build ${host}: a container cannot be newer than its host`,
      `Install one of build ${host} or older, update the host, or use --force to install this one anyway.`,
    )
  }
  if (host >= COMPATIBLE_BUILD && own >= COMPATIBLE_BUILD) return undefined
  const isolated = `${name} is build ${own}, but this host is build ${host}: it runs with Hyper-V isolation only`
  if (utilityVm === false) {
    return mismatch(
      true,
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

function mismatch(possible: boolean, message: string, hint: string): HostVerdict {
  return { severity: 'error', code: 'PLATFORM_MISMATCH', message, hint, possible }
}

function note(message: string): HostVerdict {
  return { severity: 'note', code: 'PLATFORM_MISMATCH', message, hint: '', possible: true }
}
