/** Archives as streams: a file, a pipe or standard input, compressed or not; and standard output. */
import { closeSync, constants, openSync, statSync, writeSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { addAbortSignal } from 'node:stream'
import type { Bytes, FetchOptions } from '../blob/blob-store.js'
import { readFileBytes } from '../blob/hash-file.js'
import { abortError, fileError, StowageError, systemCode } from '../errors.js'
import { type ArchiveCompression, archiveCompressionOf, MAGIC_SIZE } from '../oci/compression.js'
import type { OnProgress } from '../progress.js'
import { decompressed, GROWTH, outgrows } from './compression.js'
import { otherFileWithin, refuseOther, refuseOthers } from '../tar/other-file.js'
import { STANDARD_STREAM } from './standard-stream.js'

/**
 * The bytes of the file or pipe `path`, or of standard input for `-`. They can be read once. Throws FILE_NOT_FOUND etc.
 * while they are read, and INVALID_ARGUMENT if standard input is a terminal.
 */
export function openStream(path: string, signal?: AbortSignal): Bytes {
  if (path !== STANDARD_STREAM) return readPath(path, signal)
  if (process.stdin.isTTY) {
    throw new StowageError('INVALID_ARGUMENT', 'standard input is a terminal, and an archive was expected', {
      hint: 'Pipe it in, or name a file. A file called "-" is ./-',
    })
  }
  if (inputTaken) {
    throw new StowageError('INVALID_ARGUMENT', 'standard input was named twice, but it can be read only once', {
      hint: 'Write it to a file first, and name that.',
    })
  }
  inputTaken = true
  if (signal) addAbortSignal(signal, process.stdin)
  return process.stdin as Bytes // a stream of buffers, as no encoding is set
}

let inputTaken = false

/** A pipe whose writer is late or stalls holds its reader in the kernel, beyond the reach of `signal`: a byte wakes it. */
async function* readPath(path: string, signal: AbortSignal | undefined): Bytes {
  const wake = (): void => {
    if (!statSync(path, { throwIfNoEntry: false })?.isFIFO()) return
    const pipe = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
    try {
      writeSync(pipe, Buffer.of(0))
    } catch (error) {
      if (systemCode(error) !== 'EAGAIN') throw error // it is full: nobody waits for it
    } finally {
      closeSync(pipe)
    }
  }
  // The reader may be about to open it, and a byte that comes before is lost
  let again: NodeJS.Timeout | undefined
  const stop = (): void => {
    wake()
    again = setInterval(wake, 100)
  }
  signal?.throwIfAborted()
  signal?.addEventListener('abort', stop, { once: true })
  try {
    yield* readFileBytes(path, { signal })
  } finally {
    signal?.removeEventListener('abort', stop)
    clearInterval(again)
  }
}

/** Throws INVALID_ARGUMENT if standard output is a terminal. */
export function refuseTerminal(): void {
  if (!process.stdout.isTTY) return
  throw new StowageError('INVALID_ARGUMENT', 'standard output is a terminal, and an archive is binary data', {
    hint: 'Pipe it into a program or redirect it to a file, or name an output. A directory called "-" is ./-',
  })
}

/** Writes all of `bytes` to standard output. Throws IO_ERROR if its reader ends early, and ABORTED while it stalls. */
export async function writeToStandardOutput(bytes: Bytes, signal?: AbortSignal): Promise<void> {
  for await (const piece of bytes) {
    signal?.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const stop = (): void => reject(abortError(signal?.reason, signal))
      signal?.addEventListener('abort', stop, { once: true })
      process.stdout.write(piece, error => {
        signal?.removeEventListener('abort', stop)
        if (!error) resolve()
        else if (systemCode(error) !== 'EPIPE') reject(fileError(error, 'standard output'))
        else
          reject(
            new StowageError('IO_ERROR', `standard output was closed before all was written: ${error.message}`, {
              hint: 'The program that reads it ended early. What it has is not complete.',
              cause: error,
            }),
          )
      })
    })
  }
}

/**
 * The plain tar that `bytes` is or holds compressed. Throws UNSUPPORTED for another compression, and for an archive of
 * over 1 GiB that is over 200 times its compressed size, and what {@link decompressed} throws.
 */
export async function openTarStream(
  bytes: Bytes,
  name: string,
  { signal }: FetchOptions = {},
): Promise<{ readonly tar: Bytes; readonly compression: ArchiveCompression | undefined }> {
  const { head, all } = await withHead(bytes)
  refuseOthers(head, name)
  const compression = archiveCompressionOf(head)
  if (!compression) return { tar: all, compression }
  const read = { size: 0 }
  const content = decompressed(measured(all, read), compression, name, { signal })
  return { tar: plainTar(boundedGrowth(content, read, name), name, compression), compression }
}

/** Adds up in `read` what is read of `bytes`. */
async function* measured(bytes: Bytes, read: { size: number }): Bytes {
  for await (const piece of bytes) {
    read.size += piece.length
    yield piece
  }
}

/** A few megabytes can stand for terabytes of zeros, which nobody packs and nobody can wait for. */
async function* boundedGrowth(bytes: Bytes, read: { readonly size: number }, name: string): Bytes {
  let size = 0
  for await (const piece of bytes) {
    size += piece.length
    if (outgrows(size, read.size)) {
      throw new StowageError(
        'UNSUPPORTED',
        `${name} is over ${GROWTH.times} times as large decompressed: ${size} bytes from ${read.size}, which is the limit from ${GROWTH.free} bytes on`,
        { hint: 'If that is what it should be, decompress it to a file first, and name that.' },
      )
    }
    yield piece
  }
}

/** The same bytes, decompressed, which are to be a tar. Throws what {@link refuseOthers} throws. */
async function* plainTar(bytes: Bytes, name: string, compression: ArchiveCompression): Bytes {
  const { head, all } = await withHead(bytes)
  refuseOthers(head, name, compression)
  yield* all
}

/** Reports `bytes` as they are read: `total`, if it is known, is their number. */
export async function* counted(
  bytes: Bytes,
  subject: string,
  total: number | undefined,
  onProgress: OnProgress | undefined,
): Bytes {
  let done = 0
  for await (const piece of bytes) {
    done += piece.length
    onProgress?.({ type: 'bytes', subject, done, total })
    yield piece
  }
}

/** The first bytes of an open archive. Throws UNSUPPORTED for a file that is no tar, and what {@link refuseOthers} throws. */
export async function archiveHead(file: FileHandle, name: string): Promise<Buffer> {
  const head = await headOf(file)
  const read = async (at: number, size: number): Promise<Uint8Array> => {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(size), 0, size, at)
    return buffer.subarray(0, bytesRead)
  }
  refuseOthers(head, name)
  refuseOther(await otherFileWithin(head, read), name)
  return head
}

/** The first bytes of an open file: as many as {@link archiveCompressionOf} needs, or `size`. */
export async function headOf(file: FileHandle, size = MAGIC_SIZE): Promise<Buffer> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(size), 0, size, 0)
  return buffer.subarray(0, bytesRead)
}

/** The first bytes, and a stream of all bytes including these. */
async function withHead(bytes: Bytes): Promise<{ readonly head: Uint8Array; readonly all: Bytes }> {
  const iterator = bytes[Symbol.asyncIterator]()
  let first: Uint8Array = new Uint8Array()
  while (first.length < MAGIC_SIZE) {
    const next = await iterator.next()
    if (next.done) break
    first = Buffer.concat([first, next.value])
  }
  return {
    head: first.subarray(0, MAGIC_SIZE),
    all: (async function* () {
      yield first
      yield* { [Symbol.asyncIterator]: () => iterator }
    })(),
  }
}
