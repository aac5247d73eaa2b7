/** Parses responses of engines leniently, because engines differ in their fields. */
import type { Bytes } from '../blob/blob-store.js'
import { StowageError } from '../errors.js'
import { isObject, type JsonObject, parseJsonText } from '../oci/json.js'

/** Maximum length of a line in a stream of JSON lines, in characters. */
const LINE_LIMIT = 1024 * 1024

/** Returns `value`, which must be an object. Throws ENGINE_PROTOCOL naming `where`. */
export function objectOf(value: unknown, where: string): JsonObject {
  if (isObject(value)) return value
  throw new StowageError('ENGINE_PROTOCOL', `${where}: expected a JSON object but found ${shown(value)}`)
}

/**
 * Returns `value`, which must be an array; engines also write null for an empty one. Throws ENGINE_PROTOCOL naming
 * `where`.
 */
export function listOf(value: unknown, where: string): readonly unknown[] {
  if (value === null || value === undefined) return []
  if (Array.isArray(value)) return value
  throw new StowageError('ENGINE_PROTOCOL', `${where}: expected a JSON array but found ${shown(value)}`)
}

/** The objects of a stream of JSON lines. Throws ENGINE_PROTOCOL if a line is not a JSON object. */
export async function* jsonLines(bytes: Bytes, where: string): AsyncIterable<JsonObject> {
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

function parseLine(line: string, where: string): JsonObject {
  const value = parseJsonText(line)
  if (isObject(value)) return value
  throw new StowageError('ENGINE_PROTOCOL', `${where}: expected a line of JSON but found ${shown(line)}`)
}

function shown(value: unknown): string {
  return value === undefined ? 'nothing' : (JSON.stringify(value) ?? String(value)).slice(0, 200)
}
