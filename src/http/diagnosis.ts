/**
 * Says why a connection with or without TLS failed, by looking at the server once more: which certificate it shows, or
 * which protocol it speaks. Loaded only after a failure.
 */
import { X509Certificate } from 'node:crypto'
import { connect, type PeerCertificate } from 'node:tls'
import { isAlert, isNoHttp, isUntrusted, isUnusable, rootOf, speaksHttp } from './failure.js'
import { systemCode } from '../errors.js'
import { keyPairFault } from './key-pair.js'

/** How a server was reached, and as what. */
export interface Attempt {
  /** What messages call it. */
  readonly who: string
  readonly host: string
  readonly port: number
  /** Whether TLS was spoken to it. */
  readonly secure: boolean
  /** Whether there is no proxy in between: only then can it be looked at. */
  readonly direct: boolean
  /** Our certificate and key as PEM, and the files that they are from. */
  readonly own?:
    { readonly cert: string; readonly key: string; readonly file: string; readonly keyFile: string } | undefined
}

export interface Diagnosis {
  /**
   * `plain` and `secure`: the protocol that the server speaks instead; `untrusted`, `name` and `time`: what is wrong
   * with its certificate; `client`: it wants a certificate of ours, or does not accept it.
   */
  readonly type: 'plain' | 'secure' | 'untrusted' | 'name' | 'time' | 'client'
  /** The whole finding. */
  readonly sentence: string
}

const LOOK_TIMEOUT = 2000
/** Milliseconds that a server with TLS 1.3 has to refuse our certificate after the handshake. */
const ALERT_TIMEOUT = 500

/** Undefined if the failure has nothing to do with TLS, or nothing more can be found out. */
export async function diagnose(error: unknown, attempt: Attempt): Promise<Diagnosis | undefined> {
  const { who, secure, direct } = attempt
  if (!secure) {
    const found = isNoHttp(error) && direct ? await look(attempt) : undefined
    return found ? speaksTls(who) : undefined
  }
  if (speaksHttp(error)) return { type: 'plain', sentence: `${who} speaks plain http, not https` }
  if (isUnusable(error) && attempt.own) {
    const { file, keyFile } = attempt.own
    const fault = keyPairFault(attempt.own, [file, keyFile], rootOf(error))
    return { type: 'client', sentence: `the client certificate for ${who} cannot be used: ${fault}` }
  }
  if (isAlert(error)) return refusal(systemCode(rootOf(error)) ?? '', attempt)
  if (isUntrusted(error)) return rejected(error, attempt, direct ? (await look(attempt))?.certificate : undefined)
  // With TLS 1.3 the alert comes after the handshake, and may be lost when the connection is closed
  const found = isNoHttp(error) && direct ? await look(attempt) : undefined
  if (found?.alert !== undefined) return refusal(found.alert, attempt)
  // Node.js as a server sends no alert
  return found?.closed && attempt.own ? { type: 'client', sentence: closing(who, attempt.own) } : undefined
}

/** What to say if a plain request got a response like that of a TLS server; undefined if it does not speak TLS. */
export async function diagnosePlainRefusal(attempt: Attempt): Promise<Diagnosis | undefined> {
  return attempt.direct && (await look(attempt)) ? speaksTls(attempt.who) : undefined
}

function speaksTls(who: string): Diagnosis {
  return { type: 'secure', sentence: `${who} speaks https, not plain http` }
}

/** The server's certificate was not accepted here. */
function rejected(error: unknown, { who, host }: Attempt, certificate: PeerCertificate | undefined): Diagnosis {
  const root = rootOf(error)
  const code = systemCode(root) ?? ''
  const clock = `the clock of this machine says ${minute(new Date())}`
  const own = `the certificate of ${who}`
  if (code === 'CERT_HAS_EXPIRED') {
    const when = certificate ? ` on ${minute(new Date(certificate.valid_to))}` : ''
    return { type: 'time', sentence: `${own} expired${when}; ${clock}` }
  }
  if (code === 'CERT_NOT_YET_VALID') {
    const when = certificate ? ` before ${minute(new Date(certificate.valid_from))}` : ' yet'
    return { type: 'time', sentence: `${own} is not valid${when}; ${clock}` }
  }
  if (/ALTNAME/.test(code)) {
    const names = certificate ? namesOf(certificate) : 'other names'
    return { type: 'name', sentence: `${own} is for ${names}, not for ${host}` }
  }
  const why = 'which is not trusted here'
  if (code === 'DEPTH_ZERO_SELF_SIGNED_CERT')
    return { type: 'untrusted', sentence: `${own} is signed by no authority but itself, ${why}` }
  const issuer = certificate ? nameOf(certificate.issuer) : ''
  if (/SELF_SIGNED|UNABLE_TO_/.test(code))
    return { type: 'untrusted', sentence: `${own} was issued by ${issuer || 'an authority'}, ${why}` }
  return { type: 'untrusted', sentence: `${own} is not accepted: ${root.message}` }
}

/** The server refused the handshake. */
function refusal(code: string, { who, own }: Attempt): Diagnosis {
  const alert = code
    .replace(/^ERR_SSL_.*_ALERT_/, '')
    .replace(/_/g, ' ')
    .toLowerCase()
  if (!own) {
    const sure = alert === 'handshake failure' ? 'refused the TLS handshake: it probably requires' : 'requires'
    if (/certificate|unknown ca|handshake failure|access denied/.test(alert))
      return { type: 'client', sentence: `${who} ${sure} a client certificate, and there is none for it here` }
    return { type: 'client', sentence: `${who} refused the TLS handshake: ${alert}` }
  }
  return {
    type: 'client',
    sentence: `${who} does not accept the client certificate in ${own.file}: ${alert}${factsOf(own.cert)}`,
  }
}

function closing(who: string, own: NonNullable<Attempt['own']>): string {
  return `${who} closes the connection after the TLS handshake: it probably does not accept the client certificate in ${own.file}${factsOf(own.cert)}`
}

/** The issuer of a certificate and the end of its time, in parentheses. */
function factsOf(pem: string): string {
  try {
    const certificate = new X509Certificate(pem)
    const issuer = /^CN=(.*)$/m.exec(certificate.issuer)?.[1] ?? certificate.issuer.replace(/\n/g, ', ')
    return ` (issued by ${issuer}, valid until ${minute(new Date(certificate.validTo))})`
  } catch {
    return '' // the certificate cannot be parsed
  }
}

function nameOf({ CN, O }: Partial<PeerCertificate['issuer']>): string {
  return [CN ?? O ?? ''].flat().join(', ')
}

function namesOf({ subject, subjectaltname }: PeerCertificate): string {
  const names = (subjectaltname ?? '')
    .split(', ')
    .map(name => name.replace(/^(DNS|IP Address):/, ''))
    .filter(name => name !== '')
  if (names.length > 5) names.splice(5, names.length, `${names.length - 5} more`)
  return names.join(', ') || nameOf(subject) || 'no name'
}

/** `2026-11-30 01:06 UTC`. */
function minute(date: Date): string {
  return Number.isNaN(date.getTime()) ? 'an unknown date' : `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

interface Found {
  /** Undefined if the handshake was refused before it was complete. */
  readonly certificate?: PeerCertificate
  /** The code of the server's alert. */
  readonly alert?: string
  /** Whether the server closed the connection by itself, right after the handshake. */
  readonly closed?: boolean
}

/** Shakes hands with the server, whoever it is; nothing is sent. Undefined if it does not speak TLS in time. */
async function look({ host, port, own }: Attempt): Promise<Found | undefined> {
  return await new Promise(resolve => {
    const named = /^[\d.]+$|:/.test(host) ? {} : { servername: host }
    const socket = connect({
      host,
      port,
      ...named,
      ...(own ? { cert: own.cert, key: own.key } : {}),
      rejectUnauthorized: false,
    })
    let certificate: PeerCertificate | undefined
    let spoken = false
    // A server with TLS 1.2 may close the connection before the handshake is done here
    const closed = (): Found | undefined =>
      spoken ? { closed: true, ...(certificate ? { certificate } : {}) } : undefined
    const end = (found: Found | undefined): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(found)
    }
    let timer = setTimeout(() => end(undefined), LOOK_TIMEOUT)
    socket.once('keylog', () => (spoken = true))
    socket.once('secureConnect', () => {
      certificate = socket.getPeerCertificate()
      const shown = certificate
      clearTimeout(timer)
      timer = setTimeout(() => end({ certificate: shown }), ALERT_TIMEOUT)
      socket.resume()
    })
    socket.on('error', error => {
      const alert = isAlert(error) ? systemCode(error) : undefined
      if (alert === undefined) end(closed())
      else end({ alert, ...(certificate ? { certificate } : {}) })
    })
    socket.once('close', () => end(closed()))
  })
}
