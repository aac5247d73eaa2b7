/** Reads the XML data of a WIM. Source: Microsoft's WIM white paper, "XML data". */
import { SaxesParser } from 'saxes'
import { StowageError } from '../errors.js'

/** Elements that are read; 10,000 images with all their properties have a million. */
const MOST_ELEMENTS = 2 ** 20

interface Element {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  /** The text before its first child. */
  text: string
  readonly children: Element[]
}

/** The XML data of a WIM, parsed. */
export class WimXml {
  readonly #images: readonly Element[]

  /**
   * `xml` is UTF-16LE, with or without a byte order mark, and has one IMAGE element for each of `imageCount` images.
   * Throws WIM_CORRUPT; `name` is that of the WIM.
   */
  constructor(xml: Buffer, imageCount: number, name: string) {
    const root = parse(decodeXml(xml), name)
    const images: Element[] = []
    for (const image of root.children) {
      if (image.name !== 'IMAGE') continue
      const index = Number(image.attributes['INDEX'])
      if (!Number.isInteger(index) || index < 1 || index > imageCount || images[index - 1]) throw miscounted(name)
      images[index - 1] = image
    }
    if (root.name !== 'WIM' || Object.keys(images).length !== imageCount) throw miscounted(name)
    this.#images = images
  }

  /**
   * The text of the first element of an image at `path`: `NAME`, `WINDOWS/VERSION/BUILD`; or of the nth,
   * `WINDOWS/LANGUAGES/LANGUAGE[2]`. Undefined without such an element, or without text in it.
   */
  property(image: number, path: string): string | undefined {
    let element = this.#images[image - 1]
    for (const step of path.split('/')) {
      const [, name, index = '1'] = /^([^[\]]+)(?:\[(\d+)\])?$/.exec(step) ?? []
      element = element?.children.filter(child => child.name === name)[Number(index) - 1]
    }
    return element?.text || undefined
  }
}

/** The text of XML data, without its byte order mark. */
export function decodeXml(xml: Buffer): string {
  return xml.toString('utf16le').replace(/^\ufeff/, '')
}

function parse(text: string, name: string): Element {
  const parser = new SaxesParser()
  const document: Element = { name: '', attributes: {}, text: '', children: [] }
  const open = [document]
  let count = 0
  parser.on('error', error => {
    throw corrupt(name, `is not well-formed: ${error.message}`)
  })
  parser.on('opentag', ({ name: tag, attributes }) => {
    if ((count += 1) > MOST_ELEMENTS) throw corrupt(name, `has more than ${MOST_ELEMENTS} elements`)
    const element: Element = { name: tag, attributes, text: '', children: [] }
    open.at(-1)?.children.push(element)
    open.push(element)
  })
  const addText = (piece: string): void => {
    const element = open.at(-1)
    if (element?.children.length === 0) element.text += piece
  }
  parser.on('text', addText)
  parser.on('cdata', addText)
  parser.on('closetag', () => void open.pop())
  parser.write(text).close()
  return document.children[0] ?? document
}

function miscounted(name: string): StowageError {
  return corrupt(name, 'does not have one IMAGE element for each of its images')
}

function corrupt(name: string, what: string): StowageError {
  return new StowageError('WIM_CORRUPT', `${name}: its XML data ${what}`, {
    hint: 'The file is damaged or truncated: compare its checksum with that of the original, and copy it again.',
  })
}
