/** Checks security descriptors in words (SDDL). Source: MS-DTYP 2.5.1.1. */

const SID = /^(?:[A-Z]{2}|S-1-(?:\d+|0x[\dA-F]+)(?:-(?:\d+|0x[\dA-F]+))+)$/i
const FLAGS = /^(?:P|AI|AR|NO_ACCESS_CONTROL)*$/i
const ENTRY_TYPE = /^(?:A|D|AU|AL|OA|OD|OU|OL|ML|XA|XD|XU|ZA|RA|SP|TL|FL)$/i
const ENTRY_FLAGS = /^(?:CI|OI|NP|IO|ID|SA|FA|TP|CR)*$/i
const RIGHTS = /^(?:\d+|0x[\dA-F]+|(?:G[ARWX]|RC|SD|WD|WO|RP|WP|CC|DC|LC|SW|LO|DT|CR|F[ARWX]|K[ARWX]|N[RWX])*)$/i
const GUID = /^(?:[\dA-F]{8}(?:-[\dA-F]{4}){3}-[\dA-F]{12})?$/i

/** Describes why `text` is not a security descriptor in SDDL; undefined if it is one. Conditions are not read. */
export function sddlFlaw(text: string): string | undefined {
  const seen = new Set<string>()
  const part = /\s*([OGDS]):/iy
  for (let at = 0; at < text.trimEnd().length;) {
    part.lastIndex = at
    const name = part.exec(text)?.[1]?.toUpperCase()
    if (name === undefined) return `expected O:, G:, D: or S: at character ${at + 1}`
    if (seen.has(name)) return `it has ${name}: twice`
    seen.add(name)
    const start = part.lastIndex
    at = start + endOfPart(text.slice(start))
    const value = text.slice(start, at).trim()
    const flaw = name === 'O' || name === 'G' ? sidFlaw(value) : aclFlaw(value)
    if (flaw !== undefined) return `${name}: ${flaw}`
  }
  return undefined
}

/** Where the next part begins: it is not in parentheses. */
function endOfPart(text: string): number {
  let depth = 0
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at]
    if (character === '(') depth += 1
    else if (character === ')') depth -= 1
    else if (depth <= 0 && /^[OGDS]:/i.test(text.slice(at, at + 2))) return at
  }
  return text.length
}

function sidFlaw(text: string): string | undefined {
  return SID.test(text) ? undefined : `${JSON.stringify(text)} is not a SID`
}

function aclFlaw(text: string): string | undefined {
  const first = text.indexOf('(')
  const flags = (first < 0 ? text : text.slice(0, first)).trim()
  if (!FLAGS.test(flags)) return `${JSON.stringify(flags)} are no flags`
  let entry = first < 0 ? '' : text.slice(first)
  for (let number = 1; entry !== ''; number += 1) {
    const end = endOfEntry(entry)
    if (!entry.startsWith('(') || end < 0) return `entry ${number} is not in parentheses`
    if (!isEntry(entry.slice(1, end))) return `entry ${number} is ${JSON.stringify(entry.slice(0, end + 1))}`
    entry = entry.slice(end + 1).trimStart()
  }
  return undefined
}

function endOfEntry(text: string): number {
  let depth = 0
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '(') depth += 1
    if (text[at] === ')') depth -= 1
    if (depth === 0) return at
  }
  return -1
}

function isEntry(text: string): boolean {
  const [type = '', flags = '', rights = '', object = '', inherited = '', sid = '', ...rest] = text
    .split(';')
    .map(field => field.trim())
  const plain = /^(?:A|D|AU|AL|OA|OD|OU|OL|ML|SP|TL|FL)$/i.test(type)
  return (
    ENTRY_TYPE.test(type) &&
    ENTRY_FLAGS.test(flags) &&
    RIGHTS.test(rights) &&
    GUID.test(object) &&
    GUID.test(inherited) &&
    SID.test(sid) &&
    (plain ? rest.length === 0 : rest.length > 0)
  )
}
