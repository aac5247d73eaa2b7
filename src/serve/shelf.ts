/** From what is named on the command line to the open shelf. */
import { StowageError } from '../errors.js'
import type { Shelf } from '../image/shelf.js'
import { transports } from '../transport/list.js'
import { parseLocation, transportOf } from '../transport/location.js'

/**
 * Opens `text`: `PATH` or `bundle:PATH[:REF]` for a bundle, `oci:DIR[:REF]` for a layout. Throws what opening a bundle or a
 * layout throws; INVALID_ARGUMENT for any other place, IMAGE_NOT_FOUND for a REF that is not there.
 */
export async function openShelf(text: string, signal?: AbortSignal): Promise<Shelf> {
  const named = transports().some(({ scheme }) => text.startsWith(`${scheme}:`))
  if (named) {
    const location = parseLocation(text)
    const { serve } = transportOf(location)
    if (serve) return await serve(location, { name: text, signal })
  }
  try {
    return await openBundle(text, signal)
  } catch (error) {
    if (!named || !(error instanceof StowageError) || error.code !== 'FILE_NOT_FOUND') throw error
    throw new StowageError(
      'INVALID_ARGUMENT',
      `${text} is neither a bundle nor an OCI layout, so it cannot be served`,
      {
        hint: 'Pack it into a bundle first, with "stowage pack".',
        cause: error,
      },
    )
  }
}

/** A bare path is a bundle, whatever colons are in it. */
async function openBundle(path: string, signal: AbortSignal | undefined): Promise<Shelf> {
  const { openBundleShelf } = await import('../transport/bundle/shelf.js')
  return await openBundleShelf(path, path, undefined, signal)
}
