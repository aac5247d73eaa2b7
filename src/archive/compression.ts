/** The bytes in a compressed file; and compressions that are not read here, refused by name. */
import { createGunzip } from 'node:zlib'
import { pipeline } from 'node:stream/promises'
import { Decompress } from 'fzstd'
import type { Bytes, FetchOptions } from '../blob/blob-store.js'
import { abortError, StowageError, systemCode } from '../errors.js'
import { type Compression, COMPRESSION_NAMES } from '../oci/compression.js'
import { ZstdWindows } from './zstd-windows.js'

const PIECE = 1024 * 1024
/** What the zstd decoder is given at a time, in bytes. */
const ZSTD_PIECE = 64 * 1024

const OTHERS: readonly (readonly [string, string, RegExp])[] = [
  ['xz', 'xz -d', /^\xfd7zXZ\0/],
  ['bzip2', 'bzip2 -d', /^BZh[1-9]1AY&SY/],
  ['lz4', 'lz4 -d', /^\x04"M\x18/],
  ['zip', 'unzip', /^PK\x03\x04/],
]

/** Throws UNSUPPORTED if `head` begins a file of another compression, saying what decompresses it. */
export function refuseOthers(head: Uint8Array, name: string): void {
  const text = Buffer.from(head).toString('latin1')
  for (const [other, command, magic] of OTHERS) {
    if (!magic.test(text)) continue
    throw new StowageError(
      'UNSUPPORTED',
      `${name} is compressed with ${other}; only ${COMPRESSION_NAMES.join(', ')} and uncompressed files can be read`,
      {
        hint: `Decompress it first: ${command} ${name}`,
      },
    )
  }
}

/**
 * The decompressed bytes, as a stream; gzip members and zstd frames may follow one another. Memory does not grow with the input: a
 * zstd window is at most 128 MiB. `name` is for messages. Throws INVALID_TAR for what is not whole, UNSUPPORTED for a larger
 * window, and what `bytes` throws.
 */
export function decompressed(
  bytes: Bytes,
  compression: Compression,
  name: string,
  { signal }: FetchOptions = {},
): Bytes {
  return DECODERS[compression](bytes, name, signal)
}

const DECODERS: Readonly<Record<Compression, (bytes: Bytes, name: string, signal: AbortSignal | undefined) => Bytes>> =
  { gzip: gunzipped, zstd: unzstd }

async function* gunzipped(bytes: Bytes, name: string, signal: AbortSignal | undefined): Bytes {
  const gunzip = createGunzip({ chunkSize: PIECE })
  const fed = pipeline(bytes, gunzip, signal ? { signal } : {})
  const failure = fed.then(
    () => undefined,
    (error: unknown) => error,
  )
  try {
    yield* gunzip as Bytes // a stream of buffers, which Node.js does not type
    await fed
  } catch (error) {
    // What the source threw says more than a stream that was destroyed
    const first = (await failure) ?? error
    throw abortError(systemCode(first)?.startsWith('Z_') ? notWhole(name, 'gzip', first) : first, signal)
  } finally {
    gunzip.destroy()
    await failure
  }
}

async function* unzstd(bytes: Bytes, name: string, signal: AbortSignal | undefined): Bytes {
  let made: Uint8Array[] = []
  const decoder = new Decompress(piece => void made.push(piece))
  const windows = new ZstdWindows(name)
  for await (const whole of bytes) {
    for (let at = 0; at < whole.length;) {
      signal?.throwIfAborted()
      const next = whole.subarray(at, at + ZSTD_PIECE)
      const size = windows.look(next)
      decode(next.subarray(0, size), false)
      at += size
      yield* made
      made = []
    }
  }
  decode(new Uint8Array(), true)
  windows.end()
  yield* made

  function decode(piece: Uint8Array, final: boolean): void {
    try {
      decoder.push(piece, final)
    } catch (error) {
      throw notWhole(name, 'zstd', error)
    }
  }
}

function notWhole(name: string, compression: Compression, error: unknown): StowageError {
  const message = error instanceof Error ? error.message : String(error)
  return new StowageError(
    'INVALID_TAR',
    `${name} is incomplete: its ${compression} stream is damaged or ends early (${message})`,
    {
      hint: 'Copy the file again, and compare its size with the original.',
      cause: error,
    },
  )
}
