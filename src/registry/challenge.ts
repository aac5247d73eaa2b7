/** Parses authentication challenges. Source: RFC 9110, section 11.6.1 (WWW-Authenticate). */

export interface Challenge {
  /** In lower case: `bearer`, `basic`. */
  readonly scheme: string
  /** Names in lower case. */
  readonly parameters: Readonly<Record<string, string>>
}

const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y
const QUOTED = /"((?:[^"\\]|\\.)*)"/y
const GAP = /[ \t]*/y

/** All challenges in one or several header lines. Anything else in them is skipped. */
export function parseChallenges(header: string | readonly string[] | undefined): readonly Challenge[] {
  const lines = header === undefined ? [] : typeof header === 'string' ? [header] : header
  return lines.flatMap(parseLine)
}

function parseLine(line: string): Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = []
  let at = 0
  function take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = at
    const match = pattern.exec(line)
    if (!match) return undefined
    at = pattern.lastIndex
    return match
  }
  while (at < line.length) {
    take(GAP)
    const word = take(TOKEN)?.[0]
    if (word === undefined) {
      at += 1 // a comma or an invalid character
      continue
    }
    take(GAP)
    const current = challenges.at(-1)
    if (line[at] !== '=' || !current) {
      challenges.push({ scheme: word.toLowerCase(), parameters: {} })
      continue
    }
    at += 1
    take(GAP)
    const value = take(QUOTED)?.[1]?.replace(/\\(.)/g, '$1') ?? take(TOKEN)?.[0]
    if (value !== undefined) current.parameters[word.toLowerCase()] = value
  }
  return challenges
}
