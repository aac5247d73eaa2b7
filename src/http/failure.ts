/** Classifies network errors, and puts them into words. */
import { systemCode, systemReason } from '../errors.js'

/** The innermost cause of an error. */
export function rootOf(error: unknown): Error {
  if (error instanceof AggregateError && error.errors[0] instanceof Error) return rootOf(error.errors[0])
  if (error instanceof Error && error.cause instanceof Error) return rootOf(error.cause)
  return error instanceof Error ? error : new Error(String(error))
}

/**
 * Whether a retry would fail too: an unknown host, a certificate that is not accepted by one side or cannot be used, or
 * a server that speaks http, not https.
 */
export function isFinal(error: unknown): boolean {
  const code = systemCode(rootOf(error)) ?? ''
  return code === 'ENOTFOUND' || isUntrusted(error) || isAlert(error) || isUnusable(error) || speaksHttp(error)
}

/**
 * Whether nobody listens at any address of the host, or no address can be reached. A retry does not help, unless the
 * host has answered before: then it may be starting again.
 */
export function isAbsent(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.length > 0 && error.errors.every(isAbsent)
  if (error instanceof Error && error.cause instanceof Error) return isAbsent(error.cause)
  return ['ECONNREFUSED', 'ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL'].includes(systemCode(error) ?? '')
}

/** Whether the server's certificate is not trusted. */
export function isUntrusted(error: unknown): boolean {
  return (
    !isAlert(error) && !isUnusable(error) && /CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME/.test(systemCode(rootOf(error)) ?? '')
  )
}

/** Whether the server refused the TLS handshake, as it does if it wants a client certificate that it did not get. */
export function isAlert(error: unknown): boolean {
  return /^ERR_SSL_.*_ALERT_/.test(systemCode(rootOf(error)) ?? '')
}

/** Whether our own certificate or key cannot be used. */
export function isUnusable(error: unknown): boolean {
  return /^ERR_OSSL_/.test(systemCode(rootOf(error)) ?? '')
}

/** Whether the server's response to the TLS handshake was not TLS. */
export function speaksHttp(error: unknown): boolean {
  const cause = rootOf(error)
  return /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST/i.test(
    `${systemCode(cause) ?? ''} ${cause.message.replace(/ /g, '_')}`,
  )
}

/** Whether a plain request met something that is not http, or was cut off without a response: maybe a TLS server. */
export function isNoHttp(error: unknown): boolean {
  return /^HPE_|^ECONNRESET$|^EPIPE$|^UND_ERR_SOCKET$/.test(systemCode(rootOf(error)) ?? '')
}

/** What happened, as a clause without the name of the host. */
export function failureReason(error: unknown): string {
  const root = rootOf(error)
  const code = systemCode(root) ?? ''
  const address = 'address' in root && 'port' in root ? ` by ${String(root.address)}:${String(root.port)}` : ''
  switch (code) {
    case 'ECONNREFUSED':
      return `the connection was refused${address}`
    case 'ENOTFOUND':
      return 'no host has this name'
    case 'EAI_AGAIN':
      return 'its name could not be looked up'
    case 'ENETUNREACH':
    case 'EHOSTUNREACH':
      return `there is no route to it${address.replace(' by ', ' at ')}`
    case 'ECONNRESET':
    case 'EPIPE':
    case 'UND_ERR_SOCKET':
      return 'the connection was closed before the response was complete'
    case 'ETIMEDOUT':
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
      return 'it did not answer in time'
    default:
      return systemReason(root) || 'unknown error'
  }
}

/** What helps against {@link failureReason}, if anything is known to. */
export function failureHint(error: unknown): string | undefined {
  switch (systemCode(rootOf(error)) ?? '') {
    case 'ECONNREFUSED':
      return 'Check the port, and that a registry runs there.'
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'Check the name of the host. A directory or a file is written with its kind: oci:DIR, bundle:PATH.'
    case 'ENETUNREACH':
    case 'EHOSTUNREACH':
    case 'ETIMEDOUT':
    case 'UND_ERR_CONNECT_TIMEOUT':
      return 'Check the network of this machine. A proxy is set with HTTPS_PROXY.'
    default:
      return undefined
  }
}

/**
 * An error like those of the system: `code` is the name of an errno, or node:http's code for a response that is not
 * HTTP.
 */
export function networkError(message: string, code: string): Error {
  return Object.assign(new Error(message), { code })
}
