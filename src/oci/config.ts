/** Image configs: platform, diffIDs and history. Source: OCI image-spec, config.md. */
import { type Digest, parseDigest } from './digest.js'
import { optionalArray, optionalString, parseJson, record } from './json.js'
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

/** Throws INVALID_MANIFEST with the name of the field in `where`. */
export function parseConfig(bytes: Uint8Array, where: string): ImageConfig {
  const object = record(parseJson(bytes, where), where)
  const rootfs = record(object['rootfs'], `${where}.rootfs`)
  return {
    platform: parsePlatform(object, where),
    created: optionalString(object, 'created', where),
    diffIds: optionalArray(rootfs, 'diff_ids', `${where}.rootfs`).map((item, n) =>
      parseDigest(item, `${where}.rootfs.diff_ids[${n}]`),
    ),
  }
}
