/**
 * Parses the XML of WIMs, which is short and plain: elements, attributes, text, the predefined entities. There is no
 * DTD. A library takes longer to load than all else that `stowage wim info` does. Source: XML 1.0, 5th edition.
 */

export interface XmlElement {
  readonly name: string
  readonly attributes: ReadonlyMap<string, string>
  /** The text before its first child. */
  readonly text: string
  readonly children: readonly XmlElement[]
}

/** What {@link parseXml} throws: `message` says what is wrong, and where. */
export class XmlError extends Error {}

interface Open {
  readonly name: string
  readonly attributes: ReadonlyMap<string, string>
  text: string
  readonly children: Open[]
}

/** A comment or processing instruction; CDATA; an end tag; a start tag with its attributes and `/`; text. */
const TOKEN =
  /<!--[^]*?-->|<\?[^]*?\?>|<!\[CDATA\[([^]*?)\]\]>|<\/([^\s<>/]+)\s*>|<([^\s<>/!?'"=]+)((?:\s+[^\s=<>'"/]+\s*=\s*(?:"[^"<]*"|'[^'<]*')){0,64})\s*(\/?)>|([^<]+)/y
const ATTRIBUTE = /([^\s=]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g
const REFERENCE = /&(?:#(\d{1,7})|#x([\da-f]{1,6})|([a-z]+));|&/gi
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
const NO_CHARACTER = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/u

/** The root element. Throws XmlError: the text is not well-formed, or has more than `most` elements. */
export function parseXml(xml: string, most: number): XmlElement {
  let at = 0
  let left = most
  const fail = (what: string): never => {
    throw new XmlError(`${what} at character ${at}`)
  }
  const decode = (text: string): string =>
    text.replace(REFERENCE, (reference: string, decimal?: string, hex?: string, name?: string) => {
      const code = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number(decimal)
      if (code > 0 && code <= 0x10ffff) return String.fromCodePoint(code)
      return (name === undefined ? undefined : ENTITIES[name]) ?? fail(`${reference} is not known`)
    })
  const document: Open = { name: '', attributes: new Map(), text: '', children: [] }
  const path = [document]
  while (at < xml.length) {
    TOKEN.lastIndex = at
    const [token, data, end, start, attributes = '', empty, text] = TOKEN.exec(xml) ?? fail('there is no markup')
    const element = path.at(-1) ?? document
    const content = data ?? (text === undefined ? undefined : decode(text))
    if (content !== undefined) {
      if (NO_CHARACTER.test(content)) fail('there is a character that XML does not allow')
      if (element === document && /[^\s]/.test(content)) fail('there is text outside the root element')
      if (element.children.length === 0) element.text += content
    } else if (end !== undefined) {
      if (element === document || element.name !== end) fail(`</${end}> ends no element`)
      path.pop()
    } else if (start !== undefined) {
      if (left-- === 0) fail(`there are more than ${most} elements`)
      if (element === document && document.children.length > 0) fail('there is a second root element')
      const list = [...attributes.matchAll(ATTRIBUTE)].map(([, name = '', one, two]) => [
        name,
        decode(one ?? two ?? ''),
      ])
      const child: Open = { name: start, attributes: new Map(list as [string, string][]), text: '', children: [] }
      element.children.push(child)
      if (empty === '') path.push(child)
    }
    at += token.length
  }
  if (path.length > 1) fail(`<${path.at(-1)?.name}> has no end`)
  return document.children[0] ?? fail('there is no element')
}
