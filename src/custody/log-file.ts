/** Appends to a log: under a lock, after a look at its last line, and onto the medium before it returns. */
import { randomBytes } from 'node:crypto'
import { open, stat, type FileHandle } from 'node:fs/promises'
import { hostname, userInfo } from 'node:os'
import { dirname } from 'node:path'
import { syncPath, writeAll } from '../blob/durable.js'
import { withLock } from '../blob/lock.js'
import { fileError, StowageError } from '../errors.js'
import { thisGenerator } from '../generator.js'
import type { Digest } from '../oci/digest.js'
import type { Signer } from '../signature/private-key.js'
import {
  encodeLogEntry,
  hashOfLine,
  LINE_LIMIT,
  type LoggedFacts,
  type LogEntry,
  parseEntry,
  withSignature,
} from './entry.js'

const LINE_FEED = 10

/** What is to be added; the rest of an entry is known. */
export interface NewEntry extends LoggedFacts {
  readonly command: string
  readonly result: string
  readonly message?: string | undefined
}

/** How far a log goes: what a receipt keeps, so that a tail that was cut off shows. */
export interface LogHead {
  readonly log: string
  readonly seq: number
  /** The hash of its last line. */
  readonly head: Digest
}

/**
 * Adds an entry to the log `path`, which is made if it is missing, signed if there is a `signer`. A last line that was cut
 * short stays, and the entry says so. Throws LOG_INVALID for a file that does not end like a log, BUSY, and
 * {@link fileError}s.
 */
export async function appendLog(path: string, entry: NewEntry, signer?: Signer): Promise<LogHead> {
  return await withLog(path, async file => {
    const last = await endOf(file, path)
    const seq = (last?.seq ?? 0) + 1
    const log = last?.log ?? newLog()
    const { name, version } = thisGenerator()
    const line = encodeLogEntry({
      log,
      seq,
      previous: last?.head ?? null,
      time: new Date().toISOString(),
      ...entry,
      user: userName(),
      host: hostname(),
      tool: `${name} ${version}`,
      torn: last?.torn,
    })
    const signature = signer && Buffer.from(await signer.sign(Buffer.from(line))).toString('base64')
    const whole = signature && signer ? withSignature(line, { keyId: signer.publicKey.id, value: signature }) : line
    const bytes = Buffer.from(`${last?.open ? '\n' : ''}${whole}\n`)
    const { size } = await file.stat()
    await writeAll(file, bytes, size)
    await file.sync()
    if (size === 0) await syncPath(dirname(path), 'directory')
    return { log, seq, head: hashOfLine(Buffer.from(whole)) }
  })
}

/** Throws what {@link appendLog} would: before a command does what could then not be logged. Returns where the log is. */
export async function expectLog(path: string): Promise<LogHead | undefined> {
  return await withLog(path, async file => await endOf(file, path))
}

async function withLog<T>(path: string, work: (file: FileHandle) => Promise<T>): Promise<T> {
  const directory = dirname(path)
  await stat(directory).catch((error: unknown) => {
    throw fileError(error, directory)
  })
  return await withLock(`${path}.lock`, async () => {
    try {
      // Not with O_APPEND, which some file systems of sticks and shares do not have; the lock does the same
      await using file = await open(path, 'a+').then(async made => {
        await made.close()
        return await open(path, 'r+')
      })
      return await work(file)
    } catch (error) {
      throw fileError(error, path)
    }
  })
}

/** The end of a log. */
interface End extends LogHead {
  /** Its last line was cut short. */
  readonly torn?: true | undefined
  /** Its last line has no line feed. */
  readonly open: boolean
}

/** The last entry; undefined of an empty log. */
async function endOf(file: FileHandle, path: string): Promise<End | undefined> {
  const { size } = await file.stat()
  if (size === 0) return undefined
  const length = Math.min(size, 2 * LINE_LIMIT)
  const tail = Buffer.alloc(length)
  await file.read(tail, 0, length, size - length)
  const open = tail.at(-1) !== LINE_FEED
  const lines = open ? tail : tail.subarray(0, -1)
  const last = lines.subarray(lines.lastIndexOf(LINE_FEED) + 1)
  const head = hashOfLine(last)
  if (!open) return { ...numberOf(last, path), head, open }
  try {
    const { log, seq } = parseEntry(last, path)
    return { log, seq, head, open }
  } catch {
    // It was cut short
  }
  const rest = lines.subarray(0, -last.length)
  if (rest.length === 0 && length === size) return { log: newLog(), seq: 1, head, open, torn: true }
  const before = rest.subarray(0, -1)
  const { log, seq } = numberOf(before.subarray(before.lastIndexOf(LINE_FEED) + 1), path)
  return { log, seq: seq + 1, head, open, torn: true }
}

function newLog(): string {
  return randomBytes(8).toString('hex')
}

function numberOf(line: Uint8Array, path: string): Pick<LogEntry, 'log' | 'seq'> {
  try {
    const { log, seq } = parseEntry(line, 'its last line')
    return { log, seq }
  } catch (error) {
    if (!(error instanceof StowageError)) throw error
    throw new StowageError('LOG_INVALID', `${path} does not end as a log does: ${error.message}`, {
      hint: `"stowage log verify ${path}" says more. Nothing was done; keep this file, and name another one with --log.`,
      cause: error,
    })
  }
}

function userName(): string {
  const by = process.env['SUDO_USER']
  let own = `uid ${process.getuid?.() ?? '?'}`
  try {
    own = userInfo().username
  } catch {
    // a user without a name
  }
  return by !== undefined && by !== own ? `${by} as ${own}` : own
}
