/** Says why a certificate and its private key cannot be used: OpenSSL's own words do not say which of the files is wrong. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { systemReason } from '../errors.js'

/** For a pair of PEM files that TLS refused with `error`; `certFile` and `keyFile` are what to call them. */
export function keyPairFault(
  { cert, key }: { readonly cert: string; readonly key: string },
  [certFile, keyFile]: readonly [string, string],
  error: unknown,
): string {
  if (!/-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----[^-]+-----END/.test(cert))
    return `${certFile} has no certificate in PEM format`
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----[^]+-----END/.test(key)) return `${keyFile} has no private key in PEM format`
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(key))
    return `the key in ${keyFile} has a passphrase`
  try {
    if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)))
      return `the key in ${keyFile} belongs to another certificate`
  } catch {
    // one of them is damaged: what TLS says about it is all that there is
  }
  const words = error instanceof Error ? systemReason(error) : String(error)
  return words.replace(/^error:[0-9A-F]+:[^:]*:[^:]*:/i, '')
}
