/** Reads what a source offers: an index on the web, a folder of WIM files, a bundle, or a repository of a registry. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type BundleManifest } from '../bundle/manifest.js'
import { openBundleReader } from '../bundle/reader.js'
import { fileError, StowageError, systemCode } from '../errors.js'
import { isObject } from '../oci/json.js'
import { chooseImage } from '../layer/make/from-wim.js'
import { parseReference } from '../oci/reference.js'
import type { WaitOptions } from '../progress.js'
import { Registries } from '../registry/registries.js'
import type { HttpOptions } from '../http/connection.js'
import { shownAddress, Web } from '../http/web.js'
import type { EndpointOptions } from '../registry/endpoint.js'
import { openWim } from '../wim/wim-file.js'
import type { CatalogEntry } from './catalog.js'
import type { CatalogSource } from './sources.js'
import { isVersion, parseVersion } from './version.js'

export interface ReadCatalogOptions extends WaitOptions, HttpOptions, EndpointOptions {
  /** Told of what a source has that cannot be used: a sentence each. */
  readonly onWarning?: ((warning: string) => void) | undefined
}

/** Largest index that is read, in bytes. */
const INDEX_LIMIT = 16 * 1024 * 1024
/** Folders below a source's folder that are looked into, as in 2016. */
const DEPTH = 1

/**
 * All that `source` offers, in no promised order. Throws what reading the place throws: REGISTRY_UNREACHABLE, FILE_NOT_FOUND,
 * INVALID_MANIFEST for an index that is none, NOT_A_BUNDLE. One entry that is wrong is a warning, not an error: the others can be used.
 */
export async function readCatalog(
  source: CatalogSource,
  options: ReadCatalogOptions = {},
): Promise<readonly CatalogEntry[]> {
  const { location } = source
  if (/^https?:\/\//i.test(location)) return await readIndex(source, options)
  if (location.startsWith('docker://')) return await readRepository(source, options)
  if (location.startsWith('bundle:')) return await readBundle(source, options)
  return await readFolder(source, options)
}

/** The JSON array of 2016, `[{Name, Version, Description, SasToken}]`, also as an object with it in it, with our `Sha256` and `Size`. */
async function readIndex(source: CatalogSource, options: ReadCatalogOptions): Promise<readonly CatalogEntry[]> {
  await using web = new Web(options)
  const { bytes, url } = await web.read(source.location, INDEX_LIMIT, options) // relative addresses are to where it was found
  const where = shownAddress(source.location)
  const items = indexItems(bytes, where)
  return items.flatMap((item, n) => {
    const entry = indexEntry(item, source, url)
    if (typeof entry === 'string') options.onWarning?.(`${where}[${n}]: ${entry}`)
    return typeof entry === 'string' ? [] : [entry]
  })
}

function indexItems(bytes: Buffer, where: string): readonly unknown[] {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8').replace(/^\uFEFF/, ''))
  } catch (error) {
    throw new StowageError('INVALID_MANIFEST', `${where} is not an index of base OS images: it is not JSON`, {
      hint: 'Open the address in a browser; an index is a JSON array of Name, Version, Description and SasToken.',
      cause: error,
    })
  }
  if (Array.isArray(value)) return value as unknown[]
  // One parser of 2016 put the array into an object, and made an object of an array of one
  const inner = isObject(value)
    ? (value['array0'] ?? value['images'] ?? ('Name' in value ? [value] : undefined))
    : undefined
  if (Array.isArray(inner)) return inner as unknown[]
  throw new StowageError('INVALID_MANIFEST', `${where}: expected a JSON array of base OS images`)
}

/** The entry, or what is wrong with it. */
function indexEntry(item: unknown, source: CatalogSource, base: string): CatalogEntry | string {
  if (!isObject(item)) return 'no object'
  const fields = new Map(Object.entries(item).map(([key, value]) => [key.toLowerCase(), value]))
  const text = (key: string): string => (typeof fields.get(key) === 'string' ? String(fields.get(key)) : '')
  const [name, version, address, sha256] = [
    text('name'),
    text('version'),
    text('sastoken') || text('url'),
    text('sha256').toLowerCase(),
  ]
  const size = fields.get('size')
  if (!isImageName(name)) return `${JSON.stringify(name)} is not an image name`
  if (!isVersion(version)) return `${JSON.stringify(version)} is not a version`
  if (address === '') return `${name} ${version} has no address (SasToken)`
  if (!URL.canParse(address, base))
    return `${name} ${version} has ${JSON.stringify(shownAddress(address).slice(0, 100))}, which is not an address`
  const url = new URL(address, base)
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    return `${name} ${version} is at a ${url.protocol} address; only http and https are supported`
  if (sha256 !== '' && !/^[0-9a-f]{64}$/.test(sha256)) return `${name} ${version} has an invalid Sha256`
  return {
    name,
    version: parseVersion(version),
    summary: text('description'),
    source: source.name,
    architecture: text('architecture') || undefined,
    content: {
      type: 'web',
      url: url.href,
      sha256: sha256 || undefined,
      size: typeof size === 'number' && Number.isSafeInteger(size) && size >= 0 ? size : undefined,
    },
  }
}

/** WIM files of a folder and of those in it. Name, version and architecture are those of the WIM's XML, or the file's name. */
async function readFolder(source: CatalogSource, options: ReadCatalogOptions): Promise<readonly CatalogEntry[]> {
  const entries: CatalogEntry[] = []
  for (const path of await wimsBelow(resolve(source.location), DEPTH)) {
    options.signal?.throwIfAborted()
    try {
      entries.push(await wimEntry(path, source))
    } catch (error) {
      if (!(error instanceof StowageError) || error.code === 'ABORTED') throw error
      options.onWarning?.(`${path}: ${error.message}`)
    }
  }
  return entries
}

async function wimsBelow(folder: string, depth: number): Promise<readonly string[]> {
  const found = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    throw fileError(error, folder)
  })
  const paths: string[] = []
  for (const entry of found.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name)
    if (entry.isDirectory() && depth > 0) paths.push(...(await wimsBelow(path, depth - 1)))
    else if (/\.wim$/i.test(entry.name) && !entry.isDirectory()) paths.push(path)
  }
  return paths
}

async function wimEntry(path: string, source: CatalogSource): Promise<CatalogEntry> {
  const { size } = await stat(path)
  await using wim = await openWim(path)
  const image = chooseImage(wim)
  const version = image.windows?.version
  if (version === undefined || !isVersion(version))
    throw new StowageError('UNSUPPORTED', 'its XML does not state a Windows version')
  return {
    name: image.name || path.replace(/^.*[\\/]/, '').replace(/\.wim$/i, ''),
    version: parseVersion(version),
    summary: image.description ?? '',
    source: source.name,
    architecture: image.windows?.architecture,
    content: { type: 'file', path, sha256: await savedSum(path), size },
  }
}

/** What `stowage save` wrote beside a WIM. */
async function savedSum(path: string): Promise<string | undefined> {
  try {
    return /^([0-9a-f]{64})(?: [ *]|\s*$)/i.exec(await readFile(`${path}.sha256`, 'utf8'))?.[1]?.toLowerCase()
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw fileError(error, `${path}.sha256`)
  }
}

/** Images of Windows in a bundle that have one layer, as base images do; their version is what their config says. */
async function readBundle(source: CatalogSource, options: ReadCatalogOptions): Promise<readonly CatalogEntry[]> {
  const path = source.location.slice('bundle:'.length)
  await using reader = await openBundleReader(path, { signal: options.signal })
  return reader.manifest.images.flatMap(image => bundleEntries(image, path, source))
}

function bundleEntries(
  image: BundleManifest['images'][number],
  path: string,
  source: CatalogSource,
): readonly CatalogEntry[] {
  const base = image.platforms.find(({ platform, layers }) => platform.os === 'windows' && layers.length === 1)
  const version = base?.platform['os.version']
  if (!base || version === undefined || !isVersion(version)) return []
  return image.names.slice(0, 1).map(name => ({
    name: parseReference(name).path.replace(/^.*\//, ''),
    version: parseVersion(version),
    summary: name,
    source: source.name,
    architecture: base.platform.architecture,
    content: {
      type: 'image',
      location: `bundle:${path}:${image.root.digest}`,
      digest: image.root.digest,
      size: image.size,
    },
  }))
}

/** Tags of a repository that are versions, as the registry of Microsoft has them: `10.0.20348.169`, and with an architecture behind it. */
async function readRepository(source: CatalogSource, options: ReadCatalogOptions): Promise<readonly CatalogEntry[]> {
  const { domain, path } = parseReference(source.location.slice('docker://'.length))
  await using registries = new Registries(options)
  const client = await registries.get(domain)
  const entries: CatalogEntry[] = []
  for await (const tag of client.tags(path, options)) {
    const [, version = '', architecture] = /^(\d+(?:\.\d+){3})(?:-(amd64|arm64|arm))?$/.exec(tag) ?? []
    if (!isVersion(version)) continue
    entries.push({
      name: path.replace(/^.*\//, ''),
      version: parseVersion(version),
      summary: `${domain}/${path}:${tag}`,
      source: source.name,
      architecture,
      content: { type: 'image', location: `docker://${domain}/${path}:${tag}`, digest: undefined, size: undefined },
    })
  }
  return entries
}

/** A name that becomes part of a file's name: no path, nothing that a file system of a medium cannot hold. */
export function isImageName(name: string): boolean {
  return /^[^\s<>:"/\\|?*\x00-\x1f.][^<>:"/\\|?*\x00-\x1f]{0,99}$/.test(name) && !/[. ]$/.test(name) && name !== '..'
}
