/** Platforms: what an image runs on, and their text form. Source: OCI image-spec, image-index.md. */
import { StowageError } from '../errors.js'
import { optionalString, record, string } from './json.js'

export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string
  readonly 'os.version'?: string
}

/** Reads the `platform` object of an index, or the fields of an image config. Throws INVALID_MANIFEST. */
export function parsePlatform(value: unknown, where: string): Platform {
  const object = record(value, where)
  const variant = optionalString(object, 'variant', where)
  const version = optionalString(object, 'os.version', where)
  return {
    os: string(object, 'os', where),
    architecture: string(object, 'architecture', where),
    ...(variant ? { variant } : {}),
    ...(version ? { 'os.version': version } : {}),
  }
}

/** Parses `os[/arch[/variant]][:os.version]`, the value of `--platform`. Throws INVALID_ARGUMENT. */
export function parsePlatformSelector(text: string): Partial<Platform> {
  const match = /^([a-z0-9]+)(?:\/([a-z0-9_]+)(?:\/([a-z0-9.]+))?)?(?::([0-9.]+))?$/.exec(text)
  if (!match) {
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(text)} is not a platform`, {
      hint: 'Write os[/arch[/variant]][:os.version], for example linux/amd64 or windows/amd64:10.0.20348.169.',
    })
  }
  const [, os, architecture, variant, version] = match
  return {
    ...(os ? { os } : {}),
    ...(architecture ? { architecture } : {}),
    ...(variant ? { variant } : {}),
    ...(version ? { 'os.version': version } : {}),
  }
}

/** Whether `platform` has every part that `selector` names. A version may be a prefix, such as `10.0.20348`. */
export function matchesPlatform(platform: Platform, selector: Partial<Platform>): boolean {
  return (Object.keys(selector) as (keyof Platform)[]).every(key => {
    const [own = '', wanted = ''] = [platform[key], selector[key]]
    return own === wanted || (key === 'os.version' && own.startsWith(`${wanted}.`))
  })
}

/** Formats a platform as `os/arch[/variant][:os.version]`, the form that `--platform` accepts. */
export function formatPlatform(platform: Platform): string {
  const parts = [platform.os, platform.architecture, platform.variant].filter(part => part !== undefined)
  return parts.join('/') + (platform['os.version'] ? `:${platform['os.version']}` : '')
}
