/**
 * A certificate authority and two logs like those of sigstore, which no network reaches here: made by sigstore's own mock,
 * so that its own verifier is the judge.
 */
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { initializeCA, initializeTLog } from '@sigstore/mock'

const ISSUER_OID = '1.3.6.1.4.1.57264.1.1'
const LOG = 'https://log.example'

interface Logged {
  readonly body: string
  readonly integratedTime: number
  readonly logID: string
  readonly logIndex: number
  readonly verification: {
    readonly inclusionProof: { readonly rootHash: string; readonly checkpoint: string }
    readonly signedEntryTimestamp: string
  }
}

export interface Sigstore {
  /** As `trusted_root.json` has it. */
  readonly trustedRoot: unknown
  /** A sigstore bundle v0.3 of a signature of `message`, with a certificate of `identity` by `issuer`. */
  sign(message: Uint8Array, identity: string, issuer: string): Promise<unknown>
}

export async function makeSigstore(): Promise<Sigstore> {
  const pair = () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const ctLog = certificateLog()
  const ca = await initializeCA(pair(), ctLog)
  const log = await initializeTLog(LOG, pair())
  const logOf = (publicKey: Buffer) => ({
    baseUrl: LOG,
    hashAlgorithm: 'SHA2_256',
    publicKey: {
      rawBytes: publicKey.toString('base64'),
      keyDetails: 'PKIX_ECDSA_P256_SHA_256',
      validFor: { start: '2020-01-01T00:00:00Z' },
    },
    logId: { keyId: createHash('sha256').update(publicKey).digest('base64') },
  })
  return {
    trustedRoot: {
      mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
      tlogs: [logOf(log.publicKey)],
      certificateAuthorities: [
        {
          subject: { organization: 'sigstore.mock', commonName: 'sigstore' },
          uri: 'https://ca.example',
          certChain: { certificates: [{ rawBytes: ca.rootCertificate.toString('base64') }] },
          validFor: { start: '2020-01-01T00:00:00Z' },
        },
      ],
      ctlogs: [logOf(ctLog.publicKey)],
      timestampAuthorities: [],
    },
    async sign(message, identity, issuer) {
      const { publicKey, privateKey } = pair()
      const certificate = await ca.issueCertificate({
        publicKey: publicKey.export({ type: 'spki', format: 'der' }),
        subjectAltName: identity,
        extensions: [{ oid: ISSUER_OID, value: issuer, legacy: true }],
      })
      const signature = sign('sha256', message, privateKey).toString('base64')
      const hash = createHash('sha256').update(message)
      const pem = `-----BEGIN CERTIFICATE-----\n${certificate.toString('base64').replace(/.{64}(?=.)/g, '$&\n')}\n-----END CERTIFICATE-----\n`
      // The type that the mock declares is of a package that is not installed
      const logged = (await log.log({
        apiVersion: '0.0.1',
        kind: 'hashedrekord',
        spec: {
          data: { hash: { algorithm: 'sha256', value: hash.copy().digest('hex') } },
          signature: { content: signature, publicKey: { content: Buffer.from(pem).toString('base64') } },
        },
      })) as Readonly<Record<string, Logged>>
      const [entry] = Object.values(logged)
      if (!entry) throw new Error('the log took nothing')
      const { inclusionProof: proof, signedEntryTimestamp } = entry.verification
      return {
        mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
        verificationMaterial: {
          certificate: { rawBytes: certificate.toString('base64') },
          tlogEntries: [
            {
              logIndex: String(entry.logIndex),
              logId: { keyId: Buffer.from(entry.logID, 'hex').toString('base64') },
              kindVersion: { kind: 'hashedrekord', version: '0.0.1' },
              integratedTime: String(entry.integratedTime),
              inclusionPromise: { signedEntryTimestamp },
              inclusionProof: {
                logIndex: '0',
                rootHash: Buffer.from(proof.rootHash, 'hex').toString('base64'),
                treeSize: '1',
                hashes: [],
                checkpoint: { envelope: proof.checkpoint },
              },
              canonicalizedBody: entry.body,
            },
          ],
        },
        messageSignature: {
          messageDigest: { algorithm: 'SHA2_256', digest: hash.digest('base64') },
          signature,
        },
      }
    },
  }
}

/** A log of certificates (RFC 6962), because the mock's own signs nothing with the packages that it gets today. */
function certificateLog() {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const logID = createHash('sha256').update(spki).digest()
  return {
    publicKey: spki,
    logID,
    /** The timestamp of a certificate, with its length before it. */
    async log(certificate: ArrayBuffer, issuer: ArrayBuffer): Promise<ArrayBuffer> {
      const time = Buffer.alloc(8)
      time.writeBigUInt64BE(BigInt(Date.now()))
      const [extensions, entryType, version] = [Buffer.alloc(2), Buffer.from([0, 1]), Buffer.from([0])]
      const body = firstOf(Buffer.from(certificate))
      const length = Buffer.from([body.length >> 16, body.length >> 8, body.length])
      const signed = [version, Buffer.from([0]), time, entryType, Buffer.from(issuer), length, body, extensions]
      const signature = sign('sha256', Buffer.concat(signed), privateKey)
      const [sha256, ecdsa] = [4, 3]
      const algorithm = Buffer.from([sha256, ecdsa, signature.length >> 8, signature.length])
      const timestamp = Buffer.concat([version, logID, time, extensions, algorithm, signature])
      return Uint8Array.from([timestamp.length >> 8, timestamp.length, ...timestamp]).buffer
    },
  }
}

/** The first element of a DER sequence: of a certificate, what is signed. */
function firstOf(der: Buffer): Buffer {
  const inside = der.subarray(headerOf(der).header)
  const { header, length } = headerOf(inside)
  return inside.subarray(0, header + length)
}

function headerOf(der: Buffer): { readonly header: number; readonly length: number } {
  const first = der[1] ?? 0
  if (first < 0x80) return { header: 2, length: first }
  const bytes = first & 0x7f
  return { header: 2 + bytes, length: der.readUIntBE(2, bytes) }
}
