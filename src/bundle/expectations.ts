/** What the lists of a bundle and the names of its blobs say of every file. */
import { type Digest, digestFromHex } from '../oci/digest.js'
import { CHECKSUMS_FILE } from './checksums.js'
import { BUNDLE_FILE, type BundleManifest } from './manifest.js'

export interface Expectation {
  readonly size: number | undefined
  /** The digests that the content should have, each with the source that names it. */
  readonly digests: ReadonlyMap<Digest, string>
  readonly by: string
}

/** The size and digests that the lists and the names of the blobs give for every file. */
export function expectations(
  manifest: BundleManifest | undefined,
  listed: ReadonlyMap<string, Digest> = new Map(),
  sums: ReadonlyMap<string, Digest> = new Map(),
): ReadonlyMap<string, Expectation> {
  const sizes = new Map(manifest?.files.map(file => [file.path, file.size]))
  const paths = [...new Set([...listed.keys(), ...sums.keys()])]
  return new Map(
    paths.map(path => {
      const digests = new Map<Digest, string>()
      const hex = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(path)?.[1]
      const said = [
        [hex && digestFromHex(hex), 'its name'],
        [listed.get(path), BUNDLE_FILE],
        [sums.get(path), CHECKSUMS_FILE],
      ] as const
      for (const [digest, by] of said) {
        const before = digest && digests.get(digest)
        if (digest) digests.set(digest, before ? `${before} and ${by}` : by)
      }
      return [path, { size: sizes.get(path), digests, by: listed.has(path) ? BUNDLE_FILE : CHECKSUMS_FILE }]
    }),
  )
}
