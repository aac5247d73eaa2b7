/** Archives as streams: a file, a pipe or standard input, compressed or not; and standard output. */
import { createReadStream } from 'node:fs'
import { addAbortSignal } from 'node:stream'
import type { Bytes, FetchOptions } from '../blob/blob-store.js'
import { fileError, StowageError, systemCode } from '../errors.js'
import { type ArchiveCompression, archiveCompressionOf, MAGIC_SIZE } from '../oci/compression.js'
import { decompressed, refuseOthers } from './compression.js'

/** The path that stands for standard input or standard output. A file of this name is `./-`. */
export const STANDARD_STREAM = '-'

const PIECE = 1024 * 1024

/** How messages refer to the input `path`. */
export function inputTitle(path: string): string {
  return path === STANDARD_STREAM ? 'standard input' : path
}

/**
 * The bytes of the file or pipe `path`, or of standard input for `-`. They can be read once. Throws FILE_NOT_FOUND etc.
 * while they are read, and INVALID_ARGUMENT if standard input is a terminal.
 */
export function openStream(path: string, signal?: AbortSignal): Bytes {
  if (path !== STANDARD_STREAM) return readOnce(path, signal)
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

/** Throws INVALID_ARGUMENT if standard output is a terminal. */
export function refuseTerminal(): void {
  if (!process.stdout.isTTY) return
  throw new StowageError('INVALID_ARGUMENT', 'standard output is a terminal, and an archive is binary data', {
    hint: 'Pipe it into a program or redirect it to a file, or name an output. A directory called "-" is ./-',
  })
}

/** Writes all of `bytes` to standard output. Throws IO_ERROR if its reader ends early. */
export async function writeToStandardOutput(bytes: Bytes): Promise<void> {
  for await (const piece of bytes) {
    await new Promise<void>((resolve, reject) => {
      process.stdout.write(piece, error => {
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

/** The plain tar that `bytes` is or holds compressed. Throws UNSUPPORTED, and what {@link decompressed} throws. */
export async function openTarStream(
  bytes: Bytes,
  name: string,
  { signal }: FetchOptions = {},
): Promise<{ readonly tar: Bytes; readonly compression: ArchiveCompression | undefined }> {
  const { head, all } = await withHead(bytes)
  refuseOthers(head, name)
  const compression = archiveCompressionOf(head)
  return { tar: compression ? decompressed(all, compression, name, { signal }) : all, compression }
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

async function* readOnce(path: string, signal: AbortSignal | undefined): Bytes {
  try {
    yield* createReadStream(path, { highWaterMark: PIECE, ...(signal ? { signal } : {}) })
  } catch (error) {
    throw fileError(error, path)
  }
}
