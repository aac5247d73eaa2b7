/** A place opened to look at what is in it, with nothing made and nothing left. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BlobDirectory } from '../blob/directory.js'
import { StowageError } from '../errors.js'
import { openSource } from '../transport/open.js'
import type { WaitOptions } from '../progress.js'
import { Registries } from '../registry/registries.js'
import type { ImageSource } from '../image/image-source.js'
import { formatLocation, type Location } from '../transport/location.js'

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
  let spool: string | undefined
  await using registries = new Registries({ insecure })
  try {
    await using source = await openSource(place, {
      host,
      registries,
      signal,
      onProgress,
      stage: {
        create: async () => {
          throw new StowageError(
            'UNSUPPORTED',
            `${formatLocation(place)} is no image yet: its layer would have to be made`,
            { hint: 'Pack it, and inspect the bundle.' },
          )
        },
      },
      spool: async () => new BlobDirectory((spool ??= await mkdtemp(join(tmpdir(), 'stowage-')))),
    })
    return await read(source)
  } finally {
    if (spool !== undefined) await rm(spool, { recursive: true, force: true })
  }
}
