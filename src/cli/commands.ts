/** The commands of `stowage`, all but `wim`: how each is described, and how it is loaded. */

/** A command as the help lists it. Its module is loaded only when it is used, because loading takes time. */
export interface ListedCommand {
  readonly command: string
  readonly aliases?: readonly string[]
  readonly describe: string
  readonly load: () => Promise<AnyCommand>
}

/** Each has options of its own, which its builder names and its handler is given. */
export interface AnyCommand {
  readonly builder?: unknown
  readonly handler: (values: never) => void | Promise<void>
}

export const COMMANDS: Readonly<Record<string, ListedCommand>> = {
  pack: {
    command: 'pack [image..]',
    describe: 'Pack images into a bundle: a directory or a .tar',
    load: async () => (await import('./pack.js')).pack,
  },
  verify: {
    command: 'verify <bundle>',
    describe: 'Check every file of a bundle, and that nothing is missing or extra',
    load: async () => (await import('./verify.js')).verify,
  },
  load: {
    command: 'load <bundle> [image..]',
    describe: 'Load the images of a bundle, checking every byte on the way',
    load: async () => (await import('./load.js')).load,
  },
  copy: {
    command: 'copy <source> <destination>',
    describe: 'Copy an image from one place to another, byte for byte',
    load: async () => (await import('./copy.js')).copy,
  },
  serve: {
    command: 'serve <bundle..>',
    describe: 'Serve bundles as a read-only registry, straight from their files',
    load: async () => (await import('./serve.js')).serve,
  },
  login: {
    command: 'login [server]',
    describe: 'Log in to a registry, by default Docker Hub',
    load: async () => (await import('./login.js')).login,
  },
  logout: {
    command: 'logout [server]',
    describe: 'Remove the credentials for a registry, by default Docker Hub',
    load: async () => (await import('./logout.js')).logout,
  },
  inspect: {
    command: 'inspect <location>',
    describe: 'Show an image at any location, without fetching its layers',
    load: async () => (await import('./inspect.js')).inspect,
  },
  tags: {
    command: 'tags <repository>',
    aliases: ['list-tags', 'ls'],
    describe: 'List the tags of a repository, sorted by version',
    load: async () => (await import('./tags.js')).tags,
  },
  repositories: {
    command: 'repositories <registry>',
    aliases: ['catalog'],
    describe: 'List the repositories of a registry, if it has a catalog',
    load: async () => (await import('./repositories.js')).repositories,
  },
  schema: {
    command: 'schema',
    describe: 'Print the JSON Schema of images.yaml, the list for "pack --file"',
    load: async () => (await import('./schema.js')).schema,
  },
  search: {
    command: 'search <term>',
    describe: 'Search for repositories on Docker Hub, or with HOST/TERM in another registry',
    load: async () => (await import('./search.js')).search,
  },
  pull: {
    command: 'pull <name..>',
    describe: 'Pull images from registries into the Docker Engine or a store on disk',
    load: async () => (await import('./pull.js')).pull,
  },
  push: {
    command: 'push <name..>',
    describe: 'Push images from the Docker Engine, a store or a bundle to their registries',
    load: async () => (await import('./push.js')).push,
  },
  images: {
    command: 'images [name..]',
    describe: 'List the images in the Docker Engine, a store or a bundle, with base and publisher',
    load: async () => (await import('./images.js')).images,
  },
  history: {
    command: 'history <image>',
    describe: 'Show how an image was made, what it is based on and what is based on it',
    load: async () => (await import('./history.js')).history,
  },
  tag: {
    command: 'tag <source> <target>',
    describe: 'Add a name to an image in the Docker Engine or a store',
    load: async () => (await import('./tag.js')).tag,
  },
  rmi: {
    command: 'rmi <image..>',
    describe: 'Remove names and images from the Docker Engine or a store',
    load: async () => (await import('./rmi.js')).rmi,
  },
  commit: {
    command: 'commit <container> [repository]',
    describe: 'Create an image from a container',
    load: async () => (await import('./commit.js')).commit,
  },
  prune: {
    command: 'prune [directory..]',
    describe: 'Remove temporary files that interrupted runs left behind',
    load: async () => (await import('./prune.js')).prune,
  },
  uninstall: {
    command: 'uninstall <image..>',
    describe: 'Remove Windows base OS images, with all their names',
    load: async () => (await import('./uninstall.js')).uninstall,
  },
  find: {
    command: 'find [name..]',
    describe: 'Find Windows base OS images in the registered sources, the newest of each name',
    load: async () => (await import('./find.js')).find,
  },
  save: {
    command: 'save [name..]',
    describe: 'Save base OS images as WIM files named <Name>-<a-b-c-d>.wim, and check them',
    load: async () => (await import('./find.js')).save,
  },
  install: {
    command: 'install [name..]',
    describe: 'Install Windows base OS images into the engine, a store, a bundle or a registry',
    load: async () => (await import('./install.js')).install,
  },
  source: {
    command: 'source <command>',
    describe: 'Manage the sources of Windows base OS images',
    load: async () => (await import('./source.js')).source,
  },
  layer: {
    command: 'layer <command>',
    describe: 'Make, check, inspect and compare layers; convert them from and to WIM files',
    load: async () => (await import('./layer.js')).layer,
  },
}

/** What a command line asks for. */
export interface ChosenCommand {
  /** Its options and arguments, under all their names. */
  readonly values: Readonly<Record<string, unknown>>
  run(): Promise<void>
}
