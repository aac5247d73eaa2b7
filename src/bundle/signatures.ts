/** The signatures of a bundle: where they are, and whether they are what is asked for. */
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import { readLimited } from '../blob/limited-file.js'
import { fileError, orError, StowageError, systemCode } from '../errors.js'
import { checkSignatures, expectSigned, type SignatureReport } from '../signature/check.js'
import { shortKeyId } from '../signature/key-name.js'
import { expectNotOlder, type Release } from '../signature/release.js'
import type { SignatureFile } from '../signature/signature-file.js'
import type { Trust } from '../signature/trust.js'
import { baseOf } from '../volumes/description.js'
import { findVolumes } from '../volumes/find.js'
import { isSignature, SIGNATURE_LIMIT } from './contents.js'
import { type BundleFiles, type OpenFilesOptions, readSmall } from './files.js'
import type { Finding } from './graph.js'
import { BUNDLE_FILE, parseBundleManifest } from './manifest.js'

/** More signatures than these are not read. */
const MOST_SIGNATURES = 100

/** Where signatures of a bundle that is a file, or volumes, may be: beside it, their names starting with `base`. */
export interface SignaturePlace {
  readonly directories: readonly string[]
  readonly base: string
}

/**
 * The place of the signatures of the bundle `path`: in it if it is a directory, with an empty `base`; otherwise beside it:
 * `site-a.bundle.json.sig` for `site-a.tar`, `site-a.tar.gz` or `site-a.tar.001`. Undefined for a stream.
 */
export async function signaturePlace(
  path: string,
  { more = [], volumes: known }: Pick<OpenFilesOptions, 'more' | 'volumes'> = {},
): Promise<SignaturePlace | undefined> {
  if (path === STANDARD_STREAM) return undefined
  const volumes = known ?? (await findVolumes([path, ...more]))
  if (volumes) return { directories: volumes.directories, base: `${baseOf(volumes.tar)}.` }
  const found = await stat(path).catch((error: unknown) => {
    throw fileError(error, path)
  })
  if (found.isDirectory()) return { directories: [path], base: '' }
  if (!found.isFile()) return undefined
  return { directories: [dirname(path)], base: `${basename(path).replace(/\.tar(\.(gz|zst|xz))?$/i, '')}.` }
}

/** The name of a signature: of the first, without a key id. */
export function signatureName(base: string, keyId: string | undefined, form: 'sig' | 'sigstore.json'): string {
  return `${base}${BUNDLE_FILE}.${keyId === undefined ? '' : `${shortKeyId(keyId)}.`}${form}`
}

/** The files of signatures at `place`, sorted by name. */
export async function signatureFiles({ directories, base }: SignaturePlace): Promise<readonly string[]> {
  const found: string[] = []
  for (const directory of directories) {
    const names = await readdir(directory).catch((error: unknown) => {
      if (systemCode(error) === 'ENOTDIR') return []
      throw fileError(error, directory)
    })
    const ours = names.filter(name => name.startsWith(base) && isSignature(name.slice(base.length)))
    found.push(...ours.sort().map(name => join(directory, name)))
  }
  return found
}

/** What of a bundle its signatures are about. */
export interface SignedBundle {
  readonly path: string
  /** See {@link signaturePlace}. */
  readonly place: SignaturePlace | undefined
  readonly files: Pick<BundleFiles, 'files' | 'read'>
  /** The bytes of its bundle.json. */
  readonly bytes: Uint8Array
  readonly release: Release | undefined
}

/** Reads all signatures of `bundle`, and compares them with what `trust` asks for; it may be refused by {@link expectTrusted}. */
export async function checkBundleSignatures(bundle: SignedBundle, trust: Trust | undefined): Promise<SignatureReport> {
  const files = await readSignatures(bundle, trust)
  return await checkSignatures(bundle.bytes, files, trust?.requirements ?? [])
}

/** Throws SIGNATURE_MISSING, SIGNATURE_INVALID or ROLLBACK unless the bundle is what `trust` asks for. */
export async function expectTrusted(bundle: SignedBundle, report: SignatureReport, trust: Trust): Promise<void> {
  const title = bundle.path === STANDARD_STREAM ? 'the bundle on standard input' : bundle.path
  for (const error of refusals(bundle, report, trust)) throw error.withHint(error.hint, `${title}: ${error.message}`)
}

/** Why the bundle is not what `trust` asks for: an error for each thing. */
function refusals(
  { place, release }: SignedBundle,
  report: SignatureReport,
  { requirements, notOlderThan = [] }: Trust,
): readonly StowageError[] {
  const hint = place
    ? `Its signature belongs in ${join(place.directories[0] ?? '', signatureName(place.base, undefined, 'sigstore.json'))}: copy it from where the bundle is from, or have it signed there with "stowage sign".`
    : 'Give the file of its signature with --signature.'
  const checks = [
    ...requirements.map(requirement => () => expectSigned(report, requirement, hint)),
    ...notOlderThan.map(known => () => expectNotOlder(release, known)),
  ]
  return checks.flatMap(check => {
    try {
      check()
      return []
    } catch (error) {
      if (error instanceof StowageError) return [error]
      throw error
    }
  })
}

/** The report of a bundle without signatures. */
export const NO_SIGNATURES: SignatureReport = { signatures: [], signedBy: [] }

/**
 * {@link checkBundleSignatures} and {@link expectTrusted} for `verify`, to which a refusal is a finding: one for each thing
 * that `trust` asks for.
 */
export async function verifySignatures(
  { bytes, ...rest }: Omit<SignedBundle, 'bytes' | 'release'> & { readonly bytes: Uint8Array | undefined },
  trust: Trust | undefined,
  signal: AbortSignal | undefined,
): Promise<{ readonly signatures: SignatureReport; readonly findings: readonly Finding[] }> {
  if (!bytes) return { signatures: NO_SIGNATURES, findings: [] } // that it cannot be read is one already
  const found = await orError(async () => {
    const release = trust?.notOlderThan?.length ? parseBundleManifest(bytes).release : undefined
    const bundle = { ...rest, bytes, release }
    return { bundle, signatures: await checkBundleSignatures(bundle, trust) }
  }, signal)
  if (found instanceof StowageError) {
    if (found.code === 'FILE_NOT_FOUND') throw found // a signature that was named
    // What is wrong with bundle.json itself is found anyway
    return { signatures: NO_SIGNATURES, findings: trust ? [refusalOf(found)] : [] }
  }
  const { bundle, signatures } = found
  return { signatures, findings: trust ? refusals(bundle, signatures, trust).map(refusalOf) : [] }
}

function refusalOf({ code, message }: StowageError): Finding {
  const known = code === 'SIGNATURE_MISSING' || code === 'ROLLBACK' ? code : 'SIGNATURE_INVALID'
  return { code: known, path: BUNDLE_FILE, message }
}

async function readSignatures(
  { place, files }: SignedBundle,
  trust: Trust | undefined,
): Promise<readonly SignatureFile[]> {
  const found: SignatureFile[] = []
  const inside = [...files.files.values()].filter(file => file.type === 'file' && isSignature(file.path))
  for (const { path: name } of inside.sort((a, b) => (a.path < b.path ? -1 : 1)).slice(0, MOST_SIGNATURES))
    found.push({ name, bytes: await orNothing(async () => await readSmall(files, name, SIGNATURE_LIMIT)) })
  const beside = place && place.base !== '' ? await signaturesBeside(place, trust) : []
  for (const file of beside.slice(0, MOST_SIGNATURES))
    found.push({ name: file, bytes: await orNothing(async () => await readSignature(file)) })
  for (const file of trust?.signatures ?? []) found.push({ name: file, bytes: await readSignature(file) })
  return found
}

/** A directory that may not be listed matters only to those who ask for a signature. */
async function signaturesBeside(place: SignaturePlace, trust: Trust | undefined): Promise<readonly string[]> {
  const found = await orError(async () => await signatureFiles(place), undefined)
  if (!(found instanceof StowageError)) return found
  if (trust) throw found
  return []
}

/** One that nobody named, and that cannot be read, is no signature: it must not hide the others. */
export async function orNothing(read: () => Promise<Uint8Array>): Promise<Uint8Array> {
  const bytes = await orError(read, undefined)
  return bytes instanceof StowageError ? new Uint8Array() : bytes
}

/** Throws SIGNATURE_INVALID for one that is too large, and {@link fileError}s. */
export async function readSignature(path: string): Promise<Uint8Array> {
  const bytes = await readLimited(path, SIGNATURE_LIMIT)
  if (bytes) return bytes
  throw new StowageError('SIGNATURE_INVALID', `${path} has over ${SIGNATURE_LIMIT} bytes, which is no signature`)
}
