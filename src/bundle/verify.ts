/** Verifies a bundle: checks every file and reports every defect. */
import { stat } from 'node:fs/promises'
import pMap from 'p-map'
import { DOCKER_FILE } from '../archive/heads.js'
import { HashPool } from '../blob/hash-pool.js'
import { abortError, StowageError } from '../errors.js'
import { type Digest, digestOf } from '../oci/digest.js'
import { INDEX_FILE, LAYOUT_FILE } from '../oci/layout.js'
import { CHECKSUMS_FILE, parseChecksums } from './checksums.js'
import { DOCUMENT_LIMIT, INCOMPLETE_FILE, isBeside, REQUIRED_DOCUMENTS, tooLargeBeside } from './contents.js'
import { type BundleFile, type BundleFiles, isTarPath, type OpenFilesOptions, readSmall } from './files.js'
import { type Expectation, expectations } from './expectations.js'
import { type Finding, verifyGraph } from './graph.js'
import { LayerComparison } from './layer-comparison.js'
import { LayerHash } from './layer-hash.js'
import {
  BUNDLE_FILE,
  type BundleImage,
  type BundleManifest,
  digestOfIntegrity,
  parseBundleManifest,
} from './manifest.js'
import { openBundleFiles } from './open-files.js'
import { hintFor } from './reader.js'
import { NO_SIGNATURES, signaturePlace, verifySignatures } from './signatures.js'
import { sortedFindings, NOTHING_PROVED, type VerifyReport, withSignatures } from './verify-report.js'
import type { Trust } from '../signature/trust.js'
import { lookAtVolumes, verifyVolumes } from './verify-volumes.js'
import { findVolumes } from '../volumes/find.js'

export interface VerifyBundleOptions extends Pick<
  OpenFilesOptions,
  'more' | 'askForVolume' | 'onNotice' | 'signal' | 'onProgress'
> {
  /** Decompress layers, and compare what is in them with the diffIDs in the configs of their images (the default). */
  readonly deep?: boolean | undefined
  /** Who must have signed it, and what it must not be older than: anything else is a finding. */
  readonly trust?: Trust | undefined
  /** Checks the volumes that are there, whether or not others are missing. */
  readonly alone?: boolean | undefined
}

/** The check ends at this many defects: of a bundle that is wrong throughout, nobody reads more. */
const FINDING_LIMIT = 10_000
/** The longest message of a finding, in characters: it may quote the bundle. */
const MESSAGE_LIMIT = 2000
/** Files of at least this size in bytes are hashed in the thread pool. */
const POOLED = 4 * 1024 * 1024

/**
 * Checks the bundle `path`, see {@link openBundleFiles}: the size and hash of every file against bundle.json and SHA256SUMS,
 * missing and extra files, the blobs that index.json reaches, whether manifest.json and bundle.json agree with it, and,
 * unless `deep` is false, whether each layer holds what the config of its image says. A defect is a finding, not an
 * error. A set of volumes that is not complete is not read. Throws FILE_NOT_FOUND, NOT_A_BUNDLE if there is nothing to
 * check, INVALID_TAR for a file that is not a tar and is not named `.tar`, ABORTED.
 */
export async function verifyBundle(path: string, options: VerifyBundleOptions = {}): Promise<VerifyReport> {
  const { deep = true, trust, signal, onProgress, more = [], askForVolume, alone = false } = options
  onProgress?.({ type: 'stage', stage: 'verify', subject: path })
  const volumes = await findVolumes([path, ...more])
  if (alone && !volumes)
    throw new StowageError('INVALID_ARGUMENT', `${path} is not a volume: only volumes can be checked alone`)
  if (volumes && (alone || (volumes.faults.length > 0 && !askForVolume))) {
    const report = alone ? await verifyVolumes(path, volumes, { signal, onProgress }) : lookAtVolumes(volumes)
    onProgress?.({ type: 'done', subject: path })
    return { path, ok: report.findings.length === 0, ...NOTHING_PROVED, ...report }
  }
  const opened = await openOrFind(path, { ...options, deep, volumes })
  if ('code' in opened) return { path, ok: false, files: 0, size: 0, ...NOTHING_PROVED, deep, findings: [opened] }
  await using files = opened
  try {
    const check = new Check(files, deep, signal, done => onProgress?.({ type: 'bytes', subject: path, ...done }))
    const checked = await check.run(path)
    const place = await signaturePlace(path, { more, volumes })
    const signed = await verifySignatures({ path, place, files, bytes: check.bundle }, trust, signal)
    const digest = check.bundle && digestOf(check.bundle)
    const report = { ...withSignatures(checked, signed), ...(digest ? { digest } : {}) }
    onProgress?.({ type: 'done', subject: path })
    const found = volumes ? undefined : await stat(path).catch(() => undefined) // standard input
    const archiveSize = volumes?.total ?? (found?.isFile() ? found.size : undefined)
    return archiveSize === undefined ? report : { ...report, archiveSize }
  } catch (error) {
    throw abortError(error, signal)
  }
}

/** Opens the files. A tar that cannot be listed is a finding if its name is that of a tar, otherwise an error. */
async function openOrFind(path: string, options: OpenFilesOptions): Promise<BundleFiles | Finding> {
  try {
    return await openBundleFiles(path, { ...options, layers: false })
  } catch (error) {
    if (!(error instanceof StowageError) || error.code !== 'INVALID_TAR' || !isTarPath(path)) throw error
    return { code: 'INVALID_TAR', path, message: error.message }
  }
}

/** Thrown within a check at one defect too many. */
class TooMany extends Error {}

class Check {
  readonly #files: BundleFiles
  readonly #deep: boolean
  readonly #signal: AbortSignal | undefined
  readonly #onBytes: (bytes: { done: number; total: number }) => void
  readonly #findings: Finding[] = []
  /** Digests of the files read so far, so that none is hashed again. The graph check may reread small files. */
  readonly #digests = new Map<string, Digest>()
  /** Bytes read so far from the files that are being hashed, by path. */
  readonly #underWay = new Map<string, number>()
  readonly #layers = new LayerComparison()
  #size = 0
  /** The bytes of bundle.json, once they were read. */
  bundle: Uint8Array | undefined

  constructor(
    files: BundleFiles,
    deep: boolean,
    signal: AbortSignal | undefined,
    onBytes: (bytes: { done: number; total: number }) => void,
  ) {
    this.#files = files
    this.#deep = deep
    this.#signal = signal
    this.#onBytes = onBytes
  }

  async run(path: string): Promise<VerifyReport> {
    const present = this.#files.files
    if (![BUNDLE_FILE, CHECKSUMS_FILE, INCOMPLETE_FILE].some(file => present.has(file))) {
      throw new StowageError('NOT_A_BUNDLE', `${path} has neither ${BUNDLE_FILE} nor ${CHECKSUMS_FILE}`, {
        hint: hintFor(path, present),
      })
    }
    if (present.has(INCOMPLETE_FILE)) {
      this.#find('INCOMPLETE', INCOMPLETE_FILE, 'the bundle was not finished: run the same "stowage pack" again')
      // the lists are written last: without them every file would be missing or extra, which says nothing new
      if (!present.has(BUNDLE_FILE)) return this.#report(path, [])
    }
    const documents = await this.#readDocuments()
    this.bundle = documents.get(BUNDLE_FILE)
    const manifest = this.#parse(documents.get(BUNDLE_FILE), BUNDLE_FILE, parseBundleManifest)
    const sums = this.#parse(documents.get(CHECKSUMS_FILE), CHECKSUMS_FILE, parseChecksums)
    const images = manifest?.images ?? []
    const delta = manifest?.assumes ? { assumes: manifest.assumes } : {}
    try {
      await this.#checkAll(documents, manifest, sums)
    } catch (error) {
      if (!(error instanceof TooMany)) throw error
      return { ...this.#report(path, images), ...delta, stopped: true }
    }
    return { ...this.#report(path, images), ...delta }
  }

  async #checkAll(
    documents: ReadonlyMap<string, Uint8Array>,
    manifest: BundleManifest | undefined,
    sums: ReadonlyMap<string, Digest> | undefined,
  ): Promise<void> {
    const blobs = await verifyGraph({
      layout: documents.get(LAYOUT_FILE),
      index: documents.get(INDEX_FILE),
      docker: documents.get(DOCKER_FILE),
      manifest,
      files: this.#files.files,
      read: async (file, limit) => await this.#readOnce(file, limit),
      layer: layer => this.#deep && this.#layers.expect(layer),
      find: (...defect) => this.#find(...defect),
    })
    const listed = manifest && new Map(manifest.files.map(file => [file.path, digestOfIntegrity(file.integrity)]))
    if (listed && sums) this.#compareLists(listed, sums)
    const expected = expectations(manifest, listed, sums)
    await this.#checkFiles(expected)
    for (const { path, message } of this.#layers.mismatches()) this.#find('DIFF_ID_MISMATCH', path, message)
    this.#checkExtra(expected, blobs)
  }

  #report(path: string, images: readonly BundleImage[]): VerifyReport {
    const findings = sortedFindings(once(this.#findings))
    const read = { files: this.#digests.size, size: this.#size }
    return {
      path,
      ok: findings.length === 0,
      ...read,
      images,
      deep: this.#deep,
      signatures: NO_SIGNATURES,
      layers: this.#layers.proofs(this.#files.files, 'its bytes are not what its name says'),
      findings,
    }
  }

  /** The bytes of those top-level documents that exist and can be read. */
  async #readDocuments(): Promise<ReadonlyMap<string, Uint8Array>> {
    const documents = new Map<string, Uint8Array>()
    for (const file of REQUIRED_DOCUMENTS) {
      const found = this.#files.files.get(file)
      if (found?.type !== 'file') {
        if (!found) this.#find('FILE_MISSING', file, 'the file is missing')
        continue
      }
      const bytes = await this.#attempt(file, async () => await this.#readOnce(file, DOCUMENT_LIMIT))
      if (bytes) documents.set(file, bytes)
    }
    return documents
  }

  async #readOnce(file: string, limit: number): Promise<Uint8Array> {
    const bytes = await readSmall(this.#files, file, limit, this.#signal)
    this.#note(file, digestOf(bytes), bytes.length)
    return bytes
  }

  async #checkFiles(expected: ReadonlyMap<string, Expectation>): Promise<void> {
    const total = [...this.#files.files.values()].reduce(
      (sum, { path, size }) => sum + (expected.has(path) || REQUIRED_DOCUMENTS.includes(path) ? size : 0),
      0,
    )
    await using pool = new HashPool()
    // largest first, so that no thread is still busy with a large file at the end
    const bySize = [...expected].sort(([a], [b]) => this.#sizeOf(b) - this.#sizeOf(a))
    await pMap(
      bySize,
      async ([path, expectation]) => {
        this.#signal?.throwIfAborted()
        const file = this.#files.files.get(path)
        if (!file) {
          if (!REQUIRED_DOCUMENTS.includes(path))
            this.#find('FILE_MISSING', path, `the file is missing; ${expectation.by} lists it`)
        } else if (file.type !== 'file') {
          this.#find('NOT_A_FILE', path, 'a link or a device is in place of a regular file')
        } else {
          await this.#attempt(path, async () => await this.#checkFile(file, expectation, pool, total))
        }
      },
      { concurrency: pool.threads },
    )
  }

  #sizeOf(path: string): number {
    return this.#files.files.get(path)?.size ?? 0
  }

  async #checkFile(file: BundleFile, { size, digests }: Expectation, pool: HashPool, total: number): Promise<void> {
    if (size !== undefined && file.size !== size) {
      this.#find('SIZE_MISMATCH', file.path, `expected ${size} bytes but found ${file.size}`)
      return
    }
    const found = this.#digests.get(file.path) ?? (await this.#hash(file, pool, total))
    for (const [digest, by] of digests) {
      if (digest !== found) {
        this.#find('DIGEST_MISMATCH', file.path, `expected ${digest}, as said by ${by}, but the content is ${found}`)
      }
    }
  }

  async #hash({ path, size }: BundleFile, pool: HashPool, total: number): Promise<Digest> {
    const known = this.#files.digests?.get(path)
    const ranges = this.#files.ranges(path)
    const kept = this.#files.plain?.get(path)
    if (kept) this.#layers.found(path, known, kept)
    const plain = !kept && this.#layers.wants(path)
    if (plain && !(ranges && pool.looksIntoLayers)) return await this.#hashLayer(path, size, total)
    if (!plain && (known || size < POOLED || !ranges)) {
      const digest = known ?? digestOf(await readSmall(this.#files, path, size, this.#signal))
      this.#note(path, digest, size)
      this.#tell(total)
      return digest
    }
    const onRead = (done: number): void => {
      this.#underWay.set(path, done)
      this.#tell(total)
    }
    const { digest, read, ...found } = await pool.hash(ranges ?? [], { onRead, plain, signal: this.#signal })
    if (found.plain) this.#layers.found(path, digest, found.plain)
    this.#underWay.delete(path)
    this.#note(path, digest, read)
    this.#tell(total)
    return digest
  }

  async #hashLayer(path: string, size: number, total: number): Promise<Digest> {
    const hash = new LayerHash(path, this.#signal)
    let done = 0
    for await (const piece of this.#files.read(path, { signal: this.#signal })) {
      await hash.add(piece)
      this.#underWay.set(path, (done += piece.length))
      this.#tell(total)
    }
    const { digest, plain } = await hash.finish()
    this.#layers.found(path, digest, plain)
    this.#underWay.delete(path)
    this.#note(path, digest, size)
    this.#tell(total)
    return digest
  }

  #tell(total: number): void {
    const done = [...this.#underWay.values()].reduce((sum, read) => sum + read, this.#size)
    this.#onBytes({ done, total })
  }

  #checkExtra(expected: ReadonlyMap<string, Expectation>, blobs: ReadonlySet<string> | undefined): void {
    // What a list would say that the medium does not give is not known
    const unread = this.#findings.some(
      ({ code, path }) => code === 'MEDIUM_FAILED' && [BUNDLE_FILE, CHECKSUMS_FILE].includes(path),
    )
    for (const { path, size, type } of this.#files.files.values()) {
      if (type === 'file' && [INCOMPLETE_FILE, CHECKSUMS_FILE, BUNDLE_FILE].includes(path)) continue
      if (type === 'file' && isBeside(path)) {
        const why = tooLargeBeside(path, size)
        if (why) this.#find('FILE_EXTRA', path, why)
        continue
      }
      if (!expected.has(path)) {
        if (type === 'file') {
          if (unread) continue
          this.#find('FILE_EXTRA', path, `neither ${BUNDLE_FILE} nor ${CHECKSUMS_FILE} lists the file`)
        } else this.#find('NOT_A_FILE', path, 'a link, a device or a name that is not UTF-8: a bundle never holds one')
      } else if (blobs && path.startsWith('blobs/') && !blobs.has(path)) {
        this.#find('FILE_EXTRA', path, 'the blob belongs to no image')
      }
    }
  }

  #compareLists(listed: ReadonlyMap<string, Digest>, sums: ReadonlyMap<string, Digest>): void {
    for (const path of new Set([...listed.keys(), ...sums.keys()])) {
      if (path === BUNDLE_FILE && sums.has(path)) continue
      const [ours, theirs] = [listed.get(path), sums.get(path)]
      if (ours === theirs) continue
      if (ours && theirs) {
        this.#find('LISTS_DIFFER', path, `${BUNDLE_FILE} says ${ours} but ${CHECKSUMS_FILE} says ${theirs}`)
      } else {
        this.#find('LISTS_DIFFER', path, `only ${ours ? BUNDLE_FILE : CHECKSUMS_FILE} lists the file`)
      }
    }
    if (!sums.has(BUNDLE_FILE)) this.#find('LISTS_DIFFER', BUNDLE_FILE, `${CHECKSUMS_FILE} does not list it`)
  }

  #parse<T>(bytes: Uint8Array | undefined, path: string, parse: (bytes: Uint8Array) => T): T | undefined {
    if (!bytes) return undefined
    try {
      return parse(bytes)
    } catch (error) {
      if (!(error instanceof StowageError) || error.code === 'UNSUPPORTED') throw error
      this.#find('INVALID_MANIFEST', path, error.message)
      return undefined
    }
  }

  /** Runs `job`. A file that cannot be read is one finding; the check continues with the next file. */
  async #attempt<T>(path: string, job: () => Promise<T>): Promise<T | undefined> {
    try {
      return await job()
    } catch (error) {
      if (!(error instanceof StowageError) || error.code === 'ABORTED') throw error
      const { code } = error
      this.#find(code === 'INVALID_MANIFEST' || code === 'MEDIUM_FAILED' ? code : 'UNREADABLE', path, error.message)
      return undefined
    }
  }

  #note(path: string, digest: Digest, size: number): void {
    if (!this.#digests.has(path)) this.#size += size
    this.#digests.set(path, digest)
  }

  #find(code: Finding['code'], path: string, message: string): void {
    if (this.#findings.length >= FINDING_LIMIT) throw new TooMany()
    const short = message.length > MESSAGE_LIMIT ? `${message.slice(0, MESSAGE_LIMIT)}…` : message
    this.#findings.push({ code, path, message: short })
  }
}

/** Removes duplicates: both the lists and the image that needs a file report a missing file or a wrong size. */
function once(findings: readonly Finding[]): Finding[] {
  const listed = new Set(findings.filter(({ code }) => code === 'FILE_MISSING').map(({ path }) => path))
  const seen = new Set<string>()
  return findings.filter(({ code, path }) => {
    if (code === 'BLOB_MISSING' && listed.has(path)) return false
    if (code !== 'SIZE_MISMATCH') return true
    return seen.size !== seen.add(path).size
  })
}
