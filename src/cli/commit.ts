/** `stowage commit`: a container as an image. */
import type { CommandModule } from 'yargs'
import { commitContainer } from '../verbs/commit.js'
import { once, withSession } from './session.js'
import { noteStore, type StoreCliOptions, storeOptions } from './store-options.js'

interface Options extends StoreCliOptions {
  readonly container: string
  readonly repository: string | undefined
  readonly author: string | undefined
  readonly message: string | undefined
  readonly change: readonly string[]
  readonly pause: boolean
  readonly publisher: string | undefined
  readonly name: string | undefined
  readonly version: string | undefined
}

export const commit: CommandModule<StoreCliOptions, Options> = {
  builder: yargs => {
    const text = (name: string, describe: string) =>
      ({ type: 'string', requiresArg: true, coerce: once(name), describe }) as const
    return storeOptions(yargs, 'docker-daemon:')
      .positional('container', { type: 'string', demandOption: true, describe: 'Name or ID of a container' })
      .positional('repository', { type: 'string', describe: 'NAME[:TAG] of the image' })
      .version(false) // of the image here, not of Stowage
      .option('author', { alias: 'a', ...text('author', 'Author: "Jo Doe <jo@example.com>"') })
      .option('message', { alias: 'm', ...text('message', 'Commit message') })
      .option('change', {
        alias: 'c',
        type: 'string',
        array: true,
        nargs: 1,
        default: [],
        describe: 'Dockerfile instruction to apply; may be repeated',
      })
      .option('pause', {
        alias: 'p',
        type: 'boolean',
        default: true,
        describe: 'Pause the container during the commit; --pause=false lets it run',
      })
      .option('publisher', text('publisher', 'Publisher of the image: CN=Contoso'))
      .option('name', text('name', 'Name of the image; without NAME:TAG, also its tag name, in lower case'))
      .option('version', text('version', 'Version of the image, and without a NAME:TAG its tag'))
      .example('$0 commit web shop:2.4', 'As docker commit')
      .example('$0 commit web --publisher CN=Contoso --name Shop --version 2.4', 'As New-ContainerImage: shop:2.4') // yargs does not type coerce
  },
  handler: async ({
    container,
    repository,
    author,
    message,
    change,
    pause,
    publisher,
    name,
    version,
    store,
    host,
    ...options
  }) => {
    await withSession(options, async session => {
      const made = await commitContainer(container, repository, {
        author,
        message,
        changes: change,
        pause,
        identity: { name, publisher, version },
        store,
        host,
        signal: session.signal,
      })
      noteStore(store, made.store, session)
      session.report({ schema: 'stowage.commit/v1', ...made }, `${made.id}\n`)
    })
  },
}
