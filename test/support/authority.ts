/** A certificate authority of a test's own, and what it signs, by openssl. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Authority {
  /** Its own certificate: a file. */
  readonly file: string
  /**
   * A key and a certificate in the files NAME.key and NAME.crt beside it. `extension` says what it is for:
   * `subjectAltName=IP:127.0.0.1`, `extendedKeyUsage=clientAuth`. It has expired with `days` below 0.
   */
  sign(name: string, extension: string, days?: number): SignedPair
}

export interface SignedPair {
  readonly keyFile: string
  readonly certFile: string
  readonly key: Buffer
  readonly cert: Buffer
}

/** Options of `openssl x509` for a certificate of `days`, expired if that is below 0, which OpenSSL 3.4 and later refuse. */
export function validFor(days: number): readonly string[] {
  const [, major = 0, minor = 0] =
    /^OpenSSL (\d+)\.(\d+)/.exec(execFileSync('openssl', ['version'], { encoding: 'utf8' })) ?? []
  if (days >= 0 || Number(major) * 100 + Number(minor) < 304) return ['-days', String(days)]
  return ['-not_before', '20240101000000Z', '-not_after', '20240102000000Z']
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

/** Makes it in `directory`, called `name`. */
export function makeAuthority(directory: string, name: string): Authority {
  const at = (file: string): string => join(directory, file)
  const openssl = (...words: string[]): void => void execFileSync('openssl', words, { cwd: directory, stdio: 'pipe' })
  const [own, ownKey] = [at(`${name}.ca.crt`), at(`${name}.ca.key`)]
  openssl('req', '-x509', ...NEW_KEY, '-keyout', ownKey, '-out', own, '-days', '2', '-subj', `/CN=${name}`)
  return {
    file: own,
    sign(signed, extension, days = 2) {
      const [keyFile, certFile] = [at(`${signed}.key`), at(`${signed}.crt`)]
      writeFileSync(at(`${signed}.ext`), extension)
      openssl('req', ...NEW_KEY, '-keyout', keyFile, '-out', at(`${signed}.csr`), '-subj', `/CN=${signed}`)
      openssl(
        ...['x509', '-req', '-in', at(`${signed}.csr`), '-CA', own, '-CAkey', ownKey, '-CAcreateserial'],
        ...['-out', certFile, ...validFor(days), '-extfile', at(`${signed}.ext`)],
      )
      return { keyFile, certFile, key: readFileSync(keyFile), cert: readFileSync(certFile) }
    },
  }
}
