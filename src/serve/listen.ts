/** Parses and formats the address that a server listens on. */
import { isIPv6 } from 'node:net'
import { StowageError } from '../errors.js'

export interface ListenAddress {
  /** Host name or address, without brackets. */
  readonly host: string
  /** 0 means any free port. */
  readonly port: number
}

const DEFAULT_HOST = '127.0.0.1'
const DEFAULT_PORT = 5000
const HINT =
  'Write HOST:PORT, such as 0.0.0.0:5000, [::]:5000 or 127.0.0.1:0. HOST alone uses port 5000, :PORT alone the loopback address.'

/**
 * Parses `HOST:PORT`, `HOST`, `:PORT` or `PORT`; an IPv6 address before a port is in brackets. The defaults are
 * 127.0.0.1 and 5000. Throws INVALID_ARGUMENT.
 */
export function parseListen(text: string | undefined): ListenAddress {
  if (text === undefined) return { host: DEFAULT_HOST, port: DEFAULT_PORT }
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d{1,5}))?$/.exec(text) ?? []
  if (isIPv6(text)) return { host: text, port: DEFAULT_PORT }
  if (/^\d{1,5}$/.test(text)) return { host: DEFAULT_HOST, port: portOf(text, text) }
  const host = bracketed ?? plain
  const named = bracketed === undefined ? /^[A-Za-z0-9._-]*$/.test(host ?? '') : isIPv6(bracketed)
  if (text === '' || host === undefined || !named) throw invalid(text)
  return { host: host === '' ? DEFAULT_HOST : host, port: digits === undefined ? DEFAULT_PORT : portOf(digits, text) }
}

/** `HOST:PORT` in the form that URLs and references use. */
export function formatHost(host: string, port: number): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`
}

/** Whether `host` means all addresses of the machine. */
export function isAny(host: string): boolean {
  return host === '0.0.0.0' || /^[0:]+$/.test(host)
}

function portOf(digits: string, text: string): number {
  const port = Number(digits)
  if (port > 65535) throw invalid(text)
  return port
}

function invalid(text: string): StowageError {
  return new StowageError('INVALID_ARGUMENT', `${JSON.stringify(text)} is not an address to listen on`, { hint: HINT })
}
