/** What an engine answers, read with care: engines differ, and one field more or less must not stop us. */
import { StowageError } from '../errors.js'
import { isObject } from '../oci/json.js'
import type { Bytes } from '../blob/blob-store.js'

export type Answer = Readonly<Record<string, unknown>>

/** Longest line of a stream of JSON lines, in characters. */
const LINE_LIMIT = 1024 * 1024

/** The object that `value` must be. Throws ENGINE_PROTOCOL naming `where`. */
export function objectOf(value: unknown, where: string): Answer {
  if (isObject(value)) return value
  throw new StowageError('ENGINE_PROTOCOL', `${where}: expected a JSON object but found ${shown(value)}`)
}

/** The list that `value` must be; engines write an empty one as null, too. Throws ENGINE_PROTOCOL naming `where`. */
export function listOf(value: unknown, where: string): readonly unknown[] {
  if (value === null || value === undefined) return []
  if (Array.isArray(value)) return value
  throw new StowageError('ENGINE_PROTOCOL', `${where}: expected a JSON array but found ${shown(value)}`)
}

/** A text that is not empty, or undefined. */
export function textOf(object: Answer, key: string): string | undefined {
  const value = object[key]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** The texts of a list; anything else in it is left out. */
export function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : []
}

/** JSON, or undefined where the text is none. */
export function parseText(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // the only thing JSON.parse throws is SyntaxError
  }
}

/** The objects of a stream of JSON lines. Throws ENGINE_PROTOCOL at a line that is no JSON object. */
export async function* jsonLines(bytes: Bytes, where: string): AsyncIterable<Answer> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const piece of bytes) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > LINE_LIMIT) {
      throw new StowageError('ENGINE_PROTOCOL', `${where}: a line of over ${LINE_LIMIT} characters`)
    }
    for (const line of lines) if (line.trim() !== '') yield parseLine(line, where)
  }
  rest += decoder.decode()
  if (rest.trim() !== '') yield parseLine(rest, where)
}

function parseLine(line: string, where: string): Answer {
  const value = parseText(line)
  if (isObject(value)) return value
  throw new StowageError('ENGINE_PROTOCOL', `${where}: expected a line of JSON but found ${shown(line)}`)
}

function shown(value: unknown): string {
  return value === undefined ? 'nothing' : (JSON.stringify(value) ?? String(value)).slice(0, 200)
}
