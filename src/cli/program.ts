/** The commands of `stowage` that yargs parses: all but `wim`, which is to start faster than yargs loads. */
import yargs, { type CommandModule } from 'yargs'
import { StowageError } from '../errors.js'
import { thisGenerator } from '../generator.js'
import { type GlobalOptions, globalOptions } from './session.js'

const EXIT_CODES = `Exit codes: 0 ok, 1 failed, 2 misused, 3 not found, 4 integrity, 5 not let in, 6 not reached, 7 no space,
8 engine refused or load not proved, 129, 130 and 143 interrupted.`

/** How a command stands in the list of all, and how it is loaded when it is named: starting takes time. */
interface ListedCommand {
  readonly command: string
  readonly aliases?: readonly string[]
  readonly describe: string
  readonly load: () => Promise<AnyCommand>
}

/** Each has options of its own, which its builder names and its handler is given. */
interface AnyCommand {
  readonly builder?: unknown
  readonly handler: (values: never) => void | Promise<void>
}

const COMMANDS: Readonly<Record<string, ListedCommand>> = {
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
    command: 'tags <repository>', aliases: ['list-tags', 'ls'],
    describe: 'List the tags of a repository, versions in their order',
    load: async () => (await import('./tags.js')).tags,
  },
  repositories: {
    command: 'repositories <registry>', aliases: ['catalog'],
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

/** All commands for yargs, those that `argv` names with their options and what they do. */
async function commandsFor(argv: readonly string[]): Promise<CommandModule<GlobalOptions, GlobalOptions>[]> {
  return await Promise.all(Object.entries(COMMANDS).map(async ([name, { command, aliases = [], describe, load }]) => {
    const named = argv.some(word => word === name || aliases.includes(word))
    if (!named) return { command, aliases, describe, handler: () => undefined }
    const { builder, handler } = (await load()) as CommandModule<GlobalOptions, GlobalOptions> // yargs gives it the options that it names itself
    return { command, aliases, describe, builder: builder ?? {}, handler: values => { throw new Chosen(async () => await handler(values)) } }
  }))
}

const wim: CommandModule<GlobalOptions, GlobalOptions> = {
  command: 'wim',
  describe: 'WIM files: capture, apply, export, mount and more, as wimlib-imagex',
  handler: () => undefined, // main() has a parser of its own for it
}

/** Parses `argv` (without node and script) and runs the command it names. */
export async function runProgram(argv: readonly string[]): Promise<void> {
  const parser = globalOptions(yargs(argv.map(word => (word === '-' ? LONE_DASH : word))))
    .scriptName('stowage')
    .usage('$0 <command>\n\nCarry container images to machines that have no network: pack, verify, load.')
    .command(await commandsFor(argv))
    .command(wim)
    .middleware(restoreDashes)
    .demandCommand(1, 'Name a command.')
    .example('$0 pack docker-daemon:shop:2.3 -o site-a.tar', 'Pack an image of the engine')
    .example('$0 verify site-a.tar', 'Check the bundle')
    .example('$0 load site-a.tar', 'Load it, on a host without a network')
    .epilogue(EXIT_CODES)
    .parserConfiguration({ 'greedy-arrays': false, 'camel-case-expansion': false })
    .strict()
    .version(thisGenerator().version)
    .help()
    .alias('h', 'help')
    .detectLocale(false)
    .wrap(Math.min(110, process.stdout.columns ?? 110))
    .exitProcess(false)
    .showHelpOnFail(false)
    .fail((message: string | null, error: Error | undefined) => {
      // yargs names its own errors so: what coerce() threw, and what it found wrong itself
      if (error && error.name !== 'YError') throw error
      throw usageError(message ?? error?.message ?? 'the command line is wrong', argv)
    })
  try {
    await parser.parseAsync()
  } catch (error) {
    if (!(error instanceof Chosen)) throw error
    await error.run()
  }
}

/**
 * What the command line asks for. It leaves yargs as an error does, for behind every command yargs lays out the help text that
 * nobody asked for, which takes longer than many a command.
 */
class Chosen extends Error {
  readonly run: () => Promise<void>

  constructor(run: () => Promise<void>) {
    super('a command was chosen')
    this.run = run
  }
}

/** For `-`, standard input, which yargs takes for an option without a name and drops. No argument has a NUL in it. */
const LONE_DASH = '\0-'

function restoreDashes(values: Record<string, unknown>): void {
  const restored = (value: unknown): unknown => (value === LONE_DASH ? '-' : value)
  for (const [name, value] of Object.entries(values)) {
    values[name] = Array.isArray(value) ? value.map(restored) : restored(value)
  }
}

function usageError(message: string, argv: readonly string[]): StowageError {
  const command = argv.find(word => Object.hasOwn(COMMANDS, word))
  return new StowageError('INVALID_ARGUMENT', message.replace(/\s*\n\s*/g, ' '), {
    hint: `Run "stowage ${command ? `${command} ` : ''}--help" to see how it is used.`,
  })
}
