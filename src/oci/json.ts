/**
 * Reads JSON from outside. Strict functions are for fields that a spec requires: the error names the field that is
 * wrong. Lenient functions (`textIn` and the like) are for fields that differ between programs: a value that is missing
 * or of another type is undefined.
 */
import { StowageError } from '../errors.js'

export type JsonObject = { readonly [key: string]: unknown }

/** How deep arrays and objects may be nested: real documents have fewer than ten levels. */
const DEPTH_LIMIT = 64
/** How many values a manifest, a config or the like may hold: several times what the largest real ones have. */
const VALUE_LIMIT = 200_000
/** The same for a list of all images of a layout or an archive: enough for 50,000 entries with two names each. */
export const LIST_VALUE_LIMIT = 500_000

/**
 * Parses UTF-8 JSON. Rejects a byte order mark, as Go programs do, and, before anything is built from it, a document
 * nested over 64 deep or with more than `values` values. Throws INVALID_MANIFEST with `where` in the message.
 */
export function parseJson(bytes: Uint8Array, where: string, values: number = VALUE_LIMIT): unknown {
  expectBounded(bytes, where, values)
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
  } catch (error) {
    throw new StowageError('INVALID_MANIFEST', `${where} is not JSON`, { cause: error })
  }
}

/**
 * One look over the bytes, which costs a fraction of parsing them: a few bytes of JSON become a hundred in memory, and
 * deep nesting takes the parser seconds. Whatever is not JSON is left to the parser.
 */
function expectBounded(bytes: Uint8Array, where: string, limit: number): void {
  let depth = 0
  let values = 1
  for (let n = 0; n < bytes.length; n += 1) {
    switch (bytes[n]) {
      case 0x22: // a string, to its closing quote
        for (n += 1; n < bytes.length && bytes[n] !== 0x22; n += 1) if (bytes[n] === 0x5c) n += 1
        break
      case 0x5b:
      case 0x7b:
        values += 1
        depth += 1
        if (depth > DEPTH_LIMIT) throw beyond(`is nested over ${DEPTH_LIMIT} deep at byte ${n}, which is the limit`)
        break
      case 0x5d:
      case 0x7d:
        depth -= 1
        break
      case 0x2c:
        values += 1
        break
      default:
    }
  }
  if (values > limit) throw beyond(`holds ${values} values; the limit is ${limit}`)

  function beyond(what: string): StowageError {
    return new StowageError('INVALID_MANIFEST', `${where} ${what}`, {
      hint: 'No such document is written by any tool that makes images: get it again from where it came from.',
    })
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function record(value: unknown, where: string): JsonObject {
  if (!isObject(value)) throw wrong(where, 'an object', value)
  return value
}

/**
 * Like {@link record}, for objects whose fields a spec defines. Go programs treat fields that differ only in case as
 * one field and use the last: with both, they could read a different image than we do, so such objects are rejected.
 */
export function fields(value: unknown, where: string): JsonObject {
  const object = record(value, where)
  const names = Object.keys(object)
  if (new Set(names.map(name => name.toLowerCase())).size === names.length) return object
  throw new StowageError('INVALID_MANIFEST', `${where} has fields whose names differ only in case`)
}

export function array(object: JsonObject, key: string, where: string): readonly unknown[] {
  const value = object[key]
  if (!Array.isArray(value)) throw wrong(`${where}.${key}`, 'an array', value)
  return value
}

/** Like {@link array}, but null and a missing field are an empty list: Go programs write either. */
export function optionalArray(object: JsonObject, key: string, where: string): readonly unknown[] {
  return object[key] === undefined || object[key] === null ? [] : array(object, key, where)
}

export function string(object: JsonObject, key: string, where: string): string {
  const value = object[key]
  if (typeof value !== 'string') throw wrong(`${where}.${key}`, 'a string', value)
  return value
}

export function optionalString(object: JsonObject, key: string, where: string): string | undefined {
  const value = object[key]
  return value === undefined || value === null ? undefined : string(object, key, where)
}

/** A size in bytes: an integer from 0 to 2^53 - 1. */
export function size(object: JsonObject, key: string, where: string): number {
  const value = object[key]
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw wrong(`${where}.${key}`, 'a size in bytes', value)
  }
  return value
}

export function stringMap(
  object: JsonObject,
  key: string,
  where: string,
): Readonly<Record<string, string>> | undefined {
  const value = object[key]
  if (value === undefined || value === null) return undefined
  const map = record(value, `${where}.${key}`)
  for (const name of Object.keys(map)) string(map, name, `${where}.${key}`)
  return map as Readonly<Record<string, string>> // every value was checked above
}

/** The parsed JSON, or undefined if `text` is not JSON. */
export function parseJsonText(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // the only thing JSON.parse throws is SyntaxError
  }
}

/** The non-empty string that the object `value` has under `key`, or undefined. */
export function textIn(value: unknown, key: string): string | undefined {
  const text = isObject(value) ? value[key] : undefined
  return typeof text === 'string' && text !== '' ? text : undefined
}

/** The finite number that the object `value` has under `key`, or undefined. */
export function numberIn(value: unknown, key: string): number | undefined {
  const number = isObject(value) ? value[key] : undefined
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined
}

/** The strings of a list; other items are left out. */
export function textsIn(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : []
}

/** Formats an untrusted value for a message; short, however long or deep the value is. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' && value !== null ? 'an object' : JSON.stringify(value).slice(0, 80)
}

/** The error if `where` is not as expected. */
export function wrong(where: string, expected: string, found: unknown): StowageError {
  return new StowageError('INVALID_MANIFEST', `${where}: expected ${expected} but found ${shown(found)}`)
}
