/** `stowage logout`: removes the credentials for a registry. */
import { command, optional, value } from './command.js'
import { logout as logOut, type LogoutResult } from '../registry/login.js'
import { printable } from './render.js'

export const logout = command({
  operands: {
    server: optional('HOST or HOST:PORT'),
  },
  options: {
    authfile: value("File they are stored in (default: REGISTRY_AUTH_FILE, else docker's config.json)", {
      takes: 'path',
    }),
  },
  examples: [['logout registry.example', 'Remove them from the file and from the credential helper it names']],
  run: async ({ server, authfile }, { report }) => {
    const result = await logOut(server, { authFile: authfile })
    report({ schema: 'stowage.logout/v1', ...result }, text(result))
  },
})

function text({ server, file, helper, removed }: LogoutResult): string {
  if (helper !== undefined)
    return printable(`Logged out of ${server}: credentials removed from the credential helper ${helper}\n`)
  return printable(
    removed
      ? `Logged out of ${server}: credentials removed from ${file}\n`
      : `Not logged in to ${server}: ${file} has no credentials for it\n`,
  )
}
