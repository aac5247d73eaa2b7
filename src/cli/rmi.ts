/** `stowage rmi`: removes names and images. */
import { refuseLocations, storeForms, withStore } from './locations.js'
import { command, flag, oneOrMore } from './command.js'
import { removeImages } from '../verbs/remove.js'
import { errorDocument } from './print-error.js'
import { printable } from './render.js'
import { reportImageFailures, noteStore, removalLine, storeOptions } from './store-options.js'

export const rmi = command({
  operands: {
    image: oneOrMore('NAME[:TAG|@DIGEST] or ID', 'image'),
  },
  options: {
    ...storeOptions(storeForms({ change: true })),
    force: flag('Remove it even if stopped containers or other images use it, or if the ID has several names', {
      alias: 'f',
    }),
    prune: flag('In an engine, also remove its untagged parents; --no-prune keeps them', { default: true }),
  },
  examples: [
    ['rmi shop:2.2', 'Remove the name, and the image if it was its last name'],
    ['rmi cd6e419225ea', 'Remove an image by its ID'],
  ],
  run: async ({ image, force, prune, store, host }, session) => {
    await refuseLocations(image, withStore('rmi', 'NAME'))
    const result = await removeImages(image, {
      store,
      host,
      force,
      prune,
      signal: session.signal,
      onProgress: session.onProgress,
    })
    noteStore(store, result.store, session)
    const images = result.images.map(({ error, ...each }) => ({ ...each, ...errorDocument(error) }))
    session.report(
      { schema: 'stowage.rmi/v1', store: result.store, images },
      printable(result.images.flatMap(({ removed }) => removed.map(removalLine)).join('')),
    )
    reportImageFailures(result.images)
  },
})
