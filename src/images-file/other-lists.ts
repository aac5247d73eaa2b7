/** Lists of images that people have already: a reference a line, a compose file, Kubernetes manifests. */
import { StowageError } from '../errors.js'
import { formatReference, parseReference } from '../oci/reference.js'
import { parseLocation } from '../transport/location.js'
import { Faults, parseYamlStream, type Position, type Value } from './document.js'
import { type ImageEntry, type ImagesFile, isRepository, type ListKind } from './entries.js'

interface Found {
  readonly at: Position
  readonly text: string
  readonly platform?: string | undefined
}

/**
 * The images that `bytes` lists, each once; undefined for what is none of these kinds. `path` is for messages, and paths in a
 * list of references are from the working directory. Throws IMAGES_FILE_INVALID with a line for each fault.
 */
export function parseOtherList(bytes: Uint8Array, path: string): ImagesFile | undefined {
  const text = Buffer.from(bytes).toString('utf8')
  const faults = new Faults(path)
  const lines = referencesIn(text)
  if (lines) return listOf('references', path, lines, faults)
  if (!MARK.test(text)) return undefined
  const documents = parseYamlStream(bytes, faults)
  const has = (...keys: readonly string[]): boolean =>
    documents.some(document => keys.every(key => document.keys.includes(key)))
  const kind = has('apiVersion', 'kind') ? 'kubernetes' : has('services') ? 'compose' : undefined
  if (!kind) return undefined
  const values = documents.flatMap(document => document.read() ?? [])
  faults.throwIfAny()
  return listOf(kind, path, values.flatMap(kind === 'compose' ? servicesOf : imagesIn), faults)
}

/** Without this, a file is neither a compose file nor a manifest, and need not be parsed to know it. */
const MARK = /(?:^|[{,])\s*["']?(?:apiVersion|services)["']?\s*:/m

/** A reference or a location: what neither begins a YAML list nor is a key, and has none of YAML's brackets and quotes. */
const WORD = /^(?![-])(?![^ ]*:$)[!#-&(-Z\\^-z|~]+$/

/** The lines of `text` that are not empty or comments; undefined if one of them cannot be a reference. */
function referencesIn(text: string): readonly Found[] | undefined {
  const found = text.split(/\r?\n/).flatMap((line, n): readonly Found[] => {
    const content = line.replace(/(^|\s)#.*$/, '')
    const word = content.trim()
    return word === '' ? [] : [{ at: { line: n + 1, column: content.indexOf(word) + 1 }, text: word }]
  })
  return found.length > 0 && found.every(({ text: word }) => WORD.test(word)) ? found : undefined
}

function fieldOf(value: Value | undefined, key: string): Value | undefined {
  return value?.type === 'map' ? value.entries.find(entry => entry.key === key)?.value : undefined
}

/** A service without an image is built, and its image is not in a registry. */
function servicesOf(document: Value): readonly Found[] {
  const services = fieldOf(document, 'services')
  if (services?.type !== 'map') return []
  return services.entries.flatMap(({ value }) => {
    const image = fieldOf(value, 'image')
    const platform = fieldOf(value, 'platform')
    if (image?.type !== 'text') return []
    return [{ at: image.at, text: image.text, platform: platform?.type === 'text' ? platform.text : undefined }]
  })
}

/** Every `image: NAME`, and every `image: {reference: NAME}` of a volume, however deep. */
function imagesIn(value: Value): readonly Found[] {
  if (value.type === 'text') return []
  if (value.type === 'list') return value.items.flatMap(imagesIn)
  return value.entries.flatMap(({ key, value: inner }) => {
    const own = key === 'image' ? (fieldOf(inner, 'reference') ?? inner) : undefined
    return own?.type === 'text' ? [{ at: own.at, text: own.text }] : imagesIn(inner)
  })
}

function listOf(kind: ListKind, path: string, found: readonly Found[], faults: Faults): ImagesFile {
  const images = new Map<string, ImageEntry>()
  for (const { at, text, platform } of found) {
    const image = faults.check(at, () => readImage(kind, at, text, platform))
    const key = JSON.stringify(image?.request)
    if (image && !images.has(key)) images.set(key, image)
  }
  if (found.length === 0) faults.add({ line: 1, column: 1 }, `expected "image:" in this ${TITLES[kind]} but found none`)
  faults.throwIfAny()
  return { kind, path, insecure: [], tlsSkipVerify: [], images: [...images.values()], wims: [], files: [] }
}

const TITLES: Readonly<Record<ListKind, string>> = {
  'images.yaml': 'list',
  references: 'list of references',
  compose: 'compose file',
  kubernetes: 'Kubernetes manifest',
}

/** How messages call a list of this kind. */
export function listTitle(kind: ListKind): string {
  return TITLES[kind]
}

/** Throws INVALID_ARGUMENT or INVALID_REFERENCE for what is not an image. */
function readImage(kind: ListKind, at: Position, text: string, platform: string | undefined): ImageEntry {
  if (text.includes('$')) {
    const how = kind === 'compose' ? 'docker compose config' : 'envsubst'
    throw new StowageError('INVALID_ARGUMENT', `${text} contains a variable`, {
      hint: `Expand it first, for example with ${how}, and give the result to "stowage pack -f -".`,
    })
  }
  const location = parseLocation(kind === 'references' ? text : `docker://${text}`)
  const reference = isRepository(location) ? parseReference(location.path) : undefined
  const platforms = platform === undefined ? {} : { platforms: [platform] }
  return {
    at,
    request: { image: reference ? formatReference(reference) : text, ...platforms },
    location,
    names: [],
    referrers: false,
    ...platforms,
  }
}
