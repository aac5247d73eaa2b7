/** `stowage commit`: creates an image from a container. */
import { command, flag, value, optional, required, values } from './command.js'
import { commitContainer } from '../verbs/commit.js'
import { HOST_OPTION } from './image-options.js'
import { noteStore } from './store-options.js'

export const commit = command({
  operands: {
    container: required('Name or ID of a container', 'container'),
    repository: optional('NAME[:TAG] of the image'),
  },
  options: {
    store: value('Must be a Docker Engine: docker-daemon: (the default)'),
    host: HOST_OPTION,
    author: value('Author: "Jo Doe <jo@example.com>"', { alias: 'a' }),
    message: value('Commit message', { alias: 'm' }),
    change: values('Dockerfile instruction to apply; may be repeated', { alias: 'c' }),
    pause: flag('Pause the container during the commit; --pause=false lets it run', { alias: 'p', default: true }),
    publisher: value('Publisher of the image: CN=Contoso'),
    name: value('Name of the image; without NAME:TAG, also its tag name, in lower case'),
    version: value('Version of the image, and without a NAME:TAG its tag'),
  },
  examples: [
    ['commit web shop:2.4', 'Like docker commit'],
    ['commit web --publisher CN=Contoso --name Shop --version 2.4', 'Like New-ContainerImage: shop:2.4'],
  ],
  run: async (
    { container, repository, author, message, change, pause, publisher, name, version, store, host },
    session,
  ) => {
    const committed = await commitContainer(container, repository, {
      author,
      message,
      changes: change,
      pause,
      identity: { name, publisher, version },
      store,
      host,
      signal: session.signal,
      onProgress: session.onProgress,
    })
    noteStore(store, committed.store, session)
    session.report({ schema: 'stowage.commit/v1', ...committed }, `${committed.id}\n`)
  },
})
