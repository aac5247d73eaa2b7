/** Tells of connections that never become a request because client and server do not agree on TLS. */
import { X509Certificate } from 'node:crypto'
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { systemCode } from '../errors.js'

/** A connection without a request. */
export interface FailedConnection {
  readonly time: Date
  /** Its address; empty if it was gone too soon to tell. */
  readonly client: string
  /** A clause about the client. */
  readonly reason: string
}

/** The first byte of a TLS handshake. */
const HANDSHAKE = 0x16
/** What Node.js answers to a request that it cannot read. */
const STATUSES: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

/** Calls `onFailure` for each such connection to `server`. */
export function followStrangers(server: Server, onFailure: (failure: FailedConnection) => void): void {
  const tell = (socket: Socket, reason: string): void =>
    onFailure({ time: new Date(), client: socket.remoteAddress ?? '', reason })
  server.on('tlsClientError', (error: Error, socket: Socket) => {
    const code = systemCode(error) ?? ''
    if (/HTTP_REQUEST/.test(code)) tell(socket, 'spoke plain http, but this server speaks https')
    else if (/ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_UNKNOWN|CERTIFICATE_EXPIRED)/.test(code))
      tell(socket, "does not accept this server's certificate")
    else if (code.startsWith('ERR_SSL_'))
      tell(socket, `ended the TLS handshake: ${code.slice(8).toLowerCase().replaceAll('_', ' ')}`)
  })
  server.on('clientError', (error: Error & { readonly rawPacket?: Uint8Array }, socket: Socket) => {
    if (error.rawPacket?.[0] === HANDSHAKE) tell(socket, 'spoke https, but this server speaks plain http')
    // Node.js leaves the answer to whoever listens; one that has begun is only cut off
    if (socket.writable && socket.bytesWritten === 0)
      socket.write(`HTTP/1.1 ${STATUSES[systemCode(error) ?? ''] ?? '400 Bad Request'}\r\nConnection: close\r\n\r\n`)
    socket.destroy()
  })
}

/** A warning if no client accepts the certificate today. */
export function untimely(file: string, pem: Uint8Array): readonly string[] {
  const { validFrom, validTo } = new X509Certificate(pem)
  const day = (date: string): string => new Date(date).toISOString().slice(0, 10)
  if (Date.parse(validTo) < Date.now())
    return [`the certificate in ${file} expired on ${day(validTo)}: clients refuse it`]
  if (Date.parse(validFrom) > Date.now())
    return [`the certificate in ${file} is not valid before ${day(validFrom)}: clients refuse it`]
  return []
}
