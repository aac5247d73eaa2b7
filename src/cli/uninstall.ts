/** `stowage uninstall`: removes Windows base OS images. */
import { storeForms } from './locations.js'
import { command, flag, oneOrMore } from './command.js'
import { uninstallImages, type UninstalledImage } from '../base-image/uninstall.js'
import { errorDocument } from './print-error.js'
import { printable } from './render.js'
import { reportImageFailures, familiar, noteStore, removalLine, storeOptions } from './store-options.js'

export const uninstall = command({
  operands: {
    image: oneOrMore('FULLNAME (with * and ? as wildcards), NAME[:TAG|@DIGEST] or ID', 'image'),
  },
  options: {
    ...storeOptions(storeForms({ change: true })),
    force: flag('Remove it even if stopped containers or other images use it', { alias: 'f' }),
    'what-if': flag('Only show what would be removed'),
  },
  examples: [
    [
      'uninstall CN=Microsoft_NanoServer_10.0.14304.1003',
      'By its full name, as shown by "images --wide" and "history --tree"',
    ],
    ['uninstall nanoserver:10.0.14300.1010 --what-if', 'By its tag, to see whether it can be removed'],
  ],
  run: async ({ image, force, 'what-if': whatIf, store, host }, session) => {
    const result = await uninstallImages(image, {
      store,
      host,
      force,
      whatIf,
      signal: session.signal,
      onProgress: session.onProgress,
    })
    noteStore(store, result.store, session)
    const images = result.images.map(({ error, ...each }) => ({ ...each, ...errorDocument(error) }))
    session.report(
      { schema: 'stowage.uninstall/v1', store: result.store, whatIf, images },
      printable(result.images.map(each => text(each, whatIf)).join('')),
    )
    reportImageFailures(result.images)
  },
})

function text({ fullName, id, names, removed, error }: UninstalledImage, whatIf: boolean): string {
  if (error) return ''
  if (whatIf) {
    const withNames = names.length > 0 ? `, with its names ${names.map(familiar).join(', ')}` : ''
    return `What if: uninstalling ${fullName}, ${id}${withNames}\n`
  }
  return `${removed.map(removalLine).join('')}Uninstalled ${fullName}\n`
}
