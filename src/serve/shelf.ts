/** Opens the shelf for a bundle or layout named on the command line. */
import { StowageError } from '../errors.js'
import type { Shelf } from '../image/shelf.js'
import { transports } from '../transport/list.js'
import { parseLocation, transportOf } from '../transport/location.js'
import type { OpenShelfOptions } from '../transport/transport.js'

/**
 * Opens `text`: `PATH` or `bundle:PATH[:REF]` for a bundle, `oci:DIR[:REF]` for a layout. Throws what opening a bundle
 * or layout throws, INVALID_ARGUMENT for any other location, IMAGE_NOT_FOUND if there is no image REF.
 */
export async function openShelf(text: string, options: Omit<OpenShelfOptions, 'name'> = {}): Promise<Shelf> {
  const named = transports().some(({ scheme }) => text.startsWith(`${scheme}:`))
  if (named) {
    const location = parseLocation(text)
    const { serve } = transportOf(location)
    if (serve) return await serve(location, { ...options, name: text })
  }
  try {
    return await openBundle(text, options)
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

/** A path without a scheme is a bundle, even if it contains colons. */
async function openBundle(path: string, options: Omit<OpenShelfOptions, 'name'>): Promise<Shelf> {
  const { openBundleShelf } = await import('../transport/bundle/shelf.js')
  return await openBundleShelf(path, undefined, { ...options, name: path })
}
