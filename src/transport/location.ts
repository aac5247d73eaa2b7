/** Names of places, as a person writes them on the command line: a transport, a colon, and where. */
import { homedir } from 'node:os'
import { join } from 'node:path'
import { StowageError } from '../errors.js'
import { isReference } from '../oci/reference.js'

/** Where an image is, or goes. */
export type Location =
  | { readonly type: 'docker'; readonly name: string }
  | { readonly type: 'docker-daemon'; readonly name: string | undefined }
  | { readonly type: 'oci'; readonly directory: string; readonly ref: string | undefined }
  | { readonly type: 'oci-archive'; readonly file: string; readonly ref: string | undefined }
  | { readonly type: 'docker-archive'; readonly file: string; readonly ref: string | undefined }
  | { readonly type: 'dir'; readonly path: string }
  | { readonly type: 'bundle'; readonly path: string; readonly ref: string | undefined }
  | { readonly type: 'wim'; readonly file: string; readonly image: string | undefined }

type Transport = Location['type']

const FORMS: Readonly<Record<Transport, string>> = {
  docker: 'docker://NAME[:TAG|@DIGEST]',
  'docker-daemon': 'docker-daemon:NAME[:TAG]',
  oci: 'oci:DIR[:REF]',
  'oci-archive': 'oci-archive:FILE[:REF]',
  'docker-archive': 'docker-archive:FILE[:REF]',
  dir: 'dir:PATH',
  bundle: 'bundle:PATH[:REF]',
  wim: 'wim:FILE[#IMAGE]',
}

/** Transports of other tools, and of ours without their slashes: what begins so is no repository of that name. */
const OTHERS = new Set(['docker', 'containers-storage', 'ostree', 'sif', 'atomic', 'tarball'])

/**
 * Parses `docker://NAME[:TAG|@DIGEST]`, `docker-daemon:NAME[:TAG]`, `oci:DIR[:REF]`, `oci-archive:FILE[:REF]`,
 * `docker-archive:FILE[:REF]`, `dir:PATH`, `wim:FILE[#IMAGE]` or `bundle:PATH[:REF]`; a bare NAME[:TAG|@DIGEST] is in a registry.
 * `oci:` with no directory is the default store. Throws INVALID_ARGUMENT saying which transports there are.
 */
export function parseLocation(text: string): Location {
  const colon = text.indexOf(':')
  const rest = text.slice(colon + 1)
  switch (colon < 0 ? '' : text.slice(0, colon)) {
    case 'docker':
      if (!rest.startsWith('//')) break
      return { type: 'docker', name: required(rest.slice(2), text, 'docker') }
    case 'docker-daemon':
      return { type: 'docker-daemon', name: rest === '' ? undefined : rest }
    case 'oci': {
      const { path, ref } = splitRef(rest)
      return { type: 'oci', directory: path === '' ? defaultStore() : path, ref }
    }
    case 'oci-archive':
    case 'docker-archive': {
      const type = text.startsWith('oci') ? 'oci-archive' : 'docker-archive'
      const { path, ref } = splitRef(required(rest, text, type))
      return { type, file: required(path, text, type), ref }
    }
    case 'dir':
      return { type: 'dir', path: required(rest, text, 'dir') }
    case 'bundle': {
      const { path, ref } = splitRef(required(rest, text, 'bundle'))
      return { type: 'bundle', path: required(path, text, 'bundle'), ref }
    }
    case 'wim': {
      const hash = rest.lastIndexOf('#')
      const file = required(hash < 0 ? rest : rest.slice(0, hash), text, 'wim')
      return { type: 'wim', file, image: hash < 0 ? undefined : required(rest.slice(hash + 1), text, 'wim') }
    }
  }
  if (isReference(text) && !OTHERS.has(text.slice(0, Math.max(colon, 0)))) return { type: 'docker', name: text }
  throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(text)} names no place this version of Stowage knows`, {
    hint: `Write ${Object.values(FORMS).join(', ')}.`,
  })
}

/** The location as it is written, for messages. */
export function formatLocation(location: Location): string {
  switch (location.type) {
    case 'docker':
      return `docker://${location.name}`
    case 'docker-daemon':
      return `docker-daemon:${location.name ?? ''}`
    case 'oci':
      return `oci:${location.directory}${location.ref === undefined ? '' : `:${location.ref}`}`
    case 'oci-archive':
    case 'docker-archive':
      return `${location.type}:${location.file}${location.ref === undefined ? '' : `:${location.ref}`}`
    case 'dir':
      return `dir:${location.path}`
    case 'bundle':
      return `bundle:${location.path}${location.ref === undefined ? '' : `:${location.ref}`}`
    case 'wim':
      return `wim:${location.file}${location.image === undefined ? '' : `#${location.image}`}`
  }
}

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

/**
 * As skopeo has it: the path ends at the first colon, so that a reference may have any; a drive letter is part of the path.
 */
function splitRef(text: string): { readonly path: string; readonly ref: string | undefined } {
  const start = /^[A-Za-z]:[\\/]/.test(text) ? 2 : 0
  const colon = text.indexOf(':', start)
  if (colon < 0) return { path: text, ref: undefined }
  const ref = text.slice(colon + 1)
  if (ref === '') {
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(text)} ends in a colon with no reference after it`)
  }
  return { path: text.slice(0, colon), ref }
}

function required(part: string, text: string, transport: Transport): string {
  if (part !== '') return part
  throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(text)} names no place`, {
    hint: `Write ${FORMS[transport]}.`,
  })
}
