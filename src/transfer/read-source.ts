/** Opens a location only to read what it holds, except layers: creates no layer and leaves no file behind. */
import { Workspace } from '../blob/workspace.js'
import { StowageError } from '../errors.js'
import type { ImageSource } from '../image/image-source.js'
import type { WaitOptions } from '../progress.js'
import { Registries } from '../registry/registries.js'
import { formatLocation } from '../transport/location.js'
import { openSource } from '../transport/open.js'
import type { Location } from '../transport/transport.js'

export interface ReadSourceOptions extends WaitOptions {
  readonly host?: string | undefined
  readonly insecure?: readonly string[] | undefined
  readonly tlsSkipVerify?: readonly string[] | undefined
  readonly onNotice?: ((sentence: string) => void) | undefined
}

/**
 * Calls `read` with the source at `place`. Throws UNSUPPORTED if its layer would have to be created, and what the
 * source throws.
 */
export async function readSource<T>(
  place: Location,
  { host, insecure, tlsSkipVerify, signal, onNotice, onProgress }: ReadSourceOptions,
  read: (source: ImageSource) => Promise<T>,
): Promise<T> {
  await using registries = new Registries({ insecure, tlsSkipVerify, onNotice, onProgress })
  await using workspace = new Workspace()
  await using source = await openSource(place, {
    host,
    registries,
    signal,
    onProgress,
    stage: {
      create: async () => {
        throw new StowageError(
          'UNSUPPORTED',
          `${formatLocation(place)} is not an image yet: its layer must be created first`,
          {
            hint: 'Pack it, then inspect the bundle.',
          },
        )
      },
    },
    spool: async () => await workspace.blobs(),
    layers: false,
  })
  return await read(source)
}
