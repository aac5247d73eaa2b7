/** `stowage logout`: forgets the credentials for a registry. */
import type { CommandModule } from 'yargs'
import { logout as logOut, type LogoutResult } from '../registry/login.js'
import { printable } from './render.js'
import { type GlobalOptions, once, withSession } from './session.js'

interface Options extends GlobalOptions {
  readonly server: string | undefined
  readonly authfile: string | undefined
}

export const logout: CommandModule<GlobalOptions, Options> = {
  builder: yargs =>
    yargs
      .positional('server', { type: 'string', describe: 'HOST or HOST:PORT' })
      .option('authfile', {
        type: 'string',
        requiresArg: true,
        coerce: once('authfile'),
        describe: "File they are stored in (default: REGISTRY_AUTH_FILE, else docker's config.json)",
      })
      .example('$0 logout registry.example', 'Remove them from the file and from the helper it names'), // yargs does not type coerce
  handler: async ({ server, authfile, ...options }) => {
    await withSession(options, async ({ report }) => {
      const result = await logOut(server, { authFile: authfile })
      report({ schema: 'stowage.logout/v1', ...result }, text(result))
    })
  },
}

function text({ server, file, helper, removed }: LogoutResult): string {
  if (helper !== undefined) return printable(`The credential helper ${helper} keeps nothing for ${server} any more\n`)
  return printable(
    removed
      ? `Logged out of ${server}; ${file} keeps nothing for it any more\n`
      : `Not logged in to ${server}: ${file} keeps nothing for it\n`,
  )
}
