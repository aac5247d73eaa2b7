/** Image configs: platform, diffIDs and history. Source: OCI image-spec, config.md. */
import { type Digest, parseDigest } from './digest.js'
import { fields, type JsonObject, optionalArray, optionalString, parseJson, record } from './json.js'
import { parsePlatform, type Platform } from './platform.js'

/** The largest config that is accepted, in bytes. */
export const CONFIG_LIMIT = 16 * 1024 * 1024

export interface ImageConfig {
  readonly platform: Platform
  /** RFC 3339, exactly as in the config. */
  readonly created: string | undefined
  /** SHA-256 of each layer's uncompressed tar, base layer first. */
  readonly diffIds: readonly Digest[]
}

/** Throws INVALID_MANIFEST naming the field in `where`. */
export function parseConfig(bytes: Uint8Array, where: string): ImageConfig {
  return configOf(record(parseJson(bytes, where), where), where)
}

/**
 * {@link parseConfig} for a config of an image's media type; undefined for that of an artifact, which may be empty: only
 * what can run has a rootfs.
 */
export function parseRunnableConfig(bytes: Uint8Array, where: string): ImageConfig | undefined {
  const object = fields(parseJson(bytes, where), where)
  return object['rootfs'] === undefined ? undefined : configOf(object, where)
}

function configOf(object: JsonObject, where: string): ImageConfig {
  const rootfs = record(object['rootfs'], `${where}.rootfs`)
  return {
    platform: parsePlatform(object, where),
    created: optionalString(object, 'created', where),
    diffIds: optionalArray(rootfs, 'diff_ids', `${where}.rootfs`).map((item, n) =>
      parseDigest(item, `${where}.rootfs.diff_ids[${n}]`),
    ),
  }
}
