/** What to do about a server that cannot be used because of TLS. */
import type { Diagnosis } from './diagnosis.js'
import type { Endpoint } from './endpoint.js'

/** For `url`, which `endpoint` was to be reached at or redirects to. */
export function tlsHint(type: Diagnosis['type'], url: URL, { domain, host, byUrl, tls }: Endpoint): string {
  const folder = `/etc/docker/certs.d/${url.host}`
  const skip = `To accept any certificate of this host: --tls-skip-verify ${url.host}.`
  const own = url.host === host || url.host === new URL(`https://${host}`).host
  switch (type) {
    case 'plain':
      if (byUrl) return `If this is intended, write http://${url.host}.`
      return own ? `If this is intended, use --insecure ${domain}.` : 'Ask the operator of the registry.'
    case 'secure':
      if (byUrl) return `Write https://${url.host}.`
      return `Omit --insecure ${domain}. If its certificate is not trusted, put the certificate of its CA into ${folder}/ca.crt, or use --tls-skip-verify ${domain}.`
    case 'untrusted':
      if (tls.hollow.length > 0)
        return `${tls.hollow.join(' and ')} gives no certificate: it must be in PEM format, with -----BEGIN CERTIFICATE-----. One in DER is converted by: openssl x509 -inform der -in ${tls.hollow[0]} -out ca-pem.crt. ${skip}`
      return `Put the certificate of its CA into ${folder}/ca.crt, or name it in SSL_CERT_FILE or NODE_EXTRA_CA_CERTS. ${skip}`
    case 'name':
      return `Use one of these names, or have a certificate issued that has this one. ${skip}`
    case 'time':
      return `Correct the clock, or have the certificate renewed. ${skip}`
    case 'client':
      return `Put a certificate that it accepts into ${folder}/client.cert, and its key into ${folder}/client.key.`
  }
}
