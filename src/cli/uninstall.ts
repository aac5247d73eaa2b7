/** `stowage uninstall`: base OS images of Windows, taken away. */
import type { CommandModule } from 'yargs'
import { uninstallImages, type UninstalledImage } from '../base-image/uninstall.js'
import { errorDocument } from './print-error.js'
import { printable } from './render.js'
import { withSession } from './session.js'
import { failWith, familiar, noteStore, removalLine, type StoreCliOptions, storeOptions } from './store-options.js'

interface Options extends StoreCliOptions {
  readonly image: readonly string[]
  readonly force: boolean
  readonly 'what-if': boolean
}

export const uninstall: CommandModule<StoreCliOptions, Options> = {
  builder: yargs =>
    storeOptions(yargs, 'docker-daemon:, oci:DIR')
      .positional('image', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'FULLNAME (with * and ? as wildcards), NAME[:TAG|@DIGEST] or ID',
      })
      .option('force', {
        alias: 'f',
        type: 'boolean',
        default: false,
        describe: 'Remove it even if stopped containers or other images use it',
      })
      .option('what-if', { type: 'boolean', default: false, describe: 'Only show what would be removed' })
      .example(
        '$0 uninstall CN=Microsoft_NanoServer_10.0.14304.1003',
        'By its full name, as shown by "images --wide" and "history --tree"',
      )
      .example('$0 uninstall nanoserver:10.0.14300.1010 --what-if', 'By its tag, to see whether it can be removed'), // yargs does not type coerce
  handler: async ({ image, force, 'what-if': whatIf, store, host, ...options }) => {
    await withSession(options, async session => {
      const result = await uninstallImages(image, { store, host, force, whatIf, signal: session.signal })
      noteStore(store, result.store, session)
      const images = result.images.map(({ error, ...each }) => ({ ...each, ...errorDocument(error) }))
      session.report(
        { schema: 'stowage.uninstall/v1', store: result.store, whatIf, images },
        printable(result.images.map(each => text(each, whatIf)).join('')),
      )
      failWith(result.images)
    })
  },
}

function text({ fullName, id, names, removed, error }: UninstalledImage, whatIf: boolean): string {
  if (error) return ''
  if (whatIf)
    return `What if: uninstalling ${fullName}, ${id}${names.length > 0 ? `, with its names ${names.map(familiar).join(', ')}` : ''}\n`
  return `${removed.map(removalLine).join('')}Uninstalled ${fullName}\n`
}
