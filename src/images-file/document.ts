/** Parses YAML into values with positions, so that every error can be reported with its line and column. */
import {
  type Alias,
  isAlias,
  isCollection,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  parseDocument,
  visit,
} from 'yaml'
import { StowageError } from '../errors.js'

/** Line and column count from 1. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** All scalars are kept as text: `1.10` is not the number 1.1. */
export type Value =
  | { readonly type: 'map'; readonly at: Position; readonly entries: readonly MapEntry[] }
  | { readonly type: 'list'; readonly at: Position; readonly items: readonly Value[] }
  /** `plain`: not quoted, so it may also be meant as a number, a boolean or null. */
  | { readonly type: 'text'; readonly at: Position; readonly text: string; readonly plain: boolean }

export interface MapEntry {
  readonly key: string
  readonly at: Position
  readonly value: Value
}

/** Maximum size of a file in bytes: enough for about ten thousand images. */
export const FILE_LIMIT = 1024 * 1024
/** Maximum size of a list of another kind, such as the output of "helm template". */
export const LIST_LIMIT = 16 * 1024 * 1024

/** Limits of a document: the number of values after aliases are expanded, and the depth of nesting. */
interface Limits {
  readonly values: number
  readonly depth: number
}

const OWN_LIMITS: Limits = { values: 100_000, depth: 20 }
const STREAM_LIMITS: Limits = { values: 2_000_000, depth: 200 }
/** Maximum number of faults in an error message. */
const SHOWN = 20

/** Collects all faults of a file with their positions. */
export class Faults {
  readonly path: string
  readonly #found: { readonly at: Position; readonly message: string }[] = []
  /** Whether all faults are about missing things, so that the file itself is valid. */
  #missing = true

  constructor(path: string) {
    this.path = path
  }

  add(at: Position, message: string, { missing = false }: { readonly missing?: boolean } = {}): void {
    this.#missing &&= missing
    this.#found.push({ at, message })
  }

  /** Runs `check`, and records a StowageError that it throws as a fault at this position. */
  check<T>(at: Position, check: () => T): T | undefined {
    try {
      return check()
    } catch (error) {
      if (!(error instanceof StowageError)) throw error
      this.add(at, error.hint === undefined ? error.message : `${error.message}. ${error.hint}`)
      return undefined
    }
  }

  get none(): boolean {
    return this.#found.length === 0
  }

  /**
   * Throws IMAGES_FILE_INVALID, or IMAGE_NOT_FOUND if all faults are about missing things, with a line for each fault.
   */
  throwIfAny(hint?: string): void {
    if (this.none) return
    const sorted = this.#found.sort((a, b) => a.at.line - b.at.line || a.at.column - b.at.column)
    const lines = sorted.slice(0, SHOWN).map(({ at, message }) => `${this.path}:${at.line}:${at.column}: ${message}`)
    if (sorted.length > SHOWN) lines.push(`and ${sorted.length - SHOWN} more`)
    throw new StowageError(this.#missing ? 'IMAGE_NOT_FOUND' : 'IMAGES_FILE_INVALID', lines.join('\n'), { hint })
  }
}

/** The only YAML document in `bytes`. Adds errors to `faults`; undefined if it cannot be parsed. */
export function parseYaml(bytes: Uint8Array, faults: Faults): Value | undefined {
  const start: Position = { line: 1, column: 1 }
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    faults.add(start, 'expected UTF-8 text but found other bytes')
    return undefined
  }
  const lines = new LineCounter()
  const document = parseDocument(text, { ...YAML, lineCounter: lines, uniqueKeys: true, strict: true })
  const at = positionsOf(lines)
  for (const { pos, code, message } of [...document.errors, ...document.warnings])
    faults.add(at(pos[0]), code === 'MULTIPLE_DOCS' ? 'expected one document but found another' : sentence(message))
  if (!faults.none) return undefined
  if (!document.contents) {
    faults.add(start, 'expected a map with "version" but found nothing')
    return undefined
  }
  return new Reader(document, at, faults, OWN_LIMITS).read(document.contents)
}

/** One document of a file that is not ours. */
export interface YamlDocument {
  /** Of the map that the document is; empty for anything else. */
  readonly keys: readonly string[]
  /** Its values, aliases expanded. The limits hold for all documents of the file together; `faults` gets what breaks them. */
  read(): Value | undefined
}

/** The documents of `bytes` that are not empty. A key may be there twice. Adds errors to `faults`. */
export function parseYamlStream(bytes: Uint8Array, faults: Faults): readonly YamlDocument[] {
  const lines = new LineCounter()
  const text = Buffer.from(bytes).toString('utf8')
  const found = parseAllDocuments(text, { ...YAML, lineCounter: lines, uniqueKeys: false, strict: false })
  const at = positionsOf(lines)
  const budget = { used: 0 }
  return ('empty' in found ? [] : found).flatMap((document): readonly YamlDocument[] => {
    for (const { pos, message } of document.errors) faults.add(at(pos[0]), sentence(message))
    const { contents } = document
    if (!contents) return []
    const keys = isMap(contents) ? contents.items.flatMap(({ key }) => (isScalar(key) ? String(key.value) : [])) : []
    return [{ keys, read: () => new Reader(document, at, faults, STREAM_LIMITS, budget).read(contents) }]
  })
}

const YAML = { schema: 'failsafe', prettyErrors: false, version: '1.2' } as const

function positionsOf(lines: LineCounter): (offset: number | undefined) => Position {
  return offset => {
    const { line, col } = lines.linePos(offset ?? 0)
    return { line: Math.max(line, 1), column: Math.max(col, 1) }
  }
}

class Reader {
  readonly #at: (offset: number | undefined) => Position
  readonly #faults: Faults
  readonly #limits: Limits
  readonly #budget: { used: number }
  readonly #anchored = new Map<Alias, Node>()

  constructor(
    document: ReturnType<typeof parseDocument>,
    at: (offset: number | undefined) => Position,
    faults: Faults,
    limits: Limits,
    budget = { used: 0 },
  ) {
    this.#at = at
    this.#faults = faults
    this.#limits = limits
    this.#budget = budget
    const anchors = new Map<string, Node>()
    visit(document, (_key, node) => {
      if (isAlias(node)) {
        const target = anchors.get(node.source)
        if (target) this.#anchored.set(node, target)
      } else if ((isScalar(node) || isCollection(node)) && node.anchor !== undefined) {
        anchors.set(node.anchor, node)
      }
    })
  }

  read(node: unknown, depth = 0): Value | undefined {
    const range = isAlias(node) || isScalar(node) || isCollection(node) ? node.range : undefined
    const at = this.#at(range?.[0])
    this.#budget.used += 1
    if (depth > this.#limits.depth || this.#budget.used > this.#limits.values) {
      if (this.#budget.used !== Infinity)
        this.#faults.add(
          at,
          depth > this.#limits.depth
            ? `values are nested more than ${this.#limits.depth} deep`
            : `aliases expand this file to more than ${this.#limits.values} values`,
        )
      this.#budget.used = Infinity // report it only once
      return undefined
    }
    if (isAlias(node)) {
      const target = this.#anchored.get(node)
      if (!target) this.#faults.add(at, `expected an anchor &${node.source} before its alias but found none`)
      return target && this.read(target, depth + 1)
    }
    if (isScalar(node))
      return {
        type: 'text',
        at,
        text: String(node.value ?? ''),
        plain: node.type === undefined || node.type === 'PLAIN',
      }
    if (isSeq(node)) return { type: 'list', at, items: node.items.flatMap(item => this.read(item, depth + 1) ?? []) }
    if (!isMap(node)) return undefined
    const entries = node.items.flatMap((pair): MapEntry[] => {
      const key = isPair(pair) ? this.read(pair.key, depth + 1) : undefined
      if (key?.type !== 'text') {
        if (key) this.#faults.add(key.at, `expected a name but found ${shownValue(key)}`)
        return []
      }
      const value =
        pair.value === null
          ? { type: 'text' as const, at: key.at, text: '', plain: true }
          : this.read(pair.value, depth + 1)
      return value ? [{ key: key.text, at: key.at, value }] : []
    })
    return { type: 'map', at, entries }
  }
}

/** A short form of the value for messages. */
export function shownValue(value: Value): string {
  if (value.type === 'map') return 'a map'
  if (value.type === 'list') return value.items.length === 0 ? 'an empty list' : 'a list'
  if (value.text === '' && value.plain) return 'nothing'
  const text = value.text.length > 60 ? `${value.text.slice(0, 60)}…` : value.text
  return value.plain ? text : JSON.stringify(text)
}

/** The first line of a message of the parser, beginning in lower case. Further lines are about the parser's API. */
function sentence(message: string): string {
  const first = message.split('\n')[0] ?? ''
  return first.charAt(0).toLowerCase() + first.slice(1)
}
