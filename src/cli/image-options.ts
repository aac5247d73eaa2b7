/** Options of the commands that transfer images. */
import { choice, flag, number, value, type Values, values } from './command.js'
import { StowageError } from '../errors.js'

const MOST_JOBS = 64

/** The options in the form that the library takes. */
export interface ImageSettings {
  readonly host: string | undefined
  readonly insecure: readonly string[]
  readonly tlsSkipVerify: readonly string[]
  readonly platforms: readonly string[]
  readonly referrers: boolean
  readonly foreignLayers: 'keep' | 'plain'
  readonly sparse: 'keep' | 'strip' | undefined
  readonly jobs: number | undefined
}

/** Platforms that the completion proposes. */
export const PLATFORMS = ['linux/amd64', 'linux/arm64', 'linux/arm/v7', 'windows/amd64', 'windows/arm64']

/** For commands that may connect to an engine. */
export const HOST_OPTION = value('Docker Engine (DOCKER_HOST)', { alias: 'H' })

/** For commands that may connect to a registry. */
export const REGISTRY_OPTIONS = {
  insecure: values('Registry to reach over plain http; may be repeated', { valueName: 'HOST[:PORT]' }),
  'tls-skip-verify': values('Host whose certificate to accept without verifying it; may be repeated', {
    valueName: 'HOST[:PORT]',
  }),
} as const

export const IMAGE_OPTIONS = {
  platform: values(
    'Take only this platform of a multi-platform image, or state that of a WIM: os[/arch[/variant]][:os.version]; may be repeated',
    { takes: PLATFORMS },
  ),
  'all-platforms': flag('Take every platform (the default)'),
  referrers: flag('Include signatures, SBOMs and attestations of the image, also those of cosign'),
  'foreign-layers': choice(
    'Foreign (nondistributable) layers: keep the media type, or make them plain, which changes the digest',
    ['keep', 'plain'],
    'keep',
  ),
  sparse: choice(
    'With --platform, the index of the image: keep it, strip the other platforms from it, or (auto) keep it where the destination accepts it',
    ['auto', 'keep', 'strip'],
    'auto',
  ),
  'dry-run': flag('Write nothing: show what would be sent, what is there already, and the room it needs'),
  jobs: number('Number of blobs to transfer at a time (default 10)', { alias: 'j' }),
  host: HOST_OPTION,
  ...REGISTRY_OPTIONS,
} as const

/** Throws INVALID_ARGUMENT. */
export function readImageOptions(options: Values<typeof IMAGE_OPTIONS>): ImageSettings {
  const { host, platform, referrers, sparse, jobs } = options
  if (options['all-platforms'] && platform.length > 0) {
    throw new StowageError(
      'INVALID_ARGUMENT',
      `--all-platforms and --platform ${platform[0]} cannot be used together`,
      {
        hint: 'Omit one of them.',
      },
    )
  }
  return {
    host,
    ...readRegistryOptions(options),
    platforms: platform,
    referrers,
    foreignLayers: options['foreign-layers'],
    sparse: sparse === 'auto' ? undefined : sparse,
    jobs: readJobs(jobs),
  }
}

/** How to reach registries, in the form that the library takes. */
export function readRegistryOptions({
  insecure,
  'tls-skip-verify': tlsSkipVerify,
}: Values<typeof REGISTRY_OPTIONS>): Pick<ImageSettings, 'insecure' | 'tlsSkipVerify'> {
  return { insecure, tlsSkipVerify }
}

/** Throws INVALID_ARGUMENT. */
export function readJobs(jobs: number | undefined): number | undefined {
  if (jobs === undefined || (Number.isInteger(jobs) && jobs >= 1 && jobs <= MOST_JOBS)) return jobs
  throw new StowageError('INVALID_ARGUMENT', `--jobs: expected a whole number from 1 to ${MOST_JOBS} but found ${jobs}`)
}
