/** `stowage tag`: adds a name to an image. */
import { refuseLocations, storeForms, withStore } from './locations.js'
import { command, required } from './command.js'
import { tagImage } from '../verbs/tag.js'
import { noteStore, storeOptions } from './store-options.js'

export const tag = command({
  operands: {
    source: required('NAME[:TAG|@DIGEST] or ID', 'image'),
    target: required('NAME[:TAG]', 'image'),
  },
  options: {
    ...storeOptions(storeForms({ change: true })),
  },
  examples: [['tag nanoserver:10.0.14300.1010 nanoserver:latest', 'Both names refer to the same image']],
  run: async ({ source, target, store, host }, session) => {
    await refuseLocations([source, target], place => withStore('tag')(place, 'SOURCE TARGET'))
    const tagged = await tagImage(source, target, {
      store,
      host,
      signal: session.signal,
      onProgress: session.onProgress,
    })
    noteStore(store, tagged.store, session)
    session.report({ schema: 'stowage.tag/v1', ...tagged }, '')
  },
})
