/** Where the layout is that holds images if no engine does. */
import { homedir } from 'node:os'
import { join } from 'node:path'

/**
 * The layout on disk that holds images where no engine does: `$STOWAGE_STORE`, else `stowage/store` under
 * `%LOCALAPPDATA%` on Windows and under `$XDG_DATA_HOME` or `~/.local/share` elsewhere.
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
