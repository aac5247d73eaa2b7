/** Classifies network errors. */
import { systemCode } from '../errors.js'

/** The innermost cause of an error. */
export function rootOf(error: unknown): Error {
  if (error instanceof AggregateError && error.errors[0] instanceof Error) return rootOf(error.errors[0])
  if (error instanceof Error && error.cause instanceof Error) return rootOf(error.cause)
  return error instanceof Error ? error : new Error(String(error))
}

/**
 * Whether a retry would fail too: an unknown host, an untrusted certificate, or a server that speaks http, not https.
 */
export function isFinal(error: unknown): boolean {
  return systemCode(rootOf(error)) === 'ENOTFOUND' || isUntrusted(error) || speaksHttp(error)
}

/** Whether the server's certificate is not trusted. */
export function isUntrusted(error: unknown): boolean {
  return /CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME/.test(systemCode(rootOf(error)) ?? '')
}

/** Whether the server's response to the TLS handshake was not TLS. */
export function speaksHttp(error: unknown): boolean {
  const cause = rootOf(error)
  return /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST/i.test(
    `${systemCode(cause) ?? ''} ${cause.message.replace(/ /g, '_')}`,
  )
}

/**
 * An error like those of the system: `code` is the name of an errno, or node:http's code for a response that is not
 * HTTP.
 */
export function networkError(message: string, code: string): Error {
  return Object.assign(new Error(message), { code })
}
