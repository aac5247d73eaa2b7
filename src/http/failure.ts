/** What a failure of the network means. */
import { systemCode } from '../errors.js'

export function rootOf(error: unknown): Error {
  if (error instanceof AggregateError && error.errors[0] instanceof Error) return rootOf(error.errors[0])
  if (error instanceof Error && error.cause instanceof Error) return rootOf(error.cause)
  return error instanceof Error ? error : new Error(String(error))
}

/** What will be so in a second too: a name that nobody has, a certificate that we do not trust, http where https was meant. */
export function isFinal(error: unknown): boolean {
  return systemCode(rootOf(error)) === 'ENOTFOUND' || isUntrusted(error) || speaksHttp(error)
}

/** Its certificate is none that we trust. */
export function isUntrusted(error: unknown): boolean {
  return /CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME/.test(systemCode(rootOf(error)) ?? '')
}

/** The other side answered a TLS greeting with something that is none. */
export function speaksHttp(error: unknown): boolean {
  const cause = rootOf(error)
  return /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST/i.test(
    `${systemCode(cause) ?? ''} ${cause.message.replace(/ /g, '_')}`,
  )
}

/** As the system tells of one: `code` is an errno's name, or node:http's of what is not HTTP. */
export function networkError(message: string, code: string): Error {
  return Object.assign(new Error(message), { code })
}
