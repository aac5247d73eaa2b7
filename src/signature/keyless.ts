/** Checks signatures by a certificate of sigstore against a `trusted_root.json` that was carried along; no network is used. */
import { readFile } from 'node:fs/promises'
import { fileError, StowageError } from '../errors.js'
import { parseJson, record } from '../oci/json.js'

export interface KeylessTrust {
  /** A `trusted_root.json` of sigstore, parsed: certificate authorities and logs. */
  readonly trustedRoot: unknown
  /** Whom the certificate must name (its subject alternative name), in full. */
  readonly identity: string
  /** Who must have vouched for them (the OIDC issuer), in full. */
  readonly issuer: string
}

/** Reads the file of a trusted root. Throws FILE_NOT_FOUND, KEY_INVALID if it is none. */
export async function readTrustedRoot(path: string): Promise<unknown> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw fileError(error, path)
  })
  const { TrustedRoot } = await sigstore()
  try {
    const object = record(parseJson(bytes, path), path)
    if (!Array.isArray(object['certificateAuthorities'])) throw new Error('it has no certificateAuthorities')
    TrustedRoot.fromJSON(object)
    return object
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new StowageError('KEY_INVALID', `${path} is no trusted root of sigstore: ${reason}`, {
      hint: 'It is the trusted_root.json that "cosign trusted-root create" writes, or that sigstore publishes.',
      cause: error,
    })
  }
}

/** Who signed `message`, by the sigstore bundle `document`; or why that is not `trust`'s. */
export async function checkKeyless(
  message: Uint8Array,
  document: unknown,
  { trustedRoot, identity, issuer }: KeylessTrust,
): Promise<{ readonly identity: string; readonly issuer: string } | string> {
  const { TrustedRoot, Verifier, bundleFromJSON, toSignedEntity, toTrustMaterial } = await sigstore()
  try {
    const bundle = bundleFromJSON(document)
    const entity = toSignedEntity(bundle, Buffer.from(message))
    const signer = new Verifier(toTrustMaterial(TrustedRoot.fromJSON(trustedRoot))).verify(entity)
    const found = signer.identity?.subjectAlternativeName
    const by = signer.identity?.extensions?.issuer
    if (found === undefined || by === undefined) return 'its certificate names nobody'
    if (found !== identity || by !== issuer)
      return `its certificate is of ${found}, from ${by}, and not of ${identity}, from ${issuer}`
    return { identity: found, issuer: by }
  } catch (error) {
    return `its certificate does not hold: ${error instanceof Error ? error.message : String(error)}`
  }
}

/** The packages of sigstore, which are optional. Throws UNSUPPORTED if they are not installed. */
async function sigstore() {
  try {
    const [{ TrustedRoot }, { Verifier, toSignedEntity, toTrustMaterial }, { bundleFromJSON }] = await Promise.all([
      import('@sigstore/protobuf-specs'),
      import('@sigstore/verify'),
      import('@sigstore/bundle'),
    ])
    return { TrustedRoot, Verifier, bundleFromJSON, toSignedEntity, toTrustMaterial }
  } catch (error) {
    throw new StowageError(
      'UNSUPPORTED',
      'certificates of sigstore cannot be checked: @sigstore/verify is not installed',
      {
        hint: 'Install the optional dependencies of Stowage, or use a key: npm install --include=optional stowage.',
        cause: error,
      },
    )
  }
}
