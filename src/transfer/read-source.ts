/** A place opened to look at what is in it, with nothing made and nothing left. */
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
}

/** Gives `place`, open, to `read`. Throws UNSUPPORTED for one whose layer would have to be made, and what the source throws. */
export async function readSource<T>(
  place: Location,
  { host, insecure, signal, onProgress }: ReadSourceOptions,
  read: (source: ImageSource) => Promise<T>,
): Promise<T> {
  await using registries = new Registries({ insecure })
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
          `${formatLocation(place)} is not an image yet: its layer must be made first`,
          {
            hint: 'Pack it, and inspect the bundle.',
          },
        )
      },
    },
    spool: async () => await workspace.blobs(),
  })
  return await read(source)
}
