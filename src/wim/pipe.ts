/** Reads WIMs from streams, and writes them to streams. */
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
 * Applies an image of a pipable WIM that is read from a stream. `image` is its number or name; undefined if there is
 * only one. Throws UNSUPPORTED if the WIM is not pipable.
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
  fed.catch(() => undefined) // libwim reports missing data, and may not read to the end
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

/** Calls `write` with a file descriptor whose data goes to `target`, which is then ended, or destroyed on an error. */
export async function writeToStream(
  target: Writable,
  write: (fd: number) => Promise<unknown>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const ends = openPipe()
  const drained = pipeline(new Socket({ fd: ends.read, readable: true, writable: false }), target, { signal })
  drained.catch(() => undefined) // the writer gets a broken pipe; the original error is thrown below
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
