/** WIMs that come out of a stream, or go into one. */
import { closeSync } from 'node:fs'
import { Socket } from 'node:net'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { systemCode } from '../errors.js'
import { binding, nativeError } from './binding.js'
import { extractFlags } from './flags.js'
import { startJob } from './job.js'
import type { ExtractOptions } from './options.js'

/**
 * Applies an image of a pipable WIM as it comes out of a stream. `image`: its number or name; undefined if it holds one.
 * Throws UNSUPPORTED for a WIM that is not pipable.
 */
export async function extractFromPipe(
  input: Readable | { readonly fd: number },
  image: string | number | undefined,
  target: string,
  options: ExtractOptions = {},
): Promise<void> {
  const extract = (fd: number): Promise<unknown> =>
    startJob(
      'extractFromPipe',
      { fd, image: image === undefined ? undefined : String(image), target, flags: extractFlags(options) },
      target,
      options,
    ).result
  if (!(input instanceof Readable)) {
    await extract(input.fd)
    return
  }
  const { read, write } = openPipe()
  const fed = pipeline(input, new Socket({ fd: write, readable: false, writable: true }))
  fed.catch(() => undefined) // libwim says what it misses; when it has enough, nobody reads the rest
  try {
    await extract(read)
  } finally {
    closeSync(read)
    input.destroy()
  }
  await fed.catch((error: unknown) => {
    if (systemCode(error) !== 'EPIPE' && systemCode(error) !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
  })
}

/** `write` gets a file descriptor; what it writes there goes into `target`, which is ended, or destroyed when it fails. */
export async function writeToStream(
  target: Writable,
  write: (fd: number) => Promise<unknown>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const ends = openPipe()
  const drained = pipeline(new Socket({ fd: ends.read, readable: true, writable: false }), target, { signal })
  drained.catch(() => undefined) // the writer hears of it as a broken pipe; what failed first is told below
  try {
    await write(ends.write)
  } catch (error) {
    const cause = target.errored
    target.destroy()
    throw cause ?? error
  } finally {
    closeSync(ends.write)
  }
  await drained
}

function openPipe(): { readonly read: number; readonly write: number } {
  try {
    return binding().openPipe()
  } catch (error) {
    throw nativeError(error, 'a pipe')
  }
}
