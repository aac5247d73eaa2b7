/** The commands of `stowage` except those of `wim`: their descriptions, groups, and functions that load their modules. */
import type { AnyCommand } from './command.js'

interface Line {
  /** The synopsis in the syntax of yargs: the name, then the operands. */
  readonly command: string
  readonly aliases?: readonly string[]
  readonly describe: string
}

/** A command as the help lists it. Its module is loaded only when the command is used, to save time at startup. */
export interface ListedCommand extends Line {
  readonly load: () => Promise<AnyCommand>
}

/** A command that requires a subcommand. */
export interface CommandGroup extends Line {
  readonly commands: CommandTable
}

export type CommandTable = Readonly<Record<string, ListedCommand | CommandGroup>>

const SOURCE_COMMANDS: CommandTable = {
  add: {
    command: 'add <name> <location>',
    describe: 'Register a source: an index on the web, a folder of WIM files, a bundle, or a repository',
    load: async () => (await import('./source.js')).sourceAdd,
  },
  list: {
    command: 'list',
    aliases: ['ls'],
    describe: 'List the registered sources',
    load: async () => (await import('./source.js')).sourceList,
  },
  remove: {
    command: 'remove <name>',
    aliases: ['rm'],
    describe: 'Remove a source',
    load: async () => (await import('./source.js')).sourceRemove,
  },
}

const LAYER_COMMANDS: CommandTable = {
  'from-wim': {
    command: 'from-wim <file>',
    describe: 'Make a Windows layer from a WIM in one pass, without extracting it to disk',
    load: async () => (await import('./layer/from-wim.js')).fromWim,
  },
  'from-dir': {
    command: 'from-dir <directory>',
    describe: 'Make a plain Linux layer from a directory, reproducibly',
    load: async () => (await import('./layer/from-dir.js')).fromDir,
  },
  'to-wim': {
    command: 'to-wim <layer..>',
    describe: 'Make a WIM from layers, base first, without extracting them to disk',
    load: async () => (await import('./layer/to-wim.js')).toWim,
  },
  check: {
    command: 'check <layers..>',
    describe: 'Check in advance whether a Windows host will accept a layer',
    load: async () => (await import('./layer/check.js')).check,
  },
  inspect: {
    command: 'inspect <layer>',
    describe: 'Show what is in a layer: digests, counts, largest files, PAX records, owners',
    load: async () => (await import('./layer/inspect.js')).inspect,
  },
  diff: {
    command: 'diff <a> <b>',
    describe: 'Show how two layers differ, regardless of order and compression',
    load: async () => (await import('./layer/diff.js')).diff,
  },
}

const LOG_COMMANDS: CommandTable = {
  verify: {
    command: 'verify <log>',
    describe: 'Check that no entry of a log was changed, taken out or put in',
    load: async () => (await import('./log.js')).logVerify,
  },
  merge: {
    command: 'merge <logs..>',
    describe: 'Put the logs of several sites into one',
    load: async () => (await import('./log.js')).logMerge,
  },
}

export const COMMANDS: CommandTable = {
  pack: {
    command: 'pack [image..]',
    describe: 'Pack images into a bundle: a directory or a .tar',
    load: async () => (await import('./pack.js')).pack,
  },
  verify: {
    command: 'verify <bundle..>',
    describe: 'Check every file of a bundle, and that nothing is missing or extra',
    load: async () => (await import('./verify.js')).verify,
  },
  load: {
    command: 'load <bundle> [image..]',
    describe: 'Load the images of a bundle, checking every byte on the way',
    load: async () => (await import('./load.js')).load,
  },
  sign: {
    command: 'sign <bundle..>',
    describe: 'Sign a bundle, so that a site can check who made it',
    load: async () => (await import('./sign.js')).sign,
  },
  keygen: {
    command: 'keygen [name]',
    describe: 'Make a pair of keys to sign bundles with',
    load: async () => (await import('./keygen.js')).keygen,
  },
  log: {
    command: 'log <command>',
    describe: 'Check and merge logs of what was packed, verified and loaded: see --log',
    commands: LOG_COMMANDS,
  },
  split: {
    command: 'split <bundle>',
    describe: 'Cut a bundle into volumes, for media that cannot hold a file of its size',
    load: async () => (await import('./split.js')).split,
  },
  join: {
    command: 'join <volume..>',
    describe: 'Put the volumes of a bundle together again, checking each',
    load: async () => (await import('./join.js')).join,
  },
  inventory: {
    command: 'inventory [place]',
    describe: 'List what a place has, so that "pack --have" can leave it out',
    load: async () => (await import('./inventory.js')).inventory,
  },
  diff: {
    command: 'diff <from> <to>',
    describe: 'Show how the images and layers of two bundles, inventories or places differ',
    load: async () => (await import('./diff.js')).diff,
  },
  merge: {
    command: 'merge <bundle..>',
    describe: 'Make a whole bundle from a delta and the bundles that have the rest',
    load: async () => (await import('./merge.js')).merge,
  },
  copy: {
    command: 'copy <source> <destination>',
    describe: 'Copy an image from one place to another, byte for byte',
    load: async () => (await import('./copy.js')).copy,
  },
  protect: {
    command: 'protect <bundle>',
    describe: 'Add recovery data (PAR2) to a bundle, with which damage can be repaired',
    load: async () => (await import('./protect.js')).protect,
  },
  kit: {
    command: 'kit',
    describe: 'Put Stowage itself on a stick, to run there with nothing installed',
    load: async () => (await import('./kit.js')).kit,
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
    commands: SOURCE_COMMANDS,
  },
  layer: {
    command: 'layer <command>',
    describe: 'Make, check, inspect and compare layers; convert them from and to WIM files',
    commands: LAYER_COMMANDS,
  },
  completion: {
    command: 'completion <shell>',
    describe: 'Print a script that completes command lines in bash, zsh, fish or PowerShell',
    load: async () => (await import('./completion.js')).completion,
  },
}

export const WIM_DESCRIPTION = 'Work with WIM files: capture, apply, export, mount and more, like wimlib-imagex'
export const HELP_LINE = { command: 'help [command..]', describe: 'Show the help of a command' }

/** The commands as the help groups them; `wim` and `help` are not in {@link COMMANDS}. */
export const COMMAND_GROUPS: readonly { readonly title: string; readonly names: readonly string[] }[] = [
  {
    title: 'Bundles',
    names: [
      'pack',
      'verify',
      'load',
      'inspect',
      'copy',
      'serve',
      'split',
      'join',
      'inventory',
      'diff',
      'merge',
      'protect',
      'sign',
      'keygen',
      'log',
      'kit',
      'schema',
      'prune',
    ],
  },
  { title: 'Base OS images', names: ['find', 'install', 'save', 'source', 'uninstall'] },
  { title: 'Images here', names: ['images', 'history', 'tag', 'rmi', 'commit'] },
  { title: 'Registries', names: ['pull', 'push', 'login', 'logout', 'search', 'tags', 'repositories'] },
  { title: 'Layers and WIMs', names: ['layer', 'wim'] },
  { title: 'Help', names: ['help', 'completion'] },
]

/** The command that a command line names, with its parsed values. */
export interface ChosenCommand {
  /** Values of its options and operands, under all their names. */
  readonly values: Readonly<Record<string, unknown>>
  readonly command: AnyCommand
  /** Its own name, without those of its groups. */
  readonly name: string
}

/** The name of a command in its synopsis. */
export function nameOfCommand({ command }: Line): string {
  return command.replace(/ .*/, '')
}

/** The command of `table` whose name or alias is `word`. */
export function commandNamed(table: CommandTable, word: string): ListedCommand | CommandGroup | undefined {
  return Object.entries(table).find(([name, { aliases = [] }]) => name === word || aliases.includes(word))?.[1]
}
