/** What the page about a bundle says. Documented in docs/page.md. */
import type { InspectedImage } from '../image/inspection.js'
import type { PageContents, PageVolumes } from '../page/contents.js'
import { BLOBS, FILES } from './contents.js'
import { type BundleManifest, digestOfIntegrity } from './manifest.js'

/** What a page says that bundle.json does not. */
export interface PageOptions {
  /** Of the keys that bundle.json says to be signed with; nobody has checked that. */
  readonly keys?: readonly string[] | undefined
  /** The file name of the bundle, if it is one tar. */
  readonly tar?: string | undefined
  readonly volumes?: PageVolumes | undefined
}

/** What the page says about the bundle whose bundle.json is `manifest`, with or without its documents. `images`: those of it. */
export function pageOfBundle(
  manifest: BundleManifest,
  images: readonly InspectedImage[],
  { keys = [], tar, volumes }: PageOptions = {},
): PageContents {
  const carried = manifest.files.filter(({ path }) => path.startsWith(`${FILES}/`))
  const blobs = manifest.files.filter(({ path }) => path.startsWith(`${BLOBS}/`))
  return {
    place: {
      type: 'bundle',
      created: manifest.created,
      files: carried.map(({ path, size, integrity }) => ({ path, size, digest: digestOfIntegrity(integrity) })),
      undelivered: new Map(
        manifest.images.map(({ root, original = root, undelivered = [] }) => [original.digest, undelivered]),
      ),
      assumes: manifest.assumes,
      tar,
      volumes,
      keys,
    },
    generator: manifest.generator,
    images,
    size: [...blobs, ...carried].reduce((sum, { size }) => sum + size, 0),
  }
}
