import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

export interface TestCertificate {
  readonly key: Buffer
  readonly cert: Buffer
  /** Where `cert` stands, for SSL_CERT_FILE. */
  readonly file: string
}

/** A certificate for 127.0.0.1 that has signed itself, by openssl. */
export function makeCertificate(t: Test): TestCertificate {
  const directory = mkdtempSync(join(tmpdir(), 'stowage-tls-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const [key, file] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
  const words = [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    key,
    '-out',
    file,
    '-days',
    '2',
    '-subj',
    '/CN=x',
    '-addext',
    'subjectAltName=IP:127.0.0.1',
  ]
  execFileSync('openssl', words, { stdio: 'ignore' })
  return { key: readFileSync(key), cert: readFileSync(file), file }
}
