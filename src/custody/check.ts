/** Checks logs: whether every line is the one that the next line names, and who signed it. */
import { createReadStream } from 'node:fs'
import { fileError, StowageError } from '../errors.js'
import type { Digest } from '../oci/digest.js'
import { isSignedBy, type PublicKey } from '../signature/public-key.js'
import { hashOfLine, LINE_LIMIT, type LogEntry, parseEntry, signedPart } from './entry.js'
import type { LogHead } from './log-file.js'

export interface LogFinding {
  /** From 1. */
  readonly line: number
  readonly message: string
}

export interface LogReport {
  readonly path: string
  readonly ok: boolean
  readonly entries: number
  /** The logs in the file, more than one if it was merged, in the order of their first entries. */
  readonly logs: readonly (LogHead & {
    readonly hosts: readonly string[]
    readonly first: string
    readonly last: string
  })[]
  readonly findings: readonly LogFinding[]
}

export interface VerifyLogOptions {
  /** Every entry must be signed by one of these. */
  readonly keys?: readonly PublicKey[] | undefined
  /** Heads that were kept elsewhere, as in a receipt: all must be in the log. */
  readonly heads?: readonly Digest[] | undefined
}

export interface LogLine {
  /** From 1. */
  readonly line: number
  readonly bytes: Buffer
  /** A line feed follows. */
  readonly whole: boolean
}

interface Chain extends LogHead {
  readonly hosts: Set<string>
  readonly first: string
  last: string
  seq: number
  head: Digest
}

/** More findings than these are not told. */
const MOST_FINDINGS = 100

/**
 * Checks every line of the log `path`. What was changed, taken out, put in or moved is a finding, with its line; that the
 * last lines were cut off shows only against one of `heads` that was kept elsewhere. Throws {@link fileError}s.
 */
export async function verifyLog(path: string, { keys = [], heads = [] }: VerifyLogOptions = {}): Promise<LogReport> {
  const findings: LogFinding[] = []
  const chains = new Map<string, Chain>()
  const wanted = new Set(heads)
  let entries = 0
  /** A line that cannot be read, which the next one may say was cut short. */
  let unread: { readonly line: number; readonly hash: Digest; readonly reason: string } | undefined
  const find = (line: number, message: string): void => {
    if (findings.length < MOST_FINDINGS) findings.push({ line, message })
  }
  for await (const { line, bytes, whole } of logLines(path)) {
    const hash = hashOfLine(bytes)
    wanted.delete(hash)
    const parsed = parsedLine(bytes, whole)
    if (typeof parsed === 'string') {
      if (unread) find(unread.line, unread.reason)
      unread = { line, hash, reason: parsed }
      continue
    }
    const chain = chains.get(parsed.log)
    const torn = parsed.torn && unread && parsed.previous === unread.hash ? unread : undefined
    if (unread && !torn) find(unread.line, unread.reason)
    unread = undefined
    entries += 1
    for (const message of [...chainFaults(parsed, chain, torn !== undefined), ...signatureFaults(bytes, parsed, keys)])
      find(line, message)
    if (chain) {
      Object.assign(chain, { seq: parsed.seq, head: hash, last: parsed.time })
      chain.hosts.add(parsed.host)
    } else {
      const { log, seq, time, host } = parsed
      chains.set(log, { log, seq, head: hash, first: time, last: time, hosts: new Set([host]) })
    }
  }
  if (unread) find(unread.line, unread.reason)
  for (const head of wanted)
    find(entries, `no line has the hash ${head}, which was kept elsewhere: the end of the log was cut off, or changed`)
  const logs = [...chains.values()].map(chain => ({ ...chain, hosts: [...chain.hosts] }))
  return { path, ok: findings.length === 0, entries, logs, findings }
}

/** The lines of a file; of one that is too long, no more than its beginning. Throws {@link fileError}s. */
export async function* logLines(path: string): AsyncGenerator<LogLine> {
  let line = 1
  let held: Buffer = Buffer.alloc(0)
  try {
    for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) {
      held = held.length === 0 ? piece : Buffer.concat([held, piece])
      for (let at = held.indexOf(10); at >= 0; at = held.indexOf(10)) {
        yield { line, bytes: held.subarray(0, at), whole: true }
        line += 1
        held = held.subarray(at + 1)
      }
      if (held.length > LINE_LIMIT) {
        yield { line, bytes: held, whole: false }
        return
      }
    }
  } catch (error) {
    throw fileError(error, path)
  }
  if (held.length > 0) yield { line, bytes: held, whole: false }
}

/** The entry, or what is wrong with the line. */
function parsedLine(bytes: Buffer, whole: boolean): LogEntry | string {
  if (bytes.length > LINE_LIMIT) return `it is longer than ${LINE_LIMIT} bytes, and the rest was not read`
  try {
    const entry = parseEntry(bytes, 'entry')
    return whole ? entry : 'it has no line feed: it was cut short'
  } catch (error) {
    if (!(error instanceof StowageError)) throw error
    return whole ? `it is no entry: ${error.message}` : 'it was cut short'
  }
}

function chainFaults(entry: LogEntry, chain: Chain | undefined, torn: boolean): readonly string[] {
  const seq = (chain?.seq ?? 0) + (torn ? 2 : 1)
  if (torn) return entry.seq === seq ? [] : [`expected number ${seq} but found ${entry.seq}`]
  if (entry.torn) return ['it says that the line before was cut short, which it was not']
  if (entry.seq !== seq)
    return [`expected number ${seq} but found ${entry.seq}: an entry was taken out, put in or moved`]
  const previous = chain?.head ?? null
  if (entry.previous === previous) return []
  return [`the line before it was changed: expected ${entry.previous ?? 'none'} but found ${previous ?? 'none'}`]
}

function signatureFaults(bytes: Buffer, { signature }: LogEntry, keys: readonly PublicKey[]): readonly string[] {
  if (keys.length === 0) return []
  if (!signature) return ['it is not signed']
  const key = keys.find(({ id }) => id === signature.keyId)
  if (!key) return [`it is signed by key ${signature.keyId}, which was not given`]
  const signed = signedPart(bytes.toString())
  const good = signed !== undefined && isSignedBy(key, Buffer.from(signed), Buffer.from(signature.value, 'base64'))
  return good ? [] : ['its signature does not hold: the entry was changed']
}
