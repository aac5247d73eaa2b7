/**
 * Makes plain layers from directories. tar-fs also packs directories, but does not support hard links, devices,
 * extended attributes or fractions of seconds, so this has its own walk and headers.
 */
import { constants } from 'node:fs'
import { open, realpath } from 'node:fs/promises'
import { dirname, sep } from 'node:path'
import { fileError, StowageError } from '../../errors.js'
import { DEFAULT_COMPRESSION } from '../../oci/compression.js'
import type { WaitOptions } from '../../progress.js'
import { padding, TAR_END } from '../../tar/header.js'
import { sourceDateEpoch } from '../../tar/source-date-epoch.js'
import { checkedThreads } from '../../wim/flags.js'
import { checkedCompression, type LayerCompression } from '../compression.js'
import { writeLayerFile } from '../output-file.js'
import { type Found, placeOf, walkDirectory } from './directory-tree.js'
import { runLayerJob, type WrittenLayer } from './job.js'
import { listed } from './names.js'
import type { LayerCounts } from './plan.js'
import { Slices } from './slices.js'
import { encodeUnixEntry } from './unix-entry.js'

export interface LayerFromDirectoryOptions extends WaitOptions {
  readonly compression?: LayerCompression | undefined
  /**
   * Keep numeric owners and groups. By default everything belongs to 0, so that the result does not depend on the user.
   */
  readonly keepOwner?: boolean | undefined
  /** Latest time in the layer, in seconds since 1970; by default SOURCE_DATE_EPOCH of the environment. */
  readonly epoch?: number | undefined
  /** Skip sockets instead of failing. */
  readonly skipUnsupported?: boolean | undefined
  /** Threads for compression, by default one per processor. The bytes do not depend on it. */
  readonly threads?: number | undefined
}

/** A new layer, and what is in it. */
export interface DirectoryLayer extends WrittenLayer {
  readonly counts: LayerCounts & {
    /** Devices and FIFOs. */
    readonly devices: number
  }
  /** Skipped paths, with the reason. */
  readonly skipped: readonly string[]
}

const PIECE = 256 * 1024
/** Files up to this size, in bytes, are read ahead. */
const SMALL = 64 * 1024
/** Number of entries that are searched for files to read ahead. */
const AHEAD = 32

/**
 * Makes the layer and writes it to `target.path`, an existing file, from `target.offset` on. The same tree gives the
 * same bytes on every machine. Throws FILE_NOT_FOUND, PERMISSION_DENIED, LAYER_UNSUPPORTED, NO_SPACE, ABORTED, and
 * IO_ERROR if a file changes while it is read.
 */
export async function layerFromDirectory(
  directory: string,
  target: { readonly path: string; readonly offset: number },
  options: LayerFromDirectoryOptions = {},
): Promise<DirectoryLayer> {
  const { signal, onProgress, keepOwner = false, skipUnsupported = false, epoch = sourceDateEpoch() } = options
  const compression = checkedCompression(options.compression ?? { type: DEFAULT_COMPRESSION })
  const threads = checkedThreads(options.threads)
  onProgress?.({ type: 'stage', stage: 'convert', subject: directory })
  const { entries, unsupported } = await walkDirectory(directory, new Slices(signal))
  if (unsupported.length > 0 && !skipUnsupported) {
    throw new StowageError('LAYER_UNSUPPORTED', `a layer cannot hold ${listed(unsupported)}`, {
      hint: 'Skip them with --skip-unsupported, which lists all of them, if the image does not need them.',
    })
  }
  const total = entries.reduce((sum, entry) => sum + sizeOf(entry), 0)
  const latest = epoch === undefined ? undefined : BigInt(epoch) * 1_000_000_000n
  const written = await runLayerJob(undefined, new Uint32Array(), tarOf(directory, entries, { keepOwner, latest }), {
    ...target,
    compression,
    threads,
    signal,
    subject: directory,
    onWritten: done => onProgress?.({ type: 'bytes', subject: directory, done: Math.min(done, total), total }),
  })
  onProgress?.({ type: 'bytes', subject: directory, done: total, total })
  onProgress?.({ type: 'done', subject: directory })
  const count = (...types: Found['type'][]): number => entries.filter(({ type }) => types.includes(type)).length
  return {
    ...written,
    counts: {
      directories: count('directory'),
      files: count('file'),
      hardLinks: count('hard link'),
      symlinks: count('symlink'),
      streams: 0,
      devices: count('character device', 'block device', 'fifo'),
    },
    skipped: unsupported,
  }
}

/**
 * Calls {@link layerFromDirectory} to write a new file atomically. Throws OUTPUT_EXISTS unless `force`, and
 * INVALID_ARGUMENT if the output is inside the directory.
 */
export async function writeLayerFromDirectory(
  directory: string,
  output: string,
  { force = false, ...options }: LayerFromDirectoryOptions & { readonly force?: boolean } = {},
): Promise<DirectoryLayer> {
  const [inside, place] = await Promise.all(
    [realpath(directory), realpath(dirname(output))].map(async path => await path.catch(() => undefined)),
  )
  if (
    inside !== undefined &&
    place !== undefined &&
    `${place}${sep}`.startsWith(inside.endsWith(sep) ? inside : `${inside}${sep}`)
  ) {
    throw new StowageError('INVALID_ARGUMENT', `${output} is inside ${directory} and would become part of itself`, {
      hint: 'Name an output outside it.',
    })
  }
  return await writeLayerFile(
    output,
    { force, inputs: [], signal: options.signal, onProgress: options.onProgress },
    async target => await layerFromDirectory(directory, target, options),
  )
}

function sizeOf({ type, stats }: Found): number {
  return type === 'file' ? Number(stats.size) : 0
}

async function* tarOf(
  directory: string,
  entries: readonly Found[],
  { keepOwner, latest }: { keepOwner: boolean; latest: bigint | undefined },
): AsyncGenerator<Uint8Array> {
  let pieces: Uint8Array[] = []
  let size = 0
  const small = new ReadAhead(directory, entries)
  for (const [n, entry] of entries.entries()) {
    const { path, type, stats, target, attributes } = entry
    const content = sizeOf(entry)
    const header = encodeUnixEntry({
      path,
      type,
      mode: Number(stats.mode),
      uid: keepOwner ? Number(stats.uid) : 0,
      gid: keepOwner ? Number(stats.gid) : 0,
      mtime: latest !== undefined && stats.mtimeNs > latest ? latest : stats.mtimeNs,
      size: content,
      target,
      device: type === 'character device' || type === 'block device' ? deviceOf(stats.rdev) : undefined,
      attributes,
    })
    pieces.push(header)
    size += header.length
    if (content > 0) {
      const whole = await small.take(n)
      for await (const bytes of whole ? [whole] : contentOf(placeOf(directory, path), entry)) {
        pieces.push(bytes)
        size += bytes.length
        if (size < PIECE) continue
        yield Buffer.concat(pieces, size)
        ;[pieces, size] = [[], 0]
      }
      pieces.push(padding(content))
      size += padding(content).length
    }
    if (size < PIECE) continue
    yield Buffer.concat(pieces, size)
    ;[pieces, size] = [[], 0]
  }
  yield Buffer.concat([...pieces, TAR_END])
}

/** Reads several small files ahead at a time, because opening and closing them takes most of the time. */
class ReadAhead {
  readonly #directory: string
  readonly #entries: readonly Found[]
  readonly #readings = new Map<number, Promise<Buffer>>()
  #next = 0

  constructor(directory: string, entries: readonly Found[]) {
    this.#directory = directory
    this.#entries = entries
  }

  /** The content of entry `n`; undefined if it is not a small file. */
  async take(n: number): Promise<Buffer | undefined> {
    for (
      this.#next = Math.max(this.#next, n);
      this.#next < Math.min(n + AHEAD, this.#entries.length);
      this.#next += 1
    ) {
      const entry = this.#entries[this.#next]
      if (!entry || sizeOf(entry) === 0 || sizeOf(entry) > SMALL) continue
      const reading = this.#read(entry)
      reading.catch(() => undefined) // thrown when the entry is taken
      this.#readings.set(this.#next, reading)
    }
    const reading = this.#readings.get(n)
    this.#readings.delete(n)
    return await reading
  }

  async #read(entry: Found): Promise<Buffer> {
    const pieces: Uint8Array[] = []
    for await (const bytes of contentOf(placeOf(this.#directory, entry.path), entry)) pieces.push(bytes)
    return Buffer.concat(pieces)
  }
}

/** The content of the file, with the size found by the walk. Throws IO_ERROR if the file has changed since then. */
async function* contentOf(place: string, { stats }: Found): AsyncGenerator<Uint8Array> {
  const file = await open(place, constants.O_RDONLY | constants.O_NOFOLLOW).catch((error: unknown) => {
    throw fileError(error, place)
  })
  try {
    const check = async (): Promise<void> => {
      const now = await file.stat({ bigint: true })
      if (now.ino === stats.ino && now.dev === stats.dev && now.size === stats.size && now.mtimeNs === stats.mtimeNs)
        return
      throw changed(place)
    }
    // The check at the end finds earlier changes too; this one avoids reading a large file of another size
    if (stats.size > BigInt(SMALL)) await check()
    for (let left = Number(stats.size); left > 0;) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(Math.min(left, PIECE)))
      if (bytesRead === 0) throw changed(place)
      left -= bytesRead
      yield buffer.subarray(0, bytesRead)
    }
    await check()
  } catch (error) {
    throw fileError(error, place)
  } finally {
    await file.close()
  }
}

function changed(place: string): StowageError {
  return new StowageError('IO_ERROR', `${place} changed while it was read`, {
    hint: 'Stop the program that writes to it, or make the layer from a copy or a snapshot.',
  })
}

/**
 * Splits a 64-bit dev_t of Linux: the minor number is in bits 0-7 and 20-31, the major number in bits 8-19 and 32-63.
 */
function deviceOf(rdev: bigint): { major: number; minor: number } {
  return {
    major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n)),
    minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)),
  }
}
