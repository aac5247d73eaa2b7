/**
 * The identity of an image as Windows hosts of 2016 reported it: name, publisher, version, and whether it is a base OS
 * image.
 */
import type { ConfigDetails } from './config-details.js'
import type { Platform } from './platform.js'
import type { Reference } from './reference.js'

export interface ImageIdentity {
  /** For example `NanoServer`. */
  readonly name: string
  /** For example `CN=Microsoft`; empty if unknown. */
  readonly publisher: string
  /** For example `10.0.14300.1010`; empty if unknown. */
  readonly version: string
}

export interface HeldIdentity extends ImageIdentity {
  /** Whether it is Windows itself, without a base image: each layer was applied as a whole. */
  readonly isOSImage: boolean
}

/** Publisher of base OS images: a WIM names none, so `Install-ContainerOSImage` used this one for every WIM. */
export const BASE_IMAGE_PUBLISHER = 'CN=Microsoft'

/** Labels of an image config. Source: OCI image-spec, annotations.md; its keys are also used for labels. */
const LABELS = {
  name: 'org.opencontainers.image.title',
  publisher: 'org.opencontainers.image.vendor',
  version: 'org.opencontainers.image.version',
} as const

/** The identity as `Labels` of an image config; empty fields are left out. */
export function identityLabels(identity: ImageIdentity): Readonly<Record<string, string>> {
  const keys = Object.keys(LABELS) as (keyof ImageIdentity)[] // the keys of LABELS are those of an identity
  return Object.fromEntries(keys.flatMap(key => (identity[key] === '' ? [] : [[LABELS[key], identity[key]]])))
}

/**
 * The identity of an image: from its labels; without them, from its first name in `references` and, for a Windows base
 * OS image, `os.version`. A base OS image from a registry has no labels, but its history says that each layer was
 * applied.
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

/** `CN=Microsoft_NanoServer_10.0.14300.1010`, the form that `Uninstall-ContainerOSImage -FullName` accepts. */
export function formatFullName({ publisher, name, version }: ImageIdentity): string {
  return [publisher, name, version].filter(part => part !== '').join('_')
}

/**
 * Whether the history has Microsoft's texts for the layers of a base OS image: `Apply image 10.0.17763.1`, `Install
 * update 10.0.17763.6893`.
 */
function isApplied(history: ConfigDetails['history'], layers: number): boolean {
  const made = history.filter(({ emptyLayer }) => !emptyLayer)
  if (made.length === 0) return layers === 1
  return (
    made.length === history.length &&
    made.every(({ createdBy = '' }) => /^(Apply image|Install update)\b/.test(createdBy))
  )
}
