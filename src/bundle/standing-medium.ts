/**
 * Updates an existing directory bundle: its files stay, new ones are written beside them, and the heads are replaced
 * last.
 */
import { open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { ReadBack } from '../archive/read-back.js'
import type { Bytes, FetchOptions, HasOptions, PutOptions, ReadBlob, StagedBlob } from '../blob/blob-store.js'
import { BlobDirectory, type Missing } from '../blob/directory.js'
import { makeDirectory, PARTIAL, syncPath, writeDurably, writeSynced } from '../blob/durable.js'
import { rename } from '../blob/rename.js'
import { Workspace } from '../blob/workspace.js'
import { writeBlob } from '../blob/write-blob.js'
import { fileError, StowageError, systemCode } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { blobPath } from '../oci/layout.js'
import { CHECKSUMS_FILE } from './checksums.js'
import { BLOBS, DOCUMENTS, FILES, INCOMPLETE_FILE, INCOMPLETE_TEXT, isSignature } from './contents.js'
import { listDirectory } from './files.js'
import { BUNDLE_FILE, type BundleManifest, digestOfIntegrity, parseBundleManifest } from './manifest.js'
import { type BundleMedium, type Documents, writtenFiles } from './medium.js'

/**
 * Opens the bundle in the directory `path`; undefined if there is no complete bundle. Blobs that are no newer than its
 * bundle.json are trusted by name and size; with `readBack`, all files are read back in the end. Without `update`, any change throws OUTPUT_EXISTS.
 */
export async function openStandingMedium(
  path: string,
  update: boolean,
  readBack?: ReadBack,
): Promise<BundleMedium | undefined> {
  try {
    if (!(await stat(path)).isDirectory()) return undefined
    const { openBundleReader } = await import('./reader.js')
    await using reader = await openBundleReader(path)
    const file = join(path, BUNDLE_FILE)
    const [bundle, { mtimeMs }] = [await readFile(file), await stat(file)]
    return new StandingMedium(path, update, { manifest: reader.manifest, bundle, sealed: mtimeMs }, readBack)
  } catch (error) {
    const told = fileError(error, path)
    const unread = ['MEDIUM_FAILED', 'PERMISSION_DENIED', 'IO_ERROR']
    if (told instanceof StowageError && !unread.includes(told.code)) return undefined // the next medium reports it
    throw told
  }
}

/** The bundle that is there; `sealed` is when that was, in milliseconds since 1970. */
interface Standing {
  readonly manifest: BundleManifest
  readonly bundle: Buffer
  readonly sealed: number
}

class StandingMedium implements BundleMedium {
  readonly where: string
  readonly standing = true
  readonly #blobs: BlobDirectory
  readonly #update: boolean
  readonly #manifest: BundleManifest
  readonly #bundle: Buffer
  /** When the bundle was sealed, in milliseconds since 1970. */
  readonly #sealed: number
  /** Sizes and digests of its files according to its bundle.json, by path. */
  readonly #listed: ReadonlyMap<string, { readonly size: number; readonly digest: Digest }>
  /** Carried files of this run; those that changed (`#waiting`) have a temporary name until the bundle is sealed. */
  readonly #carried = new Set<string>()
  readonly #waiting = new Set<string>()
  readonly #readBack: ReadBack | undefined
  /** For what is only compared; on the medium, beside the bundle. */
  readonly #workspace: Workspace
  #replacing = false

  constructor(path: string, update: boolean, { manifest, bundle, sealed }: Standing, readBack: ReadBack | undefined) {
    this.where = path
    this.#readBack = readBack
    this.#blobs = new BlobDirectory(path)
    this.#workspace = new Workspace(path)
    this.#update = update
    this.#manifest = manifest
    this.#bundle = bundle
    this.#sealed = sealed
    this.#listed = new Map(
      manifest.files.map(file => [file.path, { size: file.size, digest: digestOfIntegrity(file.integrity) }]),
    )
  }

  async spool(): Promise<BlobDirectory> {
    return await this.#spool()
  }

  async missing(blobs: readonly Descriptor[]): Promise<Missing> {
    const missing: Descriptor[] = []
    for (const blob of blobs) if (!(await this.#believed(blobPath(blob.digest), blob))) missing.push(blob)
    return await this.#blobs.missing(missing)
  }

  async reserve(): Promise<void> {}

  async assign(): Promise<void> {}

  fit(_file: string, json: Uint8Array): Uint8Array {
    return json
  }

  async has(blob: Descriptor, options?: HasOptions): Promise<boolean> {
    return (await this.#believed(blobPath(blob.digest), blob)) || (await this.#blobs.has(blob, options))
  }

  async put(blob: Descriptor, read: ReadBlob, options?: PutOptions): Promise<void> {
    this.#refuseUnlessUpdate(`lacks ${blob.digest}`)
    await this.#blobs.put(blob, read, options)
  }

  async putFile(path: string, file: Descriptor, read: () => Bytes, options?: FetchOptions): Promise<void> {
    this.#carried.add(path)
    if (this.#listed.get(path)?.digest === file.digest && (await this.#believed(path, file))) return
    this.#refuseUnlessUpdate(`has no such ${path}`)
    const partial = `${this.#path(path)}${PARTIAL}`
    this.#waiting.add(path)
    try {
      await makeDirectory(dirname(partial))
      await (await open(partial, 'w')).close()
      await writeBlob({ path: partial, offset: 0, held: 0, direct: true }, file, read, options)
    } catch (error) {
      throw fileError(error, this.#path(path))
    }
  }

  async create<T extends StagedBlob>(produce: (target: { path: string; offset: number }) => Promise<T>): Promise<T> {
    const made = await (await this.#spool()).create(produce)
    if (!this.#listed.has(blobPath(made.digest))) this.#refuseUnlessUpdate(`lacks ${made.digest}`)
    return made
  }

  async seal(documents: Documents, blobs: ReadonlySet<Digest>): Promise<boolean> {
    if (this.#waiting.size === 0 && this.#isSame(documents)) {
      await this.#readBack?.check(writtenFiles(await this.#documents(), path => this.#path(path)))
      await this.#clear()
      return false
    }
    this.#refuseUnlessUpdate('holds different content')
    await this.#refuseIfChanged()
    try {
      for (const [path, bytes] of documents) await writeSynced(this.#path(`${path}${PARTIAL}`), bytes)
      for (const path of [...this.#waiting, `${BLOBS}/sha256/`]) await syncPath(dirname(this.#path(path)), 'directory')
      const partial = new Set([...this.#waiting, ...documents.keys()])
      await this.#readBack?.check(
        writtenFiles(documents, path => `${this.#path(path)}${partial.has(path) ? PARTIAL : ''}`),
      )
      await this.#replace([...this.#waiting, ...documents.keys()])
      await this.#removeBut(new Set([...[...blobs].map(blobPath), ...this.#carried]))
    } catch (error) {
      throw fileError(error, this.where)
    }
    return true
  }

  /** Blobs of an update are added beside the others; otherwise, they are only compared, and must not be in the bundle. */
  async #spool(): Promise<BlobDirectory> {
    return this.#update ? this.#blobs : await this.#workspace.blobs()
  }

  /** Removes what this run added: the bundle is then unchanged. What cannot be removed is left to the next update. */
  async discard(): Promise<void> {
    await this.#clear().catch(() => undefined) // why this run failed is what its caller reports
  }

  async #clear(): Promise<void> {
    await this.#workspace[Symbol.asyncDispose]()
    if (this.#update && !this.#replacing) await this.#removeBut(new Set(this.#listed.keys()))
  }

  /** Renames the new files into place. The marker forbids loading the bundle between the first and the last rename. */
  async #replace(paths: readonly string[]): Promise<void> {
    this.#replacing = true
    await writeDurably(this.#path(INCOMPLETE_FILE), new TextEncoder().encode(INCOMPLETE_TEXT))
    await syncPath(this.where, 'directory')
    for (const path of paths) await rename(this.#path(`${path}${PARTIAL}`), this.#path(path))
    for (const directory of new Set(paths.map(path => dirname(this.#path(path)))))
      await syncPath(directory, 'directory')
    // They are for what bundle.json was before
    for (const name of await readdir(this.where)) if (isSignature(name)) await rm(this.#path(name), { force: true })
    await rm(this.#path(INCOMPLETE_FILE))
    await syncPath(this.where, 'directory')
  }

  async #believed(path: string, { digest, size }: Descriptor): Promise<boolean> {
    if (this.#listed.get(path)?.digest !== digest) return false
    try {
      const found = await stat(this.#path(path))
      return found.isFile() && found.size === size && found.mtimeMs <= this.#sealed
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return false
      throw fileError(error, this.where)
    }
  }

  /** Those that are there, which another version of Stowage may have written. */
  async #documents(): Promise<Documents> {
    return new Map([
      [BUNDLE_FILE, this.#bundle],
      [CHECKSUMS_FILE, await readFile(this.#path(CHECKSUMS_FILE))],
    ])
  }

  /** Compares the release, the images and files only: the rest may come from another version of Stowage. */
  #isSame(documents: Documents): boolean {
    const other = parseBundleManifest(documents.get(BUNDLE_FILE) ?? new Uint8Array())
    const contents = ({ release, images, files }: BundleManifest): string =>
      JSON.stringify([
        release,
        images,
        files.filter(({ path }) => path.startsWith(`${BLOBS}/`) || path.startsWith(`${FILES}/`)),
      ])
    return contents(other) === contents(this.#manifest)
  }

  /** Removes blobs and carried files that are not `wanted`, and heads that were not renamed into place. */
  async #removeBut(wanted: ReadonlySet<string>): Promise<void> {
    const heads = DOCUMENTS.map(path => `${path}${PARTIAL}`)
    for (const path of (await listDirectory(this.where)).keys()) {
      const ours = path.startsWith(`${BLOBS}/`) || path.startsWith(`${FILES}/`)
      if ((ours && !wanted.has(path)) || heads.includes(path)) await rm(this.#path(path), { force: true })
    }
  }

  async #refuseIfChanged(): Promise<void> {
    const ifThere = (error: unknown): undefined => {
      if (systemCode(error) !== 'ENOENT') throw fileError(error, this.where)
    }
    const now = await readFile(this.#path(BUNDLE_FILE)).catch(ifThere)
    const marked = await stat(this.#path(INCOMPLETE_FILE)).catch(ifThere)
    if (now?.equals(this.#bundle) && !marked) return
    throw new StowageError('OUTPUT_EXISTS', `${this.where} was changed by another command while it was being read`, {
      hint: 'Another command is writing this bundle: wait for it to finish, then run this one again.',
    })
  }

  #refuseUnlessUpdate(why: string): void {
    if (this.#update) return
    throw new StowageError('OUTPUT_EXISTS', `${this.where} is a bundle already, which ${why}`, {
      hint: 'Name another output, or change this one with --update.',
    })
  }

  #path(path: string): string {
    return join(this.where, ...path.split('/'))
  }
}
