/** Caches TLS contexts, which are slow to create because each parses all authorities. */
import { createSecureContext, type SecureContext } from 'node:tls'
import type { TlsMaterial } from './exchange.js'

const contexts = new Map<string, SecureContext>()

/** The context for `tls`, created once for each set of certificates. */
export function secureContextFor({ ca, cert, key: own }: TlsMaterial): SecureContext {
  const tls = { ca, ...(cert !== undefined && own !== undefined ? { cert, key: own } : {}) }
  const key = JSON.stringify(tls)
  const known = contexts.get(key) ?? createSecureContext(tls)
  contexts.set(key, known)
  return known
}
