/** `stowage rmi`: names and images taken away. */
import type { CommandModule } from 'yargs'
import { removeImages } from '../verbs/remove.js'
import { errorDocument } from './print-error.js'
import { printable } from './render.js'
import { withSession } from './session.js'
import { failWith, noteStore, removalLine, type StoreCliOptions, storeOptions } from './store-options.js'

interface Options extends StoreCliOptions {
  readonly image: readonly string[]
  readonly force: boolean
  readonly prune: boolean
}

export const rmi: CommandModule<StoreCliOptions, Options> = {
  builder: yargs =>
    storeOptions(yargs, 'docker-daemon:, oci:DIR')
      .positional('image', { type: 'string', array: true, demandOption: true, describe: 'NAME[:TAG|@DIGEST] or ID' })
      .option('force', {
        alias: 'f',
        type: 'boolean',
        default: false,
        describe: 'Remove it even if stopped containers or other images use it, or if the ID has several names',
      })
      .option('prune', {
        type: 'boolean',
        default: true,
        describe: 'In an engine, also remove its untagged parents; --no-prune keeps them',
      })
      .example('$0 rmi shop:2.2', 'Remove the name, and the image if it was its last name')
      .example('$0 rmi cd6e419225ea', 'Remove an image by its ID'), // yargs does not type coerce
  handler: async ({ image, force, prune, store, host, ...options }) => {
    await withSession(options, async session => {
      const result = await removeImages(image, { store, host, force, prune, signal: session.signal })
      noteStore(store, result.store, session)
      const images = result.images.map(({ error, ...each }) => ({ ...each, ...errorDocument(error) }))
      session.report(
        { schema: 'stowage.rmi/v1', store: result.store, images },
        printable(result.images.flatMap(({ removed }) => removed.map(removalLine)).join('')),
      )
      failWith(result.images)
    })
  },
}
