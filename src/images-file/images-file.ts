/** Reads `images.yaml`, which lists the images, WIMs and files for a bundle. Its format: docs/images-yaml.md. */
import { statSync } from 'node:fs'
import { basename, dirname, isAbsolute, join } from 'node:path'
import { readLimited } from '../blob/limited-file.js'
import { isBundlePath } from '../bundle/manifest.js'
import { StowageError } from '../errors.js'
import { checkedCompression, COMPRESSION_FORMS, parseLayerCompression } from '../layer/compression.js'
import { parsePlatformSelector } from '../oci/platform.js'
import { formatReference, isRegistry, parseReference } from '../oci/reference.js'
import { tagChoice } from '../registry/tags.js'
import { formatLocation, parseLocation, transportOf } from '../transport/location.js'
import type { Location } from '../transport/transport.js'
import { Faults, FILE_LIMIT, LIST_LIMIT, parseYaml, type Value } from './document.js'
import {
  type FileEntry,
  type ImageEntry,
  type ImagesFile,
  isRepository,
  type NameEntry,
  type WimEntry,
} from './entries.js'
import { Fields, textOf } from './fields.js'
import { parseOtherList } from './other-lists.js'

/**
 * Reads and checks the list `path`, or standard input for `-`: images.yaml, or one of {@link parseOtherList}. Throws
 * FILE_NOT_FOUND and the like, and IMAGES_FILE_INVALID with a line for each fault.
 */
export async function readImagesFile(path: string): Promise<ImagesFile> {
  const bytes = path === '-' ? await readInput() : await readLimited(path, LIST_LIMIT)
  const name = path === '-' ? 'standard input' : path
  if (!bytes || bytes.length > LIST_LIMIT) {
    throw new StowageError('IMAGES_FILE_INVALID', `${name}:1:1: the file is larger than ${LIST_LIMIT} bytes`)
  }
  return parseOtherList(bytes, name) ?? parseImagesFile(bytes, name)
}

const IMAGE_KEYS = ['image', 'tags', 'platforms', 'name', 'names', 'referrers']
const WIM_KEYS = [
  'file',
  'image',
  'name',
  'names',
  'carry',
  'compression',
  'order',
  'lossless',
  'skipUnsupported',
  'references',
]

/** Parses the bytes of the file `path`. Throws IMAGES_FILE_INVALID. */
export function parseImagesFile(bytes: Uint8Array, path: string): ImagesFile {
  const faults = new Faults(path)
  if (bytes.length > FILE_LIMIT) faults.add({ line: 1, column: 1 }, `the file is larger than ${FILE_LIMIT} bytes`)
  faults.throwIfAny()
  const root = parseYaml(bytes, faults)
  faults.throwIfAny()
  const top =
    root &&
    Fields.of(root, faults, 'a map with "version" and "images"', ['version', 'defaults', 'images', 'wims', 'files'])
  if (!top) {
    faults.throwIfAny()
    throw new TypeError('a file without fields has a fault')
  }
  const version = top.required('version')
  if (version && textOf(version, faults, '1') !== '1' && version.type === 'text') {
    faults.add(version.at, `expected version 1 but found ${version.text}; a later version of Stowage may read it`)
  }
  const defaults = top.map('defaults', ['platforms', 'insecure', 'tlsSkipVerify', 'referrers'])
  const shared = {
    platforms: defaults?.get('platforms') ? platformsOf(defaults) : undefined,
    referrers: defaults?.flag('referrers') ?? false,
  }
  const from = dirname(path)
  const insecure = defaults?.list('insecure').flatMap(value => registryOf(value, faults) ?? []) ?? []
  const tlsSkipVerify = defaults?.list('tlsSkipVerify').flatMap(value => registryOf(value, faults) ?? []) ?? []
  const images = top.list('images').flatMap(value => {
    const fields = Fields.of(value, faults, 'an image, or a map with "image"', IMAGE_KEYS, 'image')
    return readImage(fields, shared, from, faults)
  })
  const wims = top.list('wims').flatMap(value => {
    const fields = Fields.of(value, faults, 'the path of a WIM, or a map with "file"', WIM_KEYS, 'file')
    return readWim(fields, from, faults)
  })
  const files = top.list('files').flatMap(value => {
    const fields = Fields.of(value, faults, 'the path of a file, or a map with "from"', ['from', 'to'], 'from')
    return readFile(fields, from, faults)
  })
  if (!['images', 'wims', 'files'].some(key => top.get(key)))
    faults.add(top.at, 'expected "images", "wims" or "files" but found none of them')
  faults.throwIfAny()
  return { kind: 'images.yaml', path, insecure, tlsSkipVerify, images, wims, files }
}

interface Shared {
  readonly platforms: readonly string[] | undefined
  readonly referrers: boolean
}

function readImage(fields: Fields | undefined, shared: Shared, from: string, faults: Faults): readonly ImageEntry[] {
  const text = fields?.text('image', 'an image: a name, or a place such as oci:DIR', { required: true })
  if (!fields || !text) return []
  const location = faults.check(text.at, () => {
    const found = parseLocation(text.text)
    if (isRepository(found)) parseReference(found.path)
    if (found.path === text.text) expectNoFile(text.text, from)
    return found
  })
  const tags = readTags(fields, faults)
  const names = readNames(fields, faults)
  const platforms = fields.get('platforms') ? platformsOf(fields) : shared.platforms
  const referrers = fields.flag('referrers') ?? shared.referrers
  if (!location) return []
  if (transportOf(location).source?.layerOptions)
    faults.add(text.at, 'a WIM has different options: list it under "wims"')
  const reference = isRepository(location) ? parseReference(location.path) : undefined
  if (tags && !reference)
    faults.add(
      fields.get('tags')?.at ?? text.at,
      `"tags" requires a repository in a registry, but ${text.text} is not one`,
    )
  if (tags && (reference?.tag !== undefined || reference?.digest !== undefined))
    faults.add(text.at, `"tags" requires a repository, but ${text.text} is one image`)
  const distinct = Array.isArray(tags) && tags.length === 1
  if (tags && !distinct) {
    for (const { at, name } of names)
      if (name.tag !== undefined)
        faults.add(
          at,
          `${formatReference(name)} is a single name, but "tags" may select several images: omit its tag, and each image keeps its own`,
        )
  }
  const request = {
    image: reference ? formatReference(reference) : text.text,
    ...(tags ? { tags: 'rule' in tags ? tags.rule : tags.map(({ tag }: { readonly tag: string }) => tag) } : {}),
    ...(platforms ? { platforms } : {}),
    ...(names.length > 0 ? { names: names.map(({ name }) => formatReference(name)) } : {}),
    ...(referrers ? { referrers } : {}),
  }
  return [
    {
      at: text.at,
      request,
      location: resolveLocation(from, location),
      names,
      referrers,
      ...(tags ? { tags } : {}),
      ...(platforms ? { platforms } : {}),
    },
  ]
}

function readTags(fields: Fields, faults: Faults): ImageEntry['tags'] {
  const value = fields.get('tags')
  if (!value) return undefined
  if (value.type === 'map') {
    const rule = Fields.of(value, faults, 'a rule', ['semver', 'match', 'newest'])
    const [semver, match] = [rule?.text('semver', 'a range of versions'), rule?.text('match', 'a regular expression')]
    const newest = rule?.text('newest', 'a number from 1, or "all"')
    if (newest && newest.text !== 'all' && !/^[1-9]\d{0,8}$/.test(newest.text))
      faults.add(newest.at, `expected a number from 1, or "all", but found ${newest.text}`)
    if (semver) faults.check(semver.at, () => tagChoice({ semver: semver.text }))
    if (match) faults.check(match.at, () => tagChoice({ match: match.text }))
    if (!semver && !match && !newest)
      faults.add(value.at, 'expected "semver", "match" or "newest" but found none of them')
    return {
      at: value.at,
      rule: {
        ...(semver ? { semver: semver.text } : {}),
        ...(match ? { match: match.text } : {}),
        ...(newest && newest.text !== 'all' ? { newest: Number(newest.text) } : {}),
      },
    }
  }
  const seen = new Set<string>()
  return fields.list('tags', 'a list of tags, or a map with "semver" or "match"').flatMap(item => {
    const tag = textOf(item, faults, 'a tag')
    if (tag === undefined) return []
    if (!faults.check(item.at, () => parseReference(`x:${tag}`))) return []
    if (seen.has(tag)) faults.add(item.at, `the tag ${tag} is listed twice`)
    seen.add(tag)
    return [{ tag, at: item.at }]
  })
}

function readNames(fields: Fields, faults: Faults): readonly NameEntry[] {
  const [one, many] = [fields.get('name'), fields.get('names')]
  if (one && many) faults.add(one.at, '"name" and "names" cannot be used together: write one list')
  return [...(one ? [one] : []), ...fields.list('names')].flatMap(value => {
    const text = textOf(value, faults, 'a name, NAME[:TAG]')
    const name = text === undefined ? undefined : faults.check(value.at, () => parseReference(text))
    if (name?.digest !== undefined) faults.add(value.at, `${text} has a digest, which cannot be part of a new name`)
    return name ? [{ at: value.at, name }] : []
  })
}

function registryOf(value: Value, faults: Faults): string | undefined {
  const text = textOf(value, faults, 'a registry, HOST[:PORT]')
  if (text === undefined || isRegistry(text)) return text
  faults.add(value.at, `expected a registry, HOST[:PORT], but found ${text}`)
  return undefined
}

/** The platforms in a field; empty for `all`. */
function platformsOf(fields: Fields): readonly string[] {
  const value = fields.get('platforms')
  if (value?.type === 'text' && value.text === 'all') return []
  return fields.list('platforms', 'a list of platforms, or "all"').flatMap(item => {
    const text = textOf(item, fields.faults, 'a platform, such as linux/amd64')
    return text !== undefined && fields.faults.check(item.at, () => parsePlatformSelector(text)) ? [text] : []
  })
}

function readWim(fields: Fields | undefined, from: string, faults: Faults): readonly WimEntry[] {
  const file = fields?.text('file', 'the path of a WIM', { required: true })
  if (!fields || !file) return []
  const image = fields.text('image', 'the number or the name of an image in the WIM')?.text
  const names = readNames(fields, faults)
  const carry = fields.choice('carry', ['true', 'false', 'only'])
  const given = fields.text('compression', COMPRESSION_FORMS)
  const compression =
    given &&
    faults.check(given.at, () => {
      const parsed = parseLayerCompression(given.text)
      checkedCompression(parsed)
      return parsed
    })
  const order = fields.choice('order', ['blob', 'tree'])
  const [lossless, skipUnsupported] = [fields.flag('lossless'), fields.flag('skipUnsupported')]
  const references = fields.list('references').flatMap(value => textOf(value, faults, 'the path of a WIM') ?? [])
  if (carry === 'only' && names.length > 0)
    faults.add(
      names[0]?.at ?? file.at,
      'a WIM that is packed only as a file does not become an image, so it cannot have a name',
    )
  const layer: WimEntry['layer'] = {
    ...(compression ? { compression } : {}),
    ...(order === 'blob' || order === 'tree' ? { order } : {}),
    ...(lossless === undefined ? {} : { lossless }),
    ...(skipUnsupported === undefined ? {} : { skipUnsupported }),
  }
  const request = {
    file: file.text,
    ...(image === undefined ? {} : { image }),
    ...layer,
    ...(names.length > 0 ? { names: names.map(({ name }) => formatReference(name)) } : {}),
    ...(references.length > 0 ? { references } : {}),
    ...(carry === undefined || carry === 'false' ? {} : { carry: carry === 'only' ? carry : true }),
  }
  return [
    {
      at: file.at,
      request,
      file: resolvePath(from, file.text),
      names,
      carry: carry === 'only' ? carry : carry === 'true',
      ...(image === undefined ? {} : { image }),
      layer: {
        ...layer,
        ...(references.length > 0 ? { references: references.map(path => resolvePath(from, path)) } : {}),
      },
    },
  ]
}

function readFile(fields: Fields | undefined, from: string, faults: Faults): readonly FileEntry[] {
  const source = fields?.text('from', 'the path of a file or a directory', { required: true })
  if (!fields || !source) return []
  const given = fields.text('to', 'a path below files/ in the bundle')
  const to = given?.text ?? basename(source.text)
  if (!isBundlePath(to))
    faults.add((given ?? source).at, `expected a relative path with "/" and without ".." but found ${to}`)
  return [{ at: source.at, request: { from: source.text, to }, from: resolvePath(from, source.text), to }]
}

/** Throws INVALID_ARGUMENT if a bare name, which is that of an image in a registry, is that of a file as well. */
function expectNoFile(name: string, from: string): void {
  if (!statSync(resolvePath(from, name), { throwIfNoEntry: false })?.isFile()) return
  throw new StowageError('INVALID_ARGUMENT', `${name} is a file here, but would be an image in a registry`, {
    hint: `Write what it is, such as docker-archive:${name}, or docker://${name} for the image`,
  })
}

/** Paths in the file are relative to its directory `from`. */
function resolvePath(from: string, path: string): string {
  return isAbsolute(path) ? path : join(from, path)
}

function resolveLocation(from: string, location: Location): Location {
  if (!transportOf(location).onDisk) return location
  return parseLocation(formatLocation({ ...location, path: resolvePath(from, location.path) }))
}

async function readInput(): Promise<Uint8Array> {
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of process.stdin as AsyncIterable<Buffer>) {
    pieces.push(piece)
    size += piece.length
    if (size > LIST_LIMIT) break
  }
  return Buffer.concat(pieces)
}
