/** What an image is as Windows hosts of 2016 told of it: a name, a publisher, a version, and whether it is a base OS image. */
import type { ConfigDetails } from './config-details.js'
import type { Platform } from './platform.js'
import type { Reference } from './reference.js'

export interface ImageIdentity {
  /** `NanoServer`. */
  readonly name: string
  /** `CN=Microsoft`; empty if not stated. */
  readonly publisher: string
  /** `10.0.14300.1010`; empty if not stated. */
  readonly version: string
}

export interface HeldIdentity extends ImageIdentity {
  /** It is Windows itself, and it has no base: every layer was applied whole. */
  readonly isOSImage: boolean
}

/** Publisher of base OS images: `Install-ContainerOSImage` gave it to every WIM, which does not tell one. */
export const BASE_IMAGE_PUBLISHER = 'CN=Microsoft'

/** Labels of an image config. Source: OCI image-spec, annotations.md, whose keys are used for labels as well. */
const LABELS = {
  name: 'org.opencontainers.image.title',
  publisher: 'org.opencontainers.image.vendor',
  version: 'org.opencontainers.image.version',
} as const

/** What an image config's `Labels` say of who the image is; what is empty is left out. */
export function identityLabels(identity: ImageIdentity): Readonly<Record<string, string>> {
  const keys = Object.keys(LABELS) as (keyof ImageIdentity)[] // its keys are those of an identity
  return Object.fromEntries(keys.flatMap(key => (identity[key] === '' ? [] : [[LABELS[key], identity[key]]])))
}

/**
 * Who an image is: by its labels; without them by its name in `references`, and for Windows by `os.version`. A base OS image of a
 * registry has no labels, but its history says of every layer that it was applied.
 */
export function identityOf(
  { labels, history }: Pick<ConfigDetails, 'labels' | 'history'>,
  platform: Platform,
  layers: number,
  references: readonly Reference[] = [],
): HeldIdentity {
  const [reference] = references
  const isOSImage = platform.os === 'windows' && isApplied(history, layers)
  return {
    name: labels[LABELS.name] ?? reference?.path.split('/').at(-1) ?? '',
    publisher: labels[LABELS.publisher] ?? '',
    version: labels[LABELS.version] ?? (isOSImage ? platform['os.version'] : undefined) ?? reference?.tag ?? '',
    isOSImage,
  }
}

/** `CN=Microsoft_NanoServer_10.0.14300.1010`, as `Uninstall-ContainerOSImage -FullName` takes it. */
export function formatFullName({ publisher, name, version }: ImageIdentity): string {
  return [publisher, name, version].filter(part => part !== '').join('_')
}

/** Microsoft's words for the layers of a base OS image: `Apply image 10.0.17763.1`, `Install update 10.0.17763.6893`. */
function isApplied(history: ConfigDetails['history'], layers: number): boolean {
  const made = history.filter(({ emptyLayer }) => !emptyLayer)
  if (made.length === 0) return layers === 1
  return (
    made.length === history.length &&
    made.every(({ createdBy = '' }) => /^(Apply image|Install update)\b/.test(createdBy))
  )
}
