/** Lists what a source offers: an index on the web, a folder of WIM files, a bundle, or a repository in a registry. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type BundleManifest } from '../bundle/manifest.js'
import { openBundleReader } from '../bundle/reader.js'
import { fileError, StowageError, systemCode } from '../errors.js'
import type { HttpOptions } from '../http/connection.js'
import { shownAddress, Web } from '../http/web.js'
import { chooseImage } from '../layer/make/from-wim.js'
import { isObject } from '../oci/json.js'
import { parseReference } from '../oci/reference.js'
import { type WaitOptions, Waits } from '../progress.js'
import type { EndpointOptions } from '../registry/endpoint.js'
import { Registries } from '../registry/registries.js'
import type { Trust } from '../signature/trust.js'
import { openWim } from '../wim/wim-file.js'
import type { CatalogEntry } from './catalog.js'
import type { CatalogSource } from './sources.js'
import { isVersion, parseVersion } from './version.js'

export interface ReadCatalogOptions extends WaitOptions, HttpOptions, EndpointOptions {
  /** What must be true of a bundle that is a source. */
  readonly trust?: Trust | undefined
  /** Called with a sentence for each entry of a source that cannot be used. */
  readonly onWarning?: ((warning: string) => void) | undefined
}

/** Maximum size of an index, in bytes. */
const INDEX_LIMIT = 16 * 1024 * 1024
/** Levels of subfolders that are searched, as in the provider of 2016. */
const DEPTH = 1

/**
 * Everything that `source` offers, in any order. Throws what reading the location throws: REGISTRY_UNREACHABLE,
 * FILE_NOT_FOUND, INVALID_MANIFEST for an invalid index, NOT_A_BUNDLE. An invalid entry is only a warning, so that the
 * others can be used.
 */
export async function readCatalog(
  source: CatalogSource,
  options: ReadCatalogOptions = {},
): Promise<readonly CatalogEntry[]> {
  const { location } = source
  if (/^https?:\/\//i.test(location)) return await readIndex(source, options)
  if (location.startsWith('docker://')) return await readRepository(source, options)
  using _wait = new Waits(options.onProgress, location).begin('read')
  if (location.startsWith('bundle:')) return await readBundle(source, options)
  return await readFolder(source, options)
}

/**
 * Reads the JSON array of 2016, `[{Name, Version, Description, SasToken}]`, also inside an object, and with the
 * additional fields `Sha256` and `Size`.
 */
async function readIndex(source: CatalogSource, options: ReadCatalogOptions): Promise<readonly CatalogEntry[]> {
  await using web = new Web(options)
  const { bytes, url } = await web.read(source.location, INDEX_LIMIT, options) // relative URLs refer to this url
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
      hint: 'Open the address in a browser: an index is a JSON array with Name, Version, Description and SasToken.',
      cause: error,
    })
  }
  if (Array.isArray(value)) return value as unknown[]
  // A tool of 2016 wrapped the array in an object, and wrote an array of one item as that item
  const inner = isObject(value)
    ? (value['array0'] ?? value['images'] ?? ('Name' in value ? [value] : undefined))
    : undefined
  if (Array.isArray(inner)) return inner as unknown[]
  throw new StowageError('INVALID_MANIFEST', `${where}: expected a JSON array of base OS images`)
}

/** The entry, or a description of what is wrong with it. */
function indexEntry(item: unknown, source: CatalogSource, base: string): CatalogEntry | string {
  if (!isObject(item)) return 'it is not an object'
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

/**
 * The WIM files in a folder and its subfolders. Name, version and architecture come from the XML, or the name from the
 * file. One that cannot be read is only a warning, unless it is the medium's fault and there is no other.
 */
async function readFolder(source: CatalogSource, options: ReadCatalogOptions): Promise<readonly CatalogEntry[]> {
  const entries: CatalogEntry[] = []
  let failure: StowageError | undefined
  for (const path of await wimsBelow(resolve(source.location), DEPTH)) {
    options.signal?.throwIfAborted()
    try {
      entries.push(await wimEntry(path, source))
    } catch (error) {
      if (!(error instanceof StowageError) || error.code === 'ABORTED') throw error
      if (error.code === 'MEDIUM_FAILED') failure ??= error
      options.onWarning?.(`${path}: ${error.message}`)
    }
  }
  if (failure && entries.length === 0) throw failure
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

/** The SHA-256 that `stowage save` wrote to a file beside the WIM. */
async function savedSum(path: string): Promise<string | undefined> {
  try {
    return /^([0-9a-f]{64})(?: [ *]|\s*$)/i.exec(await readFile(`${path}.sha256`, 'utf8'))?.[1]?.toLowerCase()
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw fileError(error, `${path}.sha256`)
  }
}

/** The Windows images in a bundle that have one layer, as base images do. The version comes from the config. */
async function readBundle(source: CatalogSource, options: ReadCatalogOptions): Promise<readonly CatalogEntry[]> {
  const path = source.location.slice('bundle:'.length)
  await using reader = await openBundleReader(path, { trust: options.trust, signal: options.signal })
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

/**
 * The tags of a repository that are versions in the style of Microsoft's registry: `10.0.20348.169`,
 * `10.0.20348.169-amd64`.
 */
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

/** Whether a name can be part of a file name on any file system: it is not a path and has no special characters. */
export function isImageName(name: string): boolean {
  return /^[^\s<>:"/\\|?*\x00-\x1f.][^<>:"/\\|?*\x00-\x1f]{0,99}$/.test(name) && !/[. ]$/.test(name) && name !== '..'
}
