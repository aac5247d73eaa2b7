/** The default store: the layout on disk that holds images if there is no engine. */
import { homedir } from 'node:os'
import { join } from 'node:path'

/**
 * The path of the default store: `$STOWAGE_STORE` if set; otherwise `stowage/store` under `%LOCALAPPDATA%` on Windows,
 * and under `$XDG_DATA_HOME` or `~/.local/share` elsewhere.
 */
export function defaultStore(
  env: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): string {
  const own = env['STOWAGE_STORE']
  if (own) return own
  if (platform === 'win32') return join(env['LOCALAPPDATA'] || join(homedir(), 'AppData', 'Local'), 'stowage', 'store')
  return join(env['XDG_DATA_HOME'] || join(homedir(), '.local', 'share'), 'stowage', 'store')
}
