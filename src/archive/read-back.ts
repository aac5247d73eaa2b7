/** Reads back what was written, from the medium and not from the page cache. */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { resolve } from 'node:path'
import { abortError, fileError, StowageError } from '../errors.js'
import { nativePart, readFailure, runThreadJob } from '../native.js'
import { type Digest, digestFromHex, digestOf, hexOf } from '../oci/digest.js'
import type { WaitOptions } from '../progress.js'
import { pieces } from '../tar/pieces.js'
import { mediumAt } from './medium.js'
import { STANDARD_STREAM } from './standard-stream.js'

/** Bytes that have one digest, if nothing else divides them. */
const REGION = 16 * 1024 * 1024

/** Bytes of a file and their digest, as they were written. */
export interface WrittenRegion {
  readonly offset: number
  readonly size: number
  readonly digest: Digest
}

export interface WrittenFile {
  /** Where it is, and what messages call it: the name that it will get. */
  readonly path: string
  readonly name?: string
  /** In ascending order. */
  readonly regions: readonly WrittenRegion[]
}

/** What was read back, and is what was written. */
export interface Verified {
  readonly files: number
  /** In bytes. */
  readonly size: number
  /** Whether it came from the medium; false if the page cache may have answered instead. */
  readonly fromMedium: boolean
}

/** `native/read_back_job.h`. */
type NativeReadBack = new (
  plan: { readonly paths: readonly string[]; readonly regions: Float64Array; readonly expected: Buffer },
  callback: (event: NativeEvent) => void,
) => { cancel(): void; close(): void }

interface NativeEvent {
  /** The number of the file that is read, and the bytes of all files that were. */
  readonly file: number
  readonly done: number
  readonly result?: NativeResult
  readonly error?: Error
}

interface NativeResult {
  readonly cached: boolean
  /** The first region that is not what was written; `read` is less than its size if the file ends before. */
  readonly region?: number
  readonly read?: number
  readonly found?: string
}

/**
 * Whether what is written to `output` is to be read back: `verify`, or if that is undefined, whether the medium is known
 * to be removable. `output` need not exist. Throws INVALID_ARGUMENT if `verify` is set and `output` is `-`.
 */
export async function isReadBack(output: string, verify: boolean | undefined): Promise<boolean> {
  if (output === STANDARD_STREAM) {
    if (!verify) return false
    throw new StowageError('INVALID_ARGUMENT', 'what goes to standard output cannot be read back', {
      hint: 'Leave out --verify, or write to a file.',
    })
  }
  if (verify !== undefined) return verify
  const { removable } = await mediumAt(output).catch(() => ({ removable: undefined })) // writing reports the reason
  return removable ?? false
}

/** How an output is read back. It adds up what was. */
export class ReadBack {
  readonly #subject: string
  readonly #options: WaitOptions
  #verified: Verified | undefined
  #lost = false

  /** `subject` is what progress calls the output. */
  constructor(subject: string, options: WaitOptions) {
    this.#subject = subject
    this.#options = options
  }

  /** Undefined before the first check. */
  get verified(): Verified | undefined {
    return this.#verified
  }

  /** Whether the medium does not give back what was written: no run can go on with that. */
  get lost(): boolean {
    return this.#lost
  }

  /** Throws MEDIUM_FAILED for a region that is not what was written, ABORTED, {@link fileError}s. */
  async check(files: readonly WrittenFile[]): Promise<void> {
    const [only, ...others] = files
    const subject = only && others.length === 0 ? nameOf(only) : this.#subject
    try {
      this.add(await readBack(files, subject, this.#options))
    } catch (error) {
      this.#lost = error instanceof StowageError && error.code === 'MEDIUM_FAILED'
      throw error
    }
  }

  /** Adds what was compared in another way. */
  add({ files, size, fromMedium }: Verified): void {
    const before = this.#verified ?? { files: 0, size: 0, fromMedium: true }
    this.#verified = {
      files: before.files + files,
      size: before.size + size,
      fromMedium: before.fromMedium && fromMedium,
    }
  }
}

/** How to read back what is written to `output`; undefined if {@link isReadBack} says not to. */
export async function openReadBack(
  output: string,
  verify: boolean | undefined,
  options: WaitOptions,
): Promise<ReadBack | undefined> {
  return (await isReadBack(output, verify)) ? new ReadBack(output, options) : undefined
}

/** The digests of what is written to a file from its start to its end, by regions. */
export class RegionSum {
  readonly #regions: WrittenRegion[] = []
  #hash = createHash('sha256')
  #size = 0
  #offset = 0

  add(piece: Uint8Array): void {
    this.#hash.update(piece)
    this.#size += piece.length
    if (this.#size >= REGION) this.#close()
  }

  /** Once, at the end. */
  regions(): readonly WrittenRegion[] {
    if (this.#size > 0 || this.#regions.length === 0) this.#close()
    return this.#regions
  }

  #close(): void {
    this.#regions.push({ offset: this.#offset, size: this.#size, digest: digestFromHex(this.#hash.digest('hex')) })
    this.#offset += this.#size
    this.#size = 0
    this.#hash = createHash('sha256')
  }
}

/** A part of a file: bytes that are known, or content with a digest. */
export type WrittenPart =
  { readonly bytes: Uint8Array } | { readonly blob: { readonly digest: Digest; readonly size: number } }

/** The regions of a file that consists of `parts`. */
export function regionsOf(parts: Iterable<WrittenPart>): readonly WrittenRegion[] {
  const regions: WrittenRegion[] = []
  let offset = 0
  let known: Uint8Array[] = []
  const close = (): void => {
    const bytes = Buffer.concat(known)
    if (bytes.length > 0) regions.push({ offset, size: bytes.length, digest: digestOf(bytes) })
    offset += bytes.length
    known = []
  }
  for (const part of parts) {
    if ('bytes' in part) {
      known.push(part.bytes)
      continue
    }
    close()
    regions.push({ offset, size: part.blob.size, digest: part.blob.digest })
    offset += part.blob.size
  }
  close()
  return regions
}

/**
 * Reads `files`, which are written, and compares them with what is known of them. The page cache is dropped,
 * and passed by if the file system allows it; without the addon it is not, and the result says so. `subject` is what
 * progress calls it. Throws MEDIUM_FAILED for the first region that is not what was written, ABORTED, {@link fileError}s.
 */
async function readBack(
  files: readonly WrittenFile[],
  subject: string,
  { signal, onProgress }: WaitOptions = {},
): Promise<Verified> {
  if (signal?.aborted) throw abortError(signal.reason, signal)
  const regions = files.flatMap((file, number) => file.regions.map(region => ({ file, number, ...region })))
  const total = regions.reduce((sum, { size }) => sum + size, 0)
  onProgress?.({ type: 'stage', stage: 'verify', subject })
  const onBytes = (done: number): void => onProgress?.({ type: 'bytes', subject, done, total })
  try {
    const { region, read = 0, found, cached } = await readRegions(files, regions, onBytes, signal)
    const different = region === undefined ? undefined : regions[region]
    if (different) throw lost(different.file, different, read, found)
    onProgress?.({ type: 'done', subject })
    return { files: files.length, size: total, fromMedium: !cached }
  } catch (error) {
    throw abortError(error, signal)
  }
}

/**
 * Makes the next reads of `path` come from the medium. Returns whether they will: not without the addon, nor if a program
 * in between has a cache of its own.
 */
export async function dropCache(path: string): Promise<boolean> {
  const drop = nativePart<(path: string) => Promise<boolean>>('dropPages')
  if (!drop) return false
  try {
    return (await drop(resolve(path))) && (await dropBehind(drop, path))
  } catch (error) {
    throw readFailure(error, path)
  }
}

type NumberedRegion = WrittenRegion & { readonly file: WrittenFile; readonly number: number }

async function readRegions(
  files: readonly WrittenFile[],
  regions: readonly NumberedRegion[],
  onBytes: (done: number) => void,
  signal: AbortSignal | undefined,
): Promise<NativeResult> {
  const Native = nativePart<NativeReadBack>('ReadBack')
  const drop = nativePart<(path: string) => Promise<boolean>>('dropPages')
  if (!Native || !drop) return await readHere(regions, onBytes, signal)
  const [first] = files // all are on one medium
  const reached = first === undefined || (await dropBehind(drop, first.path))
  const plan = {
    paths: files.map(({ path }) => resolve(path)),
    regions: Float64Array.from(regions.flatMap(({ number, offset, size }) => [number, offset, size])),
    expected: Buffer.concat(regions.map(({ digest }) => Buffer.from(hexOf(digest), 'hex'))),
  }
  let reading = 0
  const result = await runThreadJob<NativeResult>(
    report =>
      new Native(plan, event => {
        reading = event.file
        onBytes(event.done)
        report(event)
      }),
    signal,
    error => readFailure(error, nameOf(files[reading])),
  )
  return { ...result, cached: result.cached || !reached }
}

/** Without the addon. The system answers from its cache if it can. */
async function readHere(
  regions: readonly NumberedRegion[],
  onBytes: (done: number) => void,
  signal: AbortSignal | undefined,
): Promise<NativeResult> {
  let done = 0
  for (const [region, { file, offset, size, digest }] of regions.entries()) {
    const hash = createHash('sha256')
    let read = 0
    try {
      await using opened = await open(file.path, 'r')
      for await (const piece of pieces(opened, offset, size, signal)) {
        hash.update(piece)
        read += piece.length
        onBytes((done += piece.length))
      }
    } catch (error) {
      throw fileError(error, nameOf(file))
    }
    const found = hash.digest('hex')
    if (found !== hexOf(digest)) return { cached: true, region, read, found }
  }
  return { cached: true }
}

/**
 * Drops what is remembered of the disk from which a program (FUSE) reads `path`. Returns false if that cannot be done: it
 * takes permission to read the disk.
 */
async function dropBehind(drop: (path: string) => Promise<boolean>, path: string): Promise<boolean> {
  const { program } = await mediumAt(path)
  if (!program) return true
  return program.device !== undefined && (await drop(program.device).catch(() => false))
}

function nameOf(file: WrittenFile | undefined): string {
  return file?.name ?? file?.path ?? ''
}

function lost(file: WrittenFile, region: NumberedRegion, read: number, found: string | undefined): StowageError {
  const { offset, size, digest } = region
  const only = file.regions.length === 1
  const where = only ? nameOf(file) : `${nameOf(file)}, bytes ${offset} to ${offset + size - 1}`
  const now =
    read < size || found === undefined
      ? `has only ${read} of ${size} bytes`
      : `has ${digestFromHex(found)} instead of ${digest}`
  return new StowageError('MEDIUM_FAILED', `${where}: the medium ${now}, which was written`, {
    hint: 'The medium loses data: it may be worn out, or smaller than it claims. Use another, and run the command again.',
  })
}
