/** Where a server listens, as a person writes it. */
import { isIPv6 } from 'node:net'
import { StowageError } from '../errors.js'

export interface ListenAddress {
  /** Host name or address, without brackets. */
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
}

const DEFAULT_HOST = '127.0.0.1'
const DEFAULT_PORT = 5000
const HINT =
  'Write HOST:PORT, such as 0.0.0.0:5000, [::]:5000 or 127.0.0.1:0. HOST alone uses port 5000, :PORT alone the loopback address.'

/**
 * `HOST:PORT`, `HOST`, `:PORT`, `PORT`, with IPv6 in brackets where a port follows; 127.0.0.1:5000 for what is left out.
 * Throws INVALID_ARGUMENT.
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

/** `HOST:PORT` as URLs and references have it. */
export function formatHost(host: string, port: number): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`
}

/** Whether it stands for all addresses of the machine. */
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
