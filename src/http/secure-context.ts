/** Contexts of TLS, which take long to make: all authorities are parsed for each. */
import { createSecureContext, type SecureContext } from 'node:tls'
import type { TlsMaterial } from './exchange.js'

const contexts = new Map<string, SecureContext>()

/** The context for `tls`, made once for each set of certificates. */
export function secureContextFor(tls: TlsMaterial): SecureContext {
  const key = JSON.stringify(tls)
  const known = contexts.get(key) ?? createSecureContext(tls)
  contexts.set(key, known)
  return known
}
