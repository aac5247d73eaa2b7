/** The commands of `stowage`, all but `wim`: how each is told of, and how it is loaded. */

/** How a command stands in the list of all, and how it is loaded when it is named: starting takes time. */
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
    describe: 'Pack images into a bundle: a directory, or one .tar',
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
    describe: 'Be a read-only registry for the images of bundles, straight from their files',
    load: async () => (await import('./serve.js')).serve,
  },
  login: {
    command: 'login [server]',
    describe: 'Log in to a registry, Docker Hub without one',
    load: async () => (await import('./login.js')).login,
  },
  logout: {
    command: 'logout [server]',
    describe: 'Forget the credentials for a registry, Docker Hub without one',
    load: async () => (await import('./logout.js')).logout,
  },
  inspect: {
    command: 'inspect <location>',
    describe: 'Show what an image is, wherever it is, without fetching its layers',
    load: async () => (await import('./inspect.js')).inspect,
  },
  tags: {
    command: 'tags <repository>',
    aliases: ['list-tags', 'ls'],
    describe: 'List the tags of a repository, versions in their order',
    load: async () => (await import('./tags.js')).tags,
  },
  repositories: {
    command: 'repositories <registry>',
    aliases: ['catalog'],
    describe: 'List the repositories of a registry that tells of them',
    load: async () => (await import('./repositories.js')).repositories,
  },
  schema: {
    command: 'schema',
    describe: 'Print the JSON Schema of images.yaml, which "pack --file" reads',
    load: async () => (await import('./schema.js')).schema,
  },
  search: {
    command: 'search <term>',
    describe: 'Search Docker Hub, or the registry HOST of HOST/TERM, for repositories',
    load: async () => (await import('./search.js')).search,
  },
  pull: {
    command: 'pull <name..>',
    describe: 'Pull images of registries into the Docker Engine, or a store on disk',
    load: async () => (await import('./pull.js')).pull,
  },
  push: {
    command: 'push <name..>',
    describe: 'Push images of the Docker Engine, a store or a bundle to their registries',
    load: async () => (await import('./push.js')).push,
  },
  images: {
    command: 'images [name..]',
    describe: 'List the images of the Docker Engine, a store or a bundle, with base and publisher',
    load: async () => (await import('./images.js')).images,
  },
  history: {
    command: 'history <image>',
    describe: 'Show how an image was made, what it stands on and what stands on it',
    load: async () => (await import('./history.js')).history,
  },
  tag: {
    command: 'tag <source> <target>',
    describe: 'Give an image of the Docker Engine or a store one more name',
    load: async () => (await import('./tag.js')).tag,
  },
  rmi: {
    command: 'rmi <image..>',
    describe: 'Remove names and images from the Docker Engine or a store',
    load: async () => (await import('./rmi.js')).rmi,
  },
  commit: {
    command: 'commit <container> [repository]',
    describe: 'Make an image of a container',
    load: async () => (await import('./commit.js')).commit,
  },
  prune: {
    command: 'prune [directory..]',
    describe: 'Remove temporary files that interrupted runs left behind',
    load: async () => (await import('./prune.js')).prune,
  },
  uninstall: {
    command: 'uninstall <image..>',
    describe: 'Remove base OS images of Windows, with all their names',
    load: async () => (await import('./uninstall.js')).uninstall,
  },
  find: {
    command: 'find [name..]',
    describe: 'Find base OS images of Windows in the registered sources, the newest of each name',
    load: async () => (await import('./find.js')).find,
  },
  save: {
    command: 'save [name..]',
    describe: 'Save base OS images as WIM files, <Name>-<a-b-c-d>.wim, checked',
    load: async () => (await import('./find.js')).save,
  },
  install: {
    command: 'install [name..]',
    describe: 'Install base OS images of Windows into the engine, a store, a bundle or a registry',
    load: async () => (await import('./install.js')).install,
  },
  source: {
    command: 'source <command>',
    describe: 'Where base OS images of Windows are found',
    load: async () => (await import('./source.js')).source,
  },
  layer: {
    command: 'layer <command>',
    describe: 'Layers: from WIM files and directories, to WIM files; checked, inspected, compared',
    load: async () => (await import('./layer.js')).layer,
  },
}

/** What a command line asks for. */
export interface ChosenCommand {
  /** Its options and arguments, under all their names. */
  readonly values: Readonly<Record<string, unknown>>
  run(): Promise<void>
}
