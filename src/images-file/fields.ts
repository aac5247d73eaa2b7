/** Typed access to the fields of a map. A field of the wrong type becomes a fault at its position. */
import { type Faults, type Position, shownValue, type Value } from './document.js'
import { nearestWord } from '../nearest-word.js'

/** A text with its position. */
export interface PlacedText {
  readonly text: string
  readonly at: Position
}

export class Fields {
  readonly at: Position
  readonly faults: Faults
  readonly #values: ReadonlyMap<string, Value>

  private constructor(at: Position, values: ReadonlyMap<string, Value>, faults: Faults) {
    this.at = at
    this.#values = values
    this.faults = faults
  }

  /**
   * The fields of the map `value`; other keys than `known` become faults. If `short` is given, a text stands for a map
   * with that field. Any other value is undefined and becomes a fault that says what was `expected`.
   */
  static of(
    value: Value,
    faults: Faults,
    expected: string,
    known: readonly string[],
    short?: string,
  ): Fields | undefined {
    if (value.type === 'text' && short !== undefined) return new Fields(value.at, new Map([[short, value]]), faults)
    if (value.type !== 'map') {
      faults.add(value.at, `expected ${expected} but found ${shownValue(value)}`)
      return undefined
    }
    for (const { key, at } of value.entries) {
      if (known.includes(key)) continue
      const near = nearestWord(key, known)
      faults.add(
        at,
        `unknown key ${JSON.stringify(key.slice(0, 60))}: ${near === undefined ? `expected ${known.join(', ')}` : `did you mean "${near}"?`}`,
      )
    }
    return new Fields(value.at, new Map(value.entries.map(entry => [entry.key, entry.value])), faults)
  }

  get(key: string): Value | undefined {
    return this.#values.get(key)
  }

  required(key: string): Value | undefined {
    const value = this.get(key)
    if (!value) this.faults.add(this.at, `"${key}" is required`)
    return value
  }

  text(
    key: string,
    expected: string,
    { required = false }: { readonly required?: boolean } = {},
  ): PlacedText | undefined {
    const value = required ? this.required(key) : this.get(key)
    const text = value && textOf(value, this.faults, expected)
    return value && text !== undefined ? { text, at: value.at } : undefined
  }

  /** The field if it is one of `words`. Undefined if it is missing or, with a fault, if it is something else. */
  choice(key: string, words: readonly string[]): string | undefined {
    const value = this.get(key)
    if (!value) return undefined
    const found = value.type === 'text' ? value.text : ''
    if (words.includes(found)) return found
    this.faults.add(value.at, `${key}: expected ${words.join(', ')} but found ${shownValue(value)}`)
    return undefined
  }

  flag(key: string): boolean | undefined {
    const word = this.choice(key, ['true', 'false'])
    return word === undefined ? undefined : word === 'true'
  }

  /** The items of a list; none if the field is missing. An empty list is a fault. */
  list(key: string, expected = 'a list'): readonly Value[] {
    const value = this.get(key)
    if (!value) return []
    if (value.type === 'list' && value.items.length > 0) return value.items
    this.faults.add(value.at, `${key}: expected ${expected} but found ${shownValue(value)}`)
    return []
  }

  map(key: string, known: readonly string[]): Fields | undefined {
    const value = this.get(key)
    return value && Fields.of(value, this.faults, 'a map', known)
  }
}

/**
 * The text of a value. Anything else is a fault, and so is an empty text, or `true`, `false` or `null` without quotes.
 */
export function textOf(value: Value, faults: Faults, expected: string): string | undefined {
  if (value.type === 'text' && value.text !== '' && !(value.plain && /^(true|false|null|~)$/i.test(value.text)))
    return value.text
  faults.add(value.at, `expected ${expected} but found ${shownValue(value)}`)
  return undefined
}
