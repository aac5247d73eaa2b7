/** Reads the XML data of a WIM. Source: Microsoft's WIM white paper, "XML data". */
import { StowageError } from '../errors.js'
import { parseXml, type XmlElement, XmlError } from './xml.js'

/** Elements that are read; 10,000 images with all their properties have a million. */
const MOST_ELEMENTS = 2 ** 20

/** The XML data of a WIM, parsed. */
export class WimXml {
  readonly #images: readonly XmlElement[]

  /**
   * `xml` is UTF-16LE, with or without a byte order mark, and has one IMAGE element for each of `imageCount` images.
   * Throws WIM_CORRUPT; `name` is that of the WIM.
   */
  constructor(xml: Buffer, imageCount: number, name: string) {
    const root = parse(decodeXml(xml), name)
    const images: XmlElement[] = []
    for (const image of root.children) {
      if (image.name !== 'IMAGE') continue
      const index = Number(image.attributes.get('INDEX'))
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

function parse(text: string, name: string): XmlElement {
  try {
    return parseXml(text, MOST_ELEMENTS)
  } catch (error) {
    throw error instanceof XmlError ? corrupt(name, `cannot be read: ${error.message}`) : error
  }
}

function miscounted(name: string): StowageError {
  return corrupt(name, 'does not have one IMAGE element for each of its images')
}

function corrupt(name: string, what: string): StowageError {
  return new StowageError('WIM_CORRUPT', `${name}: its XML data ${what}`, {
    hint: 'The file is damaged or truncated: compare its checksum with that of the original, and copy it again.',
  })
}
