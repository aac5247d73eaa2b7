/** How to install libwim on this system, in one line. */
import { readFileSync } from 'node:fs'

/** Commands by the IDs of distributions. Source: os-release(5), `ID` and `ID_LIKE`. */
const COMMANDS: Readonly<Record<string, string>> = {
  debian: 'apt-get install libwim15',
  ubuntu: 'apt-get install libwim15',
  fedora: 'dnf install wimlib-utils',
  rhel: 'dnf install epel-release, then dnf install wimlib-utils',
  suse: 'zypper install libwim15',
  arch: 'pacman -S wimlib',
  alpine: 'apk add wimlib',
}

/** A sentence for a hint. */
export function installLibwim(): string {
  switch (process.platform) {
    case 'win32':
      return 'Take libwim-15.dll from the download for Windows of wimlib.net, and put it beside the native addon, or set STOWAGE_LIBWIM to its path.'
    case 'darwin':
      return 'Install libwim: brew install wimlib; or set STOWAGE_LIBWIM to the path of libwim.15.dylib.'
    default: {
      const command = commandOf(osRelease())
      return command === undefined
        ? 'Install libwim 1.13 or newer (libwim.so.15), or put it beside the native addon, or set STOWAGE_LIBWIM to its path.'
        : `Install libwim: ${command}.`
    }
  }
}

/** The command for the system of which this is the os-release file. */
export function commandOf(osRelease: string): string | undefined {
  const [ids = '', like = ''] = ['ID', 'ID_LIKE'].map(
    name => new RegExp(`^${name}=["']?([^"'\n]*)`, 'm').exec(osRelease)?.[1],
  )
  return `${ids} ${like}`
    .split(' ')
    .map(id => COMMANDS[id])
    .find(command => command !== undefined)
}

function osRelease(): string {
  for (const path of ['/etc/os-release', '/usr/lib/os-release']) {
    try {
      return readFileSync(path, 'utf8')
    } catch {
      // the next one
    }
  }
  return ''
}
