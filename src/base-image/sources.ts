/** The registered sources of base OS images, stored in a configuration file of the user. */
import { readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { makeDirectory, writeDurably } from '../blob/durable.js'
import { withLock } from '../blob/lock.js'
import { fileError, StowageError, systemCode } from '../errors.js'
import { array, parseJson, record, string } from '../oci/json.js'
import { shownAddress } from '../http/web.js'

/** A registered source. */
export interface CatalogSource {
  readonly name: string
  /** The URL of an index, a folder, `bundle:PATH`, or `docker://REPOSITORY`. */
  readonly location: string
  /** Whether the user trusts it: installing from other sources gives a warning. */
  readonly trusted: boolean
}

export interface SourcesOptions {
  readonly env?: NodeJS.ProcessEnv | undefined
  readonly platform?: NodeJS.Platform | undefined
}

export interface AddSourceOptions extends SourcesOptions {
  /** Register a folder or a bundle even if it is not there, such as a stick that is not plugged in. */
  readonly force?: boolean | undefined
}

const SCHEMA_VERSION = 1
const NAME = /^[A-Za-z0-9][A-Za-z0-9._ -]{0,63}$/

/**
 * The path of `sources.json`: in `$STOWAGE_CONFIG`, else in `stowage` under `%LOCALAPPDATA%` on Windows, and under
 * `$XDG_CONFIG_HOME` or `~/.config` elsewhere.
 */
export function sourcesFile({ env = process.env, platform = process.platform }: SourcesOptions = {}): string {
  const own = env['STOWAGE_CONFIG']
  if (own) return join(own, 'sources.json')
  const base =
    platform === 'win32'
      ? env['LOCALAPPDATA'] || join(homedir(), 'AppData', 'Local')
      : env['XDG_CONFIG_HOME'] || join(env['HOME'] || homedir(), '.config')
  return join(base, 'stowage', 'sources.json')
}

/** All registered sources, sorted by name. Throws INVALID_MANIFEST naming what is wrong in the file. */
export async function listSources(options?: SourcesOptions): Promise<readonly CatalogSource[]> {
  const path = sourcesFile(options)
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return []
    throw fileError(error, path)
  }
  const object = record(parseJson(bytes, path), path)
  if (object['schemaVersion'] !== SCHEMA_VERSION) {
    throw new StowageError(
      'INVALID_MANIFEST',
      `${path}.schemaVersion: expected ${SCHEMA_VERSION} but found ${JSON.stringify(object['schemaVersion'])}`,
      {
        hint: 'A later version of Stowage wrote it: use that version, or move the file away.',
      },
    )
  }
  return array(object, 'sources', path).map((item, n) => {
    const where = `${path}.sources[${n}]`
    const source = record(item, where)
    return {
      name: string(source, 'name', where),
      location: string(source, 'location', where),
      trusted: source['trusted'] === true,
    }
  })
}

/**
 * Registers a source. Throws INVALID_ARGUMENT for a name that is invalid or taken, or an unknown kind of location, and
 * FILE_NOT_FOUND for a folder or a bundle that is not there, NOT_A_BUNDLE for one that is none. Addresses are not tried.
 */
export async function addSource(
  source: CatalogSource,
  { force = false, ...options }: AddSourceOptions = {},
): Promise<CatalogSource> {
  if (!NAME.test(source.name)) {
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(source.name)} is not a source name`, {
      hint: 'Use letters, digits, ".", "_", "-" and spaces, up to 64.',
    })
  }
  const added = { ...source, location: normalLocation(source.location) }
  if (!force) await expectThere(added.location)
  await changeSources(options, sources => {
    const taken = sources.find(({ name }) => isSameName(name, added.name))
    if (taken) {
      throw new StowageError(
        'INVALID_ARGUMENT',
        `the source ${taken.name} already exists, at ${shownAddress(taken.location)}`,
        {
          hint: `Remove it first: stowage source remove ${JSON.stringify(taken.name)}.`,
        },
      )
    }
    return [...sources, added].sort((a, b) => (a.name < b.name ? -1 : 1))
  })
  return added
}

/** Removes a source. Throws IMAGE_NOT_FOUND naming the registered ones. */
export async function removeSource(name: string, options?: SourcesOptions): Promise<CatalogSource> {
  let removed: CatalogSource | undefined
  await changeSources(options, sources => {
    removed = sources.find(source => isSameName(source.name, name))
    if (!removed) throw noSource(name, sources)
    return sources.filter(source => source !== removed)
  })
  return removed ?? { name, location: '', trusted: false }
}

/** The sources that `wanted` names, by name or location; all if it is empty. Throws IMAGE_NOT_FOUND. */
export function chooseSources(sources: readonly CatalogSource[], wanted: readonly string[]): readonly CatalogSource[] {
  if (wanted.length === 0) return sources
  return [
    ...new Set(
      wanted.map(text => {
        const found =
          sources.find(({ name }) => isSameName(name, text)) ??
          sources.find(({ location }) => location === text || location === placeOf(text))
        if (!found) throw noSource(text, sources)
        return found
      }),
    ),
  ]
}

/** The location in the form in which it is stored. Throws INVALID_ARGUMENT. */
function normalLocation(location: string): string {
  const place = placeOf(location)
  if (place !== undefined) return place
  throw new StowageError(
    'INVALID_ARGUMENT',
    `${JSON.stringify(shownAddress(location))} is not a source of base OS images`,
    {
      hint: 'Use the https://… address of an index, a folder of WIM files, bundle:PATH, or docker://REPOSITORY.',
    },
  )
}

/** Throws FILE_NOT_FOUND for a folder or a bundle that is not there, INVALID_ARGUMENT and NOT_A_BUNDLE for what is neither. */
async function expectThere(location: string): Promise<void> {
  if (/^(?:https?|docker):\/\//i.test(location)) return
  const path = location.replace(/^bundle:/, '')
  const found = await stat(path).catch((error: unknown) => {
    const reported = fileError(error, path)
    const hint = 'Check the path. To register it all the same, such as a stick that is not plugged in, use --force.'
    throw reported instanceof StowageError && reported.code === 'FILE_NOT_FOUND' ? reported.withHint(hint) : reported
  })
  if (path !== location) {
    const { openBundleReader } = await import('../bundle/reader.js')
    await (await openBundleReader(path))[Symbol.asyncDispose]()
  } else if (!found.isDirectory()) {
    throw new StowageError('INVALID_ARGUMENT', `${path} is not a folder`, {
      hint: `Name the folder that it is in, ${dirname(path)}, or bundle:${path} if it is a bundle.`,
    })
  }
}

/** URLs and references unchanged, folders and bundles with absolute paths; undefined for an invalid location. */
function placeOf(location: string): string | undefined {
  if (/^https?:\/\//i.test(location)) {
    if (URL.canParse(location)) return location
  } else if (location.startsWith('docker://') && location.length > 'docker://'.length) {
    return location
  } else if (location.startsWith('bundle:') && location.length > 'bundle:'.length) {
    return `bundle:${absolute(location.slice('bundle:'.length))}`
  } else if (location !== '' && !/^[a-z][a-z+.-]+:/i.test(location)) {
    return absolute(location)
  }
  return undefined
}

/** An absolute path. Windows shares are unchanged on every system. */
function absolute(path: string): string {
  return path.startsWith('\\\\') ? path : resolve(path)
}

async function changeSources(
  options: SourcesOptions | undefined,
  change: (sources: readonly CatalogSource[]) => readonly CatalogSource[],
): Promise<void> {
  const path = sourcesFile(options)
  await makeDirectory(dirname(path)).catch((error: unknown) => {
    throw fileError(error, path)
  })
  await withLock(`${path}.lock`, async () => {
    const sources = change(await listSources(options))
    await writeDurably(
      path,
      new TextEncoder().encode(`${JSON.stringify({ schemaVersion: SCHEMA_VERSION, sources }, null, 2)}\n`),
    )
  })
}

function isSameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}

function noSource(name: string, sources: readonly CatalogSource[]): StowageError {
  const hint =
    sources.length === 0
      ? 'No source is registered. Add one: stowage source add NAME LOCATION. The gallery of 2016 no longer exists.'
      : `Registered sources: ${sources.map(source => source.name).join(', ')}.`
  return new StowageError('IMAGE_NOT_FOUND', `there is no source ${JSON.stringify(name)}`, { hint })
}
