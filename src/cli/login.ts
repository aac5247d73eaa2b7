/** `stowage login`: credentials for a registry, tried and then kept. */
import type { CommandModule } from 'yargs'
import { StowageError } from '../errors.js'
import { login as logIn, type LoginResult } from '../registry/login.js'
import { askHidden, askShown, readSecret } from './question.js'
import { printable } from './render.js'
import { type GlobalOptions, once, withSession } from './session.js'

interface Options extends GlobalOptions {
  readonly server: string | undefined
  readonly username: string | undefined
  readonly password: string | undefined
  readonly 'password-stdin': boolean
  readonly authfile: string | undefined
  readonly insecure: readonly string[]
}

export const login: CommandModule<GlobalOptions, Options> = {
  builder: yargs =>
    yargs
      .positional('server', { type: 'string', describe: 'HOST or HOST:PORT' })
      .option('username', {
        alias: 'u',
        type: 'string',
        requiresArg: true,
        coerce: once('username'),
        describe: 'User name; prompted for if omitted',
      })
      .option('password', {
        alias: 'p',
        type: 'string',
        requiresArg: true,
        coerce: once('password'),
        describe: 'Password, visible to other users of this machine; prompted for if omitted',
      })
      .option('password-stdin', { type: 'boolean', default: false, describe: 'Read the password from stdin' })
      .option('authfile', {
        type: 'string',
        requiresArg: true,
        coerce: once('authfile'),
        describe: "File to store them in (default: REGISTRY_AUTH_FILE, else docker's config.json)",
      })
      .option('insecure', {
        type: 'string',
        array: true,
        nargs: 1,
        default: [],
        describe: 'Registry (host[:port]) to reach over plain http; may be repeated',
      })
      .example('$0 login registry.example -u alice', 'Prompts for the password')
      .example('$0 login registry.example -u alice --password-stdin < token', 'For scripts'), // yargs does not type coerce
  handler: async ({ server, username, password, 'password-stdin': fromStdin, authfile, insecure, ...options }) => {
    if (fromStdin && password !== undefined)
      throw new StowageError('INVALID_ARGUMENT', '--password and --password-stdin cannot be used together')
    if (fromStdin && username === undefined)
      throw new StowageError('INVALID_ARGUMENT', '--password-stdin needs --username')
    await withSession(options, async ({ signal, report, note }) => {
      if (password !== undefined)
        note('warning: a password on the command line can be seen by everyone on this machine; use --password-stdin')
      const name = username ?? (await askShown('Username: ', signal))
      const secret = password ?? (fromStdin ? await readSecret(signal) : await askHidden('Password: ', signal))
      const result = await logIn(server, {
        username: name,
        password: secret,
        authFile: authfile,
        insecure,
        signal,
        onWarning: warning => note(`warning: ${warning}`),
      })
      report({ schema: 'stowage.login/v1', ...result }, text(result))
    })
  },
}

function text({ server, username, file, helper, identityToken }: LoginResult): string {
  const what = identityToken ? ', by an identity token' : ''
  return printable(
    `Logged in to ${server} as ${username}${what}; kept ${helper === undefined ? `in ${file}` : `by the credential helper ${helper}`}\n`,
  )
}
