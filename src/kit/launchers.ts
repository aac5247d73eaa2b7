/** What starts Stowage from a kit: a shell script, and a batch file for Windows. They need nothing but the shell. */
import type { KitPlatform } from './node-binary.js'

/** The directory that has Node.js for a platform, below `node/`. */
export function nodeDirectory(platform: KitPlatform): string {
  return platform.replace('/', '-')
}

/**
 * For any POSIX shell. Media with FAT have no modes, and are often mounted noexec: then it says how to run the kit from
 * elsewhere.
 */
export const SHELL_LAUNCHER = `#!/bin/sh
# Runs Stowage with the Node.js beside it, or with the one that STOWAGE_NODE names.
case $0 in */*) kit=\${0%/*} ;; *) kit=. ;; esac
kit=$(CDPATH= cd -- "$kit" && pwd) || exit 1
refused() {
  trap - EXIT
  echo "stowage: programs cannot be run from $kit: it is mounted noexec, or has no modes." >&2
  echo "hint: Copy the kit to a disk of this host, and run it from there:" >&2
  echo "  cp -r '$kit' ~/stowage-kit && chmod +x ~/stowage-kit/node/$platform/node && sh ~/stowage-kit/stowage --version" >&2
  exit 1
}
if [ -z "$STOWAGE_NODE" ]; then
  case $(uname -s)/$(uname -m) in
    Linux/x86_64) platform=linux-amd64 loader=/lib64/ld-linux-x86-64.so.2 ;;
    Linux/aarch64) platform=linux-arm64 loader=/lib/ld-linux-aarch64.so.1 ;;
    *) platform=$(uname -s)/$(uname -m) loader=/ ;;
  esac
  STOWAGE_NODE=$kit/node/$platform/node
  if ! [ -d "$kit/node" ]; then
    STOWAGE_NODE=node # the kit was made without
  elif ! [ -f "$STOWAGE_NODE" ]; then
    echo "stowage: this kit has no Node.js for $platform; it has it for:" >&2
    (cd "$kit/node" && for each in *; do echo "  $each"; done) >&2
    echo "hint: STOWAGE_NODE=/path/to/node sh '$0' uses another one, 20.19 or later." >&2
    exit 1
  elif ! [ -e "$loader" ]; then
    echo "stowage: the Node.js of this kit needs glibc, and this host has none: $loader is not there." >&2
    echo "hint: Install the host's own Node.js, 20.19 or later, and run: STOWAGE_NODE=node sh '$0'" >&2
    exit 1
  else
    [ -x "$STOWAGE_NODE" ] || refused
    trap refused EXIT # if exec fails: for root, some shells believe what the modes say
  fi
fi
exec "$STOWAGE_NODE" "$kit/app/dist/stowage.js" "$@"
`

/** For the command line of Windows, and for PowerShell. */
export const BATCH_LAUNCHER = `@echo off
rem Runs Stowage with the Node.js beside it, or with the one that STOWAGE_NODE names.
setlocal
if defined STOWAGE_NODE goto run
set "STOWAGE_NODE=node"
if not exist "%~dp0node\\" goto run
set "STOWAGE_NODE=%~dp0node\\windows-amd64\\node.exe"
if exist "%STOWAGE_NODE%" goto run
echo stowage: this kit has no Node.js for Windows: %STOWAGE_NODE% is not there. 1>&2
exit /b 1
:run
"%STOWAGE_NODE%" "%~dp0app\\dist\\stowage.js" %*
exit /b %ERRORLEVEL%
`.replaceAll('\n', '\r\n')

/** README.txt of a kit. */
export function kitReadme(version: string, platforms: readonly KitPlatform[], node: string | undefined): string {
  const what =
    node === undefined
      ? `for ${platforms.join(', ')}, without Node.js: the host needs version 20.19 or later`
      : `with Node.js ${node} for ${platforms.join(', ')}`
  return `Stowage ${version}, ${what}.

It runs from where it is${node === undefined ? '' : ': nothing has to be installed'}. With KIT for this directory:

  Linux     sh KIT/stowage verify BUNDLE
            sh KIT/stowage load BUNDLE
  Windows   KIT\\stowage.cmd verify BUNDLE

  sh KIT/stowage --help

Linux must have glibc 2.28 or later (Debian 10, RHEL 8, Ubuntu 18.10), Windows must be 10 or Server 2016 or later.
If programs cannot be run from this medium, the command says how to run a copy.

To check that the kit is whole:

  cd KIT && sha256sum -c --quiet SHA256SUMS

LICENSE is Stowage's licence, app/dist/licenses.txt has those of what is built into it, node/*/LICENSE and app/prebuilds/*
those of Node.js and of the libraries in the addon.
`.replaceAll('\n', '\r\n')
}
