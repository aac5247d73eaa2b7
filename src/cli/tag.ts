/** `stowage tag`: one more name for an image. */
import type { CommandModule } from 'yargs'
import { tagImage } from '../verbs/tag.js'
import { withSession } from './session.js'
import { noteStore, type StoreCliOptions, storeOptions } from './store-options.js'

interface Options extends StoreCliOptions {
  readonly source: string
  readonly target: string
}

export const tag: CommandModule<StoreCliOptions, Options> = {
  builder: yargs =>
    storeOptions(yargs, 'docker-daemon:, oci:DIR')
      .positional('source', { type: 'string', demandOption: true, describe: 'NAME[:TAG|@DIGEST] or ID' })
      .positional('target', { type: 'string', demandOption: true, describe: 'NAME[:TAG]' })
      .example('$0 tag nanoserver:10.0.14300.1010 nanoserver:latest', 'Both names are the same image'), // yargs does not type coerce
  handler: async ({ source, target, store, host, ...options }) => {
    await withSession(options, async session => {
      const tagged = await tagImage(source, target, { store, host, signal: session.signal })
      noteStore(store, tagged.store, session)
      session.report({ schema: 'stowage.tag/v1', ...tagged }, '')
    })
  },
}
