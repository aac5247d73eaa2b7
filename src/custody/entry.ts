/** Entries of a log: a line of JSON each, which names the line before by its hash. Format: docs/custody.md. */
import { type Digest, digestOf, isDigest } from '../oci/digest.js'
import { optionalString, parseJson, record, size, string, wrong } from '../oci/json.js'

/** What a command tells the log about what it did. */
export interface LoggedFacts {
  readonly bundle?: LoggedBundle | undefined
  /** The images with their names at the destination, and their ids. */
  readonly images?: readonly { readonly names: readonly string[]; readonly id?: string | undefined }[] | undefined
  /** The source of what is copied, as a location. */
  readonly from?: string | undefined
  /** The destination, as a location. */
  readonly to?: string | undefined
}

/** What a command tells while it runs. */
export interface RecordedFacts extends LoggedFacts {
  /** How it ended, if it does not throw that. */
  readonly failure?: { readonly code: string; readonly message: string } | undefined
}

export interface LoggedBundle {
  readonly path: string
  /** The SHA-256 of its bundle.json, which binds every byte of it. */
  readonly digest?: Digest | undefined
  /** The ids of the keys whose signatures were found valid, and the identities. */
  readonly signedBy?: readonly string[] | undefined
}

/** What is in every entry. */
export interface LogEntry extends LoggedFacts {
  /** Which log it is of: chosen by chance when the log begins, so that logs can be merged. */
  readonly log: string
  /** Its number in its log, from 1. */
  readonly seq: number
  /** The hash of the line before in its log, without its line feed; null for the first. */
  readonly previous: Digest | null
  /** RFC 3339, in UTC. */
  readonly time: string
  /** `pack`, `load` … */
  readonly command: string
  /** `ok`, or the code of the error. */
  readonly result: string
  readonly message?: string | undefined
  readonly user: string
  readonly host: string
  /** Name and version of the program. */
  readonly tool: string
  /** The line before was cut short, as by a power cut. */
  readonly torn?: true | undefined
  readonly signature?: LogSignature | undefined
}

export interface LogSignature {
  readonly keyId: string
  /** In base64. */
  readonly value: string
}

/** Longest line that is read, in bytes. */
export const LINE_LIMIT = 1024 * 1024
const VALUE_LIMIT = 20_000

const SIGNATURE = /,"signature":\{"keyId":"[0-9a-f]{64}","value":"[A-Za-z0-9+/]+={0,2}"\}\}$/

/** The line of `entry` without a signature. Its fields have this order. */
export function encodeLogEntry(entry: LogEntry): string {
  const { log, seq, previous, time, command, result, message, user, host, tool, bundle, images, from, to, torn } = entry
  return JSON.stringify({
    log,
    seq,
    previous,
    time,
    command,
    result,
    message,
    user,
    host,
    tool,
    bundle,
    images,
    from,
    to,
    torn,
  })
}

/** The line with its signature as its last field. */
export function withSignature(line: string, { keyId, value }: LogSignature): string {
  return `${line.slice(0, -1)},"signature":${JSON.stringify({ keyId, value })}}`
}

/** What a signature in `line` is of: the line without it. Undefined if it has none in this form. */
export function signedPart(line: string): string | undefined {
  return SIGNATURE.test(line) ? line.replace(SIGNATURE, '}') : undefined
}

/** The hash by which the next line names this one. */
export function hashOfLine(line: Uint8Array): Digest {
  return digestOf(line)
}

/** Reads a line. Throws INVALID_MANIFEST with `where`. */
export function parseEntry(line: Uint8Array, where: string): LogEntry {
  const object = record(parseJson(line, where, VALUE_LIMIT), where)
  const { previous, torn, bundle, signature } = object
  const digest = previous === null || (typeof previous === 'string' && isDigest(previous)) ? previous : undefined
  if (digest === undefined) throw wrong(`${where}.previous`, 'a digest, or null', previous)
  return {
    log: string(object, 'log', where),
    seq: size(object, 'seq', where),
    previous: digest,
    time: string(object, 'time', where),
    command: string(object, 'command', where),
    result: string(object, 'result', where),
    message: optionalString(object, 'message', where),
    user: string(object, 'user', where),
    host: string(object, 'host', where),
    tool: string(object, 'tool', where),
    bundle: bundle === undefined ? undefined : parseBundle(bundle, `${where}.bundle`),
    from: optionalString(object, 'from', where),
    to: optionalString(object, 'to', where),
    torn: torn === true ? true : undefined,
    signature: signature === undefined ? undefined : parseSignature(signature, `${where}.signature`),
  }
}

function parseBundle(value: unknown, where: string): LoggedBundle {
  const object = record(value, where)
  const digest = optionalString(object, 'digest', where)
  if (digest !== undefined && !isDigest(digest)) throw wrong(`${where}.digest`, 'a digest', digest)
  return { path: string(object, 'path', where), digest }
}

function parseSignature(value: unknown, where: string): LogSignature {
  const object = record(value, where)
  return { keyId: string(object, 'keyId', where), value: string(object, 'value', where) }
}
