/** Finds the proxy for a host from the environment, as curl and Go programs do. */
import { BlockList, isIP } from 'node:net'

/** URL of the proxy for `url`; undefined if it is reached directly, as loopback always is. */
export function proxyFor(url: URL, env: NodeJS.ProcessEnv = process.env): string | undefined {
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase()
  if (isLoopback(host) || isExcepted(host, portOf(url), read(env, 'NO_PROXY') ?? '')) return undefined
  // In a CGI program, HTTP_PROXY in capitals comes from a request header, not from the user (httpoxy)
  const own =
    url.protocol === 'https:'
      ? read(env, 'HTTPS_PROXY')
      : env['http_proxy'] || (env['REQUEST_METHOD'] ? undefined : env['HTTP_PROXY'])
  const proxy = own || read(env, 'ALL_PROXY')
  if (!proxy) return undefined
  return proxy.includes('://') ? proxy : `http://${proxy}`
}

/** `localhost`, `*.localhost`, 127.0.0.0/8 and ::1. */
export function isLoopback(host: string): boolean {
  if (host === 'localhost' || host.endsWith('.localhost') || host === '::1') return true
  return isIP(host) === 4 && host.startsWith('127.')
}

/**
 * Whether NO_PROXY lists the host: as `*`, as a name or a parent domain (with or without a leading `.` or `*.`), as an
 * address or in a network, each with or without a port.
 */
function isExcepted(host: string, port: string, list: string): boolean {
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(item => item !== '')
    .some(item => {
      if (item === '*') return true
      const network = /^([0-9a-f.:]+)\/(\d+)$/.exec(item)
      if (network) return inNetwork(host, network[1] ?? '', Number(network[2]))
      const ported = /^(.+):(\d+)$/.exec(item)
      const bare = isIP(item) === 6 || !ported ? item : (ported[1] ?? '')
      if (bare !== item && ported?.[2] !== port) return false
      const name = bare.replace(/^\[|\]$/g, '').replace(/^\*?\./, '')
      return host === name || (isIP(host) === 0 && host.endsWith(`.${name}`))
    })
}

function inNetwork(host: string, network: string, bits: number): boolean {
  const family = isIP(network)
  if (family === 0 || isIP(host) !== family || bits > (family === 4 ? 32 : 128)) return false
  const type = family === 4 ? 'ipv4' : 'ipv6'
  const list = new BlockList()
  list.addSubnet(network, bits, type)
  return list.check(host, type)
}

function portOf(url: URL): string {
  return url.port || (url.protocol === 'https:' ? '443' : '80')
}

function read(env: NodeJS.ProcessEnv, name: string): string | undefined {
  return env[name.toLowerCase()] || env[name]
}
