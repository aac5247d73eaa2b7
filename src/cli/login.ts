/** `stowage login`: tries credentials for a registry, and stores them if they work. */
import { readRegistryOptions, REGISTRY_OPTIONS } from './image-options.js'
import { command, flag, optional, value } from './command.js'
import { StowageError } from '../errors.js'
import { login as logIn, type LoginResult } from '../registry/login.js'
import { askHidden, askShown, readSecret } from './question.js'
import { printable } from './render.js'

export const login = command({
  operands: {
    server: optional('HOST or HOST:PORT'),
  },
  options: {
    username: value('User name; prompted for if omitted', { alias: 'u' }),
    password: value('Password, visible to other users of this machine; prompted for if omitted', { alias: 'p' }),
    'password-stdin': flag('Read the password from stdin'),
    authfile: value("File to store them in (default: REGISTRY_AUTH_FILE, else docker's config.json)", {
      takes: 'path',
    }),
    ...REGISTRY_OPTIONS,
  },
  examples: [
    ['login registry.example -u alice', 'Prompts for the password'],
    ['login registry.example -u alice --password-stdin < token', 'For scripts'],
  ],
  run: async (
    { server, username, password, 'password-stdin': fromStdin, authfile, ...options },
    { signal, onProgress, report, note, notice },
  ) => {
    if (fromStdin && password !== undefined)
      throw new StowageError('INVALID_ARGUMENT', '--password and --password-stdin cannot be used together')
    if (fromStdin && username === undefined)
      throw new StowageError('INVALID_ARGUMENT', '--password-stdin requires --username')
    if (password !== undefined)
      note('warning: a password on the command line can be seen by everyone on this machine; use --password-stdin')
    const name = username ?? (await askShown('Username: ', signal))
    const secret = password ?? (fromStdin ? await readSecret(signal) : await askHidden('Password: ', signal))
    const result = await logIn(server, {
      username: name,
      password: secret,
      authFile: authfile,
      ...readRegistryOptions(options),
      signal,
      onProgress,
      onNotice: notice,
      onWarning: warning => note(`warning: ${warning}`),
    })
    report({ schema: 'stowage.login/v1', ...result }, text(result))
  },
})

function text({ server, username, file, helper, identityToken }: LoginResult): string {
  const secret = identityToken ? 'identity token' : 'password'
  const place = helper === undefined ? `in ${file}` : `by the credential helper ${helper}`
  return printable(`Logged in to ${server} as ${username}; ${secret} stored ${place}\n`)
}
