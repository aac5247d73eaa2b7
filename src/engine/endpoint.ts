/** Finds and parses the address of the Docker Engine as `docker` does. */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { StowageError } from '../errors.js'
import { currentContext, readContext, readTlsFiles, type TlsFiles } from './context.js'

/** A parsed address. `name` is the full address for messages, without credentials. */
export type EngineEndpoint =
  | { readonly type: 'socket'; readonly name: string; readonly path: string }
  | {
      readonly type: 'tcp'
      readonly name: string
      readonly host: string
      readonly port: number
      readonly tls?: TlsFiles
    }
  | {
      readonly type: 'ssh'
      readonly name: string
      readonly host: string
      readonly user?: string
      readonly port?: number
      /** The engine's socket on the remote host, if it is not the default. */
      readonly path?: string
    }

export interface EngineEndpointOptions {
  /** `unix:///path`, `npipe:////./pipe/name`, `tcp://host[:port]` or `ssh://[user@]host[:port][/socket]`. */
  readonly host?: string | undefined
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  readonly os?: NodeJS.Platform | undefined
}

/**
 * The address of the engine: `host`, else `DOCKER_HOST`, else the context of `DOCKER_CONTEXT` or of docker's
 * `config.json`, else the platform's default. TLS for tcp is set by the context, or by `DOCKER_TLS_VERIFY` and
 * `DOCKER_CERT_PATH`. Does not connect. Throws INVALID_ARGUMENT.
 */
export async function findEngineEndpoint(options: EngineEndpointOptions = {}): Promise<EngineEndpoint> {
  const { host, env = process.env, os = process.platform } = options
  const home = env['HOME'] ?? env['USERPROFILE'] ?? homedir()
  const config = env['DOCKER_CONFIG'] || join(home, '.docker')
  const address = host || env['DOCKER_HOST']
  if (address) return parseEndpoint(address, await tlsOf(env, config))
  const context = env['DOCKER_CONTEXT'] || (await currentContext(config))
  if (!context || context === 'default') return parseEndpoint(defaultHost(os, home, env), await tlsOf(env, config))
  const found = await readContext(config, context)
  return parseEndpoint(found.host, found.tls)
}

/** Parses an address. `tls` is used only for tcp. Throws INVALID_ARGUMENT. */
export function parseEndpoint(address: string, tls?: TlsFiles): EngineEndpoint {
  const scheme = /^([a-z]+):\/\//.exec(address)?.[1]
  const rest = address.slice(`${scheme ?? ''}://`.length)
  switch (scheme) {
    case 'unix':
    case 'npipe':
      if (!rest.startsWith('/')) throw invalid(address)
      return { type: 'socket', name: address, path: rest }
    case 'tcp': {
      const { url, host, port } = parseUrl(address)
      if (url.username || url.password || !/^\/?$/.test(url.pathname)) throw invalid(address)
      return { type: 'tcp', name: address, host, port: port ?? (tls ? 2376 : 2375), ...(tls ? { tls } : {}) }
    }
    case 'ssh':
      return parseSsh(address)
    default:
      throw invalid(address)
  }
}

function parseSsh(address: string): EngineEndpoint {
  const { url, host, port } = parseUrl(address)
  const user = decodeURIComponent(url.username)
  if (url.password) {
    throw new StowageError('INVALID_ARGUMENT', `the address of the engine at ${host} contains a password`, {
      hint: 'Use an SSH key or agent: the password would be visible in the list of processes.',
    })
  }
  const path = url.pathname.replace(/^\/$/, '')
  // These become arguments of a local command, and of a shell command on the remote host
  if (/^-/.test(host) || /^-|\s/.test(user) || !/^[\w./@+-]*$/.test(path)) throw invalid(address)
  return {
    type: 'ssh',
    name: address,
    host,
    ...(user ? { user } : {}),
    ...(port === undefined ? {} : { port }),
    ...(path ? { path } : {}),
  }
}

function parseUrl(address: string): { url: URL; host: string; port: number | undefined } {
  // URL validates the host of an http URL, but not that of an unknown scheme
  const text = address.replace(/^[a-z]+:/, 'http:')
  if (!URL.canParse(text)) throw invalid(address)
  const url = new URL(text)
  if (url.search || url.hash) throw invalid(address)
  const port = /:(\d+)(?:\/|$)/.exec(address.replace(/^[a-z]+:\/\//, ''))?.[1]
  return { url, host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port: port === undefined ? undefined : Number(port) }
}

function defaultHost(os: NodeJS.Platform, home: string, env: Readonly<Record<string, string | undefined>>): string {
  if (os === 'win32') return 'npipe:////./pipe/docker_engine'
  const system = '/var/run/docker.sock'
  if (existsSync(system)) return `unix://${system}`
  const runtime = env['XDG_RUNTIME_DIR']
  const others = [...(runtime ? [join(runtime, 'docker.sock')] : []), join(home, '.docker', 'run', 'docker.sock')]
  return `unix://${others.find(path => existsSync(path)) ?? system}`
}

async function tlsOf(env: Readonly<Record<string, string | undefined>>, config: string): Promise<TlsFiles | undefined> {
  const verify = Boolean(env['DOCKER_TLS_VERIFY'])
  if (!verify && !env['DOCKER_TLS']) return undefined
  return await readTlsFiles(env['DOCKER_CERT_PATH'] || config, verify)
}

function invalid(address: string): StowageError {
  const shown = JSON.stringify(address.replace(/\/\/[^@/]*@/, '//…@'))
  return new StowageError('INVALID_ARGUMENT', `${shown} is not the address of a Docker Engine`, {
    hint: 'Write unix:///var/run/docker.sock, npipe:////./pipe/docker_engine, tcp://host:2376 or ssh://user@host.',
  })
}
