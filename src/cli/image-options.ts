/** The options of commands that carry images: from where, which of their platforms, and with what beside them. */
import type { Argv } from 'yargs'
import { StowageError } from '../errors.js'
import { once } from './session.js'

export interface ImageOptions {
  readonly host: string | undefined
  readonly insecure: readonly string[]
  readonly platform: readonly string[]
  readonly 'all-platforms': boolean
  readonly referrers: boolean
  readonly 'foreign-layers': 'keep' | 'plain'
  readonly jobs: number | undefined
}

const MOST_JOBS = 64

/** What they come to for the library. */
export interface ImageSettings {
  readonly host: string | undefined
  readonly insecure: readonly string[]
  readonly platforms: readonly string[]
  readonly referrers: boolean
  readonly foreignLayers: 'keep' | 'plain'
  readonly jobs: number | undefined
}

export const jobsOption = {
  alias: 'j',
  type: 'number',
  requiresArg: true,
  describe: 'Number of blobs to transfer at a time (default 10)',
} as const
export const insecureOption = {
  type: 'string',
  array: true,
  nargs: 1,
  default: [],
  describe: 'Registry (host[:port]) to reach over plain http; may be repeated',
} as const

export function imageOptions<T>(yargs: Argv<T>): Argv<T> {
  return yargs
    .option('platform', {
      type: 'string',
      array: true,
      nargs: 1,
      requiresArg: true,
      default: [],
      describe: 'Take only this platform of a multi-platform image: os[/arch[/variant]][:os.version]; may be repeated',
    })
    .option('all-platforms', {
      type: 'boolean',
      default: false,
      describe: 'Take every platform (the default)',
    })
    .option('referrers', {
      type: 'boolean',
      default: false,
      describe: 'Include signatures, SBOMs and attestations of the image, also those of cosign',
    })
    .option('foreign-layers', {
      choices: ['keep', 'plain'] as const,
      default: 'keep' as const,
      requiresArg: true,
      describe: 'Foreign (nondistributable) layers: keep the media type, or make them plain, which changes the digest',
    })
    .option('jobs', jobsOption)
    .option('host', {
      alias: 'H',
      type: 'string',
      requiresArg: true,
      coerce: once('host'),
      describe: 'Docker Engine (DOCKER_HOST)',
    })
    .option('insecure', insecureOption) // yargs does not type coerce
}

/** Throws INVALID_ARGUMENT. */
export function readImageOptions(options: ImageOptions): ImageSettings {
  const { host, insecure, platform, referrers, jobs } = options
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
    insecure,
    platforms: platform,
    referrers,
    foreignLayers: options['foreign-layers'],
    jobs: readJobs(jobs),
  }
}

/** Throws INVALID_ARGUMENT. */
export function readJobs(jobs: number | undefined): number | undefined {
  if (jobs === undefined || (Number.isInteger(jobs) && jobs >= 1 && jobs <= MOST_JOBS)) return jobs
  throw new StowageError('INVALID_ARGUMENT', `--jobs: expected a whole number from 1 to ${MOST_JOBS} but found ${jobs}`)
}
