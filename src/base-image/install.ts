/** Installs base OS images of Windows: saved, checked, made a container image, put where it belongs, proved, and nothing left over. */
import { resolve } from 'node:path'
import { Workspace } from '../blob/workspace.js'
import { isTarPath } from '../bundle/files.js'
import { abortError, orError, StowageError } from '../errors.js'
import type { LayerFinding } from '../layer/read/check.js'
import { checkWimLayer } from '../layer/make/check-wim.js'
import { chooseImage } from '../layer/make/from-wim.js'
import { BASE_IMAGE_PUBLISHER, formatFullName, identityOf, type ImageIdentity } from '../oci/image-identity.js'
import { formatPlatform, type Platform } from '../oci/platform.js'
import {
  familiarReference,
  formatReference,
  nameMadeOf,
  nameToGive,
  parseReference,
  type Reference,
} from '../oci/reference.js'
import { parseLocation, transportOf } from '../transport/location.js'
import type { TransferOptions } from '../transfer/options.js'
import { usualStore } from '../transport/usual-store.js'
import type { HttpOptions } from '../http/connection.js'
import { shownAddress } from '../http/web.js'
import { inspect } from '../verbs/inspect.js'
import { nameOf, openReferencingWim, platformOf, type WimLayerOptions } from '../transport/wim/source.js'
import type { CatalogEntry } from './catalog.js'
import { judgeHost } from './host.js'
import { InstallTarget, type PutResult } from './install-target.js'
import { saveImage } from './save.js'
import { compareImageVersions, formatVersion, isVersion, parseVersion } from './version.js'
import { UTILITY_VM } from '../windows/layer-paths.js'
import { hashFile } from '../blob/hash-file.js'

export interface InstallOptions extends TransferOptions, Omit<HttpOptions, 'insecure'> {
  /** `docker-daemon:`, `oci:DIR`, `oci:`, `bundle:PATH` or `docker://HOST[/PREFIX]`; the engine when left out, or the default store where none answers. */
  readonly to?: string | undefined
  /** Of the one image that is installed, instead of the name that its WIM's XML makes, `nanoserver:10.0.14300.1010`, or that it has. */
  readonly name?: string | undefined
  /** The tag `latest` as well: of several versions of one name that were found, the newest; of WIM files, the last. */
  readonly latest?: boolean | undefined
  /** Installs again what is there, replaces another image of the name, and lets an engine keep what its host does not run. */
  readonly force?: boolean | undefined
  /** Installs what breaks a rule of docs/layer-check.md too: what was found is told all the same. */
  readonly skipCheck?: boolean | undefined
  /** Only says what would be done. */
  readonly whatIf?: boolean | undefined
  /** How the layer is made. */
  readonly layer?: Omit<WimLayerOptions, 'onSkipped' | 'onWarning'> | undefined
  /** Told what a person should know, a sentence each. */
  readonly onNote?: ((sentence: string) => void) | undefined
}

export interface InstallWimOptions extends InstallOptions {
  /** Number or name of the image in the WIM; its only one (but for `UtilityVM`) when left out. */
  readonly image?: string | undefined
}

export interface InstallImagesOptions extends InstallOptions {
  /** A folder that keeps the WIM files, by the rules of {@link saveImage}; without it they are gone afterwards. */
  readonly path?: string | undefined
}

/** What became of one image; `error` stands where it was not installed. */
export interface InstalledImage {
  /** The WIM, or where the source says the image is, without what may be a key. */
  readonly from: string
  /**
   * `CN=Microsoft_NanoServer_10.0.14300.1010`; empty where it is not known yet. Of a container image that is copied
   * it is what {@link identityOf} makes of it: without labels it has no publisher.
   */
  readonly fullName: string
  readonly name: string
  readonly version: string
  /** `windows/amd64:10.0.14300.1010`; undefined where it is not known yet. */
  readonly platform: string | undefined
  /** Full references. */
  readonly names: readonly string[]
  /** How the target calls it: an engine's image ID, elsewhere the root's digest. */
  readonly id: string | undefined
  /** Bytes sent, and bytes left out because the target had them. */
  readonly sent: number
  readonly skipped: number
  readonly result: 'installed' | 'exists' | 'what-if' | 'failed'
  /** What breaks a rule of base layers, errors first. */
  readonly findings: readonly LayerFinding[]
  /** What `layer.skipUnsupported` left out: paths in the layer, each with the reason. */
  readonly leftOut: readonly string[]
  readonly error?: StowageError
}

export interface InstallResult {
  /** Where the images went, as a location. */
  readonly to: string
  readonly images: readonly InstalledImage[]
}

/**
 * Installs the base OS images of WIM files, with no network. Name, version and processor are what the XML says, the publisher is
 * Microsoft. Each is tried: what failed is in its `error`, and has left nothing. Throws for the whole what opening the target throws,
 * INVALID_ARGUMENT and ABORTED.
 */
export async function installWims(files: readonly string[], options: InstallWimOptions = {}): Promise<InstallResult> {
  if (files.length === 0) throw new StowageError('INVALID_ARGUMENT', 'no WIM was named to install')
  return await installAll(
    options,
    files.map(file => ({
      about: { ...UNKNOWN, from: file },
      install: async target => await installWim(file, target, options),
    })),
  )
}

/**
 * Installs what {@link findImages} found: WIM files are saved and made images, images of bundles and registries are copied.
 * Each is tried, and throws are those of {@link installWims}.
 */
export async function installImages(
  entries: readonly CatalogEntry[],
  options: InstallImagesOptions = {},
): Promise<InstallResult> {
  if (entries.length === 0)
    throw new StowageError('IMAGE_NOT_FOUND', 'no image was found that could be installed', {
      hint: 'Look at what there is: stowage find --all-versions.',
    })
  const newest = (entry: CatalogEntry): boolean =>
    entries.every(
      other =>
        other.name.toLowerCase() !== entry.name.toLowerCase() ||
        compareImageVersions(other.version, entry.version) <= 0,
    )
  return await installAll(
    options,
    entries.map(entry => ({
      about: { ...UNKNOWN, ...aboutEntry(entry) },
      install: async target =>
        await installEntry(entry, target, { ...options, latest: options.latest && newest(entry) }),
    })),
  )
}

const UNKNOWN = {
  fullName: '',
  name: '',
  version: '',
  platform: undefined,
  names: [],
  id: undefined,
  sent: 0,
  skipped: 0,
  findings: [],
  leftOut: [],
} as const

interface Task {
  readonly about: Omit<InstalledImage, 'result'>
  readonly install: (target: InstallTarget) => Promise<InstalledImage>
}

async function installAll(options: InstallOptions, tasks: readonly Task[]): Promise<InstallResult> {
  const { host, name, signal } = options
  if (name !== undefined && tasks.length > 1)
    throw new StowageError('INVALID_ARGUMENT', `one name was given for ${tasks.length} images`, {
      hint: 'Install them one by one.',
    })
  if (name !== undefined) nameToGive(name)
  try {
    signal?.throwIfAborted()
    if (tasks.length > 1 && options.to !== undefined && isOneFile(options.to)) {
      throw new StowageError(
        'INVALID_ARGUMENT',
        `${tasks.length} images cannot be installed into a bundle that is one file, one after the other`,
        {
          hint: 'Install into a bundle that is a directory, and make a file of it: stowage pack bundle:DIRECTORY -o FILE.tar.',
        },
      )
    }
    const target = await InstallTarget.open(options.to ?? (await usualStore(host, signal)), options)
    const images: InstalledImage[] = []
    for (const { about, install } of tasks) {
      const done = await orError(async () => await install(target), signal)
      images.push(done instanceof StowageError ? { ...about, ...partOf(done), result: 'failed', error: done } : done)
    }
    return { to: target.toString(), images }
  } catch (error) {
    throw abortError(error, signal)
  }
}

/** A bundle in one tar, which is sealed after the first image. */
function isOneFile(to: string): boolean {
  const location = parseLocation(to)
  return (transportOf(location).destination?.seals ?? false) && isTarPath(location.path)
}

/** Carries what was found on the way to the error. */
class RefusedLayer extends StowageError {
  readonly findings: readonly LayerFinding[]

  constructor(findings: readonly LayerFinding[], message: string, hint: string) {
    super('LAYER_UNSUPPORTED', message, { hint })
    this.findings = findings
  }
}

function partOf(error: StowageError): Partial<InstalledImage> {
  return error instanceof RefusedLayer ? { findings: error.findings } : {}
}

/** What a WIM is, before anything is made of it. */
interface WimFacts {
  readonly image: number
  readonly identity: ImageIdentity
  readonly platform: Platform
  readonly utilityVm: boolean
  readonly reference: Reference
}

async function installWim(
  file: string,
  target: InstallTarget,
  options: InstallWimOptions,
  expected?: CatalogEntry,
): Promise<InstalledImage> {
  const { signal, layer, whatIf = false } = options
  const facts = await readFacts(file, options)
  if (expected) expectEntry(facts, expected)
  const { identity, platform } = facts
  const names = namesFor(facts.reference, target, options.latest)
  const about = {
    ...UNKNOWN,
    from: expected ? aboutEntry(expected).from : file,
    fullName: formatFullName(identity),
    name: identity.name,
    version: identity.version,
    platform: formatPlatform(platform),
    names: names.map(formatReference),
  }
  tellHost(
    target,
    {
      name: `${identity.name} ${identity.version}`,
      architecture: platform.architecture,
      version: identity.version,
      utilityVm: facts.utilityVm,
    },
    options,
  )
  const there = await alreadyThere(target, names, { identity, platform }, options)
  if (there !== undefined) return { ...about, id: there, result: 'exists' }
  const findings = await preflight(file, facts.image, options)
  if (whatIf) return { ...about, findings, result: 'what-if' }
  const leftOut: string[] = []
  const put = await target.put(`wim:${resolve(file)}#${facts.image}`, names, {
    ...layer,
    onSkipped: paths => void leftOut.push(...paths),
    onWarning: warning => options.onNote?.(`warning: ${warning}`),
  })
  signal?.throwIfAborted()
  await prove(target, names, put, options)
  return { ...about, ...put, findings, leftOut, result: 'installed' }
}

/** Throws UNSUPPORTED for an image whose XML does not say what it is, and what opening a WIM throws. */
async function readFacts(file: string, { image: selector, name, layer, signal }: InstallWimOptions): Promise<WimFacts> {
  await using wim = await openReferencingWim(file, layer?.references, signal)
  const image = chooseImage(wim, selector)
  const platform = platformOf(wim, image)
  const version = platform['os.version']
  if (version === undefined || !isVersion(version)) {
    throw new StowageError(
      'UNSUPPORTED',
      `${file}: image ${image.index} does not say its version (its XML has no WINDOWS/VERSION), so it is no base OS image that could be told from others`,
      {
        hint: `Say it: wimlib-imagex info FILE ${image.index} --image-property WINDOWS/VERSION/MAJOR=10, and so with MINOR, BUILD and SPBUILD.`,
      },
    )
  }
  return {
    image: image.index,
    identity: { name: image.name, publisher: BASE_IMAGE_PUBLISHER, version },
    platform,
    utilityVm: wim.images().some(other => other.name === UTILITY_VM),
    reference: name === undefined ? nameOf(wim, image) : nameToGive(name),
  }
}

/** What came must be what the source promised: version and processor decide where it runs. */
function expectEntry({ identity, platform }: WimFacts, entry: CatalogEntry): void {
  const promised = `${entry.name} ${formatVersion(entry.version)}`
  const hint =
    'Nothing was installed. To look at it, or to install it as what it is, save it first: stowage save NAME --path FOLDER.'
  if (compareImageVersions(parseVersion(identity.version), entry.version) !== 0) {
    throw new StowageError(
      'INVALID_MANIFEST',
      `source ${entry.source} has ${promised}, but the WIM it gives is ${identity.name} ${identity.version}`,
      { hint },
    )
  }
  if (entry.architecture !== undefined && entry.architecture !== platform.architecture) {
    throw new StowageError(
      'PLATFORM_MISMATCH',
      `source ${entry.source} has ${promised} for ${entry.architecture}, but the WIM it gives is for ${platform.architecture}`,
      { hint },
    )
  }
}

async function installEntry(
  entry: CatalogEntry,
  target: InstallTarget,
  options: InstallImagesOptions,
): Promise<InstalledImage> {
  const { content } = entry
  if (content.type === 'image') return await copyImage(entry, content.location, target, options)
  if (content.type === 'file' && options.path === undefined) {
    if (content.sha256 !== undefined && !options.whatIf) await expectSum(content.path, content.sha256, options.signal)
    return await installWim(content.path, target, options, entry)
  }
  // What the entry says is enough to know better before anything is fetched
  const version = formatVersion(entry.version)
  tellHost(
    target,
    { name: `${entry.name} ${version}`, architecture: entry.architecture, version, utilityVm: undefined },
    options,
  )
  if (options.whatIf) return { ...UNKNOWN, ...aboutEntry(entry), result: 'what-if' }
  const early = await foundEarly(entry, target, options)
  if (early) return early
  await using workspace = new Workspace(target.disk)
  const saved = await saveImage(entry, options.path ?? (await workspace.path()), {
    ...options,
    force: options.path === undefined || options.force,
  })
  const told = new Set<string>()
  const onNote = (sentence: string): void => {
    if (!told.has(sentence)) options.onNote?.(sentence)
    told.add(sentence)
  }
  return await installWim(saved.path, target, { ...options, onNote, force: options.force }, entry)
}

/** Where the name that the entry leads to is there already, nothing needs to be fetched. */
async function foundEarly(
  entry: CatalogEntry,
  target: InstallTarget,
  options: InstallOptions,
): Promise<InstalledImage | undefined> {
  if (options.force) return undefined
  const name = entry.name.replace(/\.wim$/i, '')
  const identity = { name, publisher: BASE_IMAGE_PUBLISHER, version: formatVersion(entry.version) }
  const reference = options.name === undefined ? nameMadeOf(name, identity.version) : nameToGive(options.name)
  if (!reference) return undefined
  const names = namesFor(reference, target, options.latest)
  const [first] = names
  const held = first && (await target.find(first))
  if (
    !held ||
    !isSame(held.identity, identity) ||
    (entry.architecture ?? held.platform.architecture) !== held.platform.architecture
  )
    return undefined
  if (!(await target.isWhole(first))) return undefined
  await addLatest(target, names, options)
  return {
    ...UNKNOWN,
    ...aboutEntry(entry),
    fullName: formatFullName(identity),
    platform: formatPlatform(held.platform),
    names: names.map(formatReference),
    id: held.id,
    result: 'exists',
  }
}

/** A container image is copied as it is, under its own name. */
async function copyImage(
  entry: CatalogEntry,
  location: string,
  target: InstallTarget,
  options: InstallOptions,
): Promise<InstalledImage> {
  const { host, insecure, signal } = options
  const {
    images: [image],
  } = await inspect(location, { host, insecure, signal })
  const found = image?.platforms.filter(({ platform: { os } }) => os === 'windows') ?? []
  const [details] = found
  const [platforms, platform] = [found.map(one => one.platform), details?.platform]
  const own = image?.names.map(parseReference) ?? []
  const [name] =
    own.length > 0 ? own : location.startsWith('docker://') ? [parseReference(location.slice('docker://'.length))] : []
  if (!image || !details || !platform || !name)
    throw new StowageError('UNSUPPORTED', `${location} is no image of Windows with a name`, {
      hint: 'Look at it: stowage inspect.',
    })
  const version = formatVersion(entry.version)
  const architecture = platforms.length === 1 ? platform.architecture : undefined
  tellHost(
    target,
    {
      name: `${entry.name} ${version}`,
      architecture,
      version: platform['os.version'] ?? version,
      utilityVm: undefined,
    },
    options,
  )
  const names = namesFor(options.name === undefined ? name : nameToGive(options.name), target, options.latest)
  const about = {
    ...UNKNOWN,
    ...aboutEntry(entry),
    fullName: formatFullName(identityOf(details, platform, details.layers.length, [name])),
    platform: formatPlatform(platform),
    names: names.map(formatReference),
  }
  if (options.whatIf) return { ...about, result: 'what-if' }
  const [first] = names
  const held = first && (await target.find(first))
  if (first && held && held.id === image.root?.digest && !options.force && (await target.isWhole(first))) {
    await addLatest(target, names, options)
    return { ...about, id: held.id, result: 'exists' }
  }
  if (held && held.id !== image.root?.digest && target.engine === undefined && !options.force)
    throw taken(first, target, held)
  const put = await target.put(location, names)
  await prove(target, names, put, options)
  return { ...about, ...put, result: put.sent === 0 ? 'exists' : 'installed' }
}

function namesFor(reference: Reference, target: InstallTarget, latest = false): readonly Reference[] {
  const name = target.nameHere(reference)
  return latest && name.tag !== 'latest' ? [name, { domain: name.domain, path: name.path, tag: 'latest' }] : [name]
}

/** Notes what people should know of the host; throws PLATFORM_MISMATCH for what cannot run there, or be there at all. */
function tellHost(
  target: InstallTarget,
  image: Parameters<typeof judgeHost>[0],
  { force = false, onNote }: InstallOptions,
): void {
  const verdict = target.engine && judgeHost(image, target.engine)
  if (!verdict) return
  if (verdict.severity === 'error' && !(force && verdict.possible))
    throw new StowageError(verdict.code, verdict.message, { hint: verdict.hint })
  onNote?.(`${verdict.severity === 'error' ? 'warning: ' : ''}${verdict.message}`)
}

/** How the target calls the image where it is there and whole, so that there is nothing to do. Throws OUTPUT_EXISTS for another image of the name. */
async function alreadyThere(
  target: InstallTarget,
  names: readonly Reference[],
  { identity, platform }: Pick<WimFacts, 'identity' | 'platform'>,
  options: InstallOptions,
): Promise<string | undefined> {
  const [first] = names
  if (options.force || !first) return undefined
  const held = await target.find(first)
  if (!held) return undefined
  if (!isSame(held.identity, identity) || held.platform.architecture !== platform.architecture)
    throw taken(first, target, held)
  if (!(await target.isWhole(first))) {
    options.onNote?.(`${familiarReference(first)} is there but not whole: installed again`)
    return undefined
  }
  if (!options.whatIf) await addLatest(target, names, options)
  return held.id
}

async function addLatest(
  target: InstallTarget,
  [first, latest]: readonly Reference[],
  { whatIf = false }: InstallOptions,
): Promise<void> {
  if (!first || !latest || whatIf) return
  const [held, other] = [await target.find(first), await target.find(latest)]
  if (held && held.id !== other?.id) await target.addName(first, latest)
}

function isSame(a: ImageIdentity, b: ImageIdentity): boolean {
  return formatFullName(a).toLowerCase() === formatFullName(b).toLowerCase()
}

function taken(
  name: Reference | undefined,
  target: InstallTarget,
  { identity, platform }: { readonly identity: ImageIdentity; readonly platform: Platform },
): StowageError {
  const other = `${formatFullName(identity)} (${formatPlatform(platform)})`
  return new StowageError(
    'OUTPUT_EXISTS',
    `${name ? familiarReference(name) : 'the name'} in ${target} is another image, ${other}`,
    {
      hint: 'Give this one another name (--tag NAME), or replace that one with --force.',
    },
  )
}

/** What breaks a rule, told; throws LAYER_UNSUPPORTED for what a Windows host would refuse, unless it is to be installed all the same. */
async function preflight(
  file: string,
  image: number,
  { layer, skipCheck = false, signal, onNote }: InstallOptions,
): Promise<readonly LayerFinding[]> {
  await using wim = await openReferencingWim(file, layer?.references, signal)
  const { threads, order, lossless, skipUnsupported } = layer ?? {}
  const findings = await checkWimLayer(wim, { image, threads, order, lossless, skipUnsupported, signal })
  const errors = findings.filter(({ severity }) => severity === 'error')
  if (errors.length === 0) return findings
  const shown = errors
    .map(
      ({ code, count, cases: [first] }) =>
        `${code}${first?.path === undefined ? '' : ` ${first.path}`} (${first?.message ?? ''}${count > 1 ? `, and ${count - 1} more` : ''})`,
    )
    .join('; ')
  const message = `a Windows host would refuse ${file}: ${shown}`
  if (!skipCheck)
    throw new RefusedLayer(
      findings,
      message,
      'docs/layer-check.md says what each means. Nothing was installed; --skip-check installs it all the same.',
    )
  onNote?.(`warning: ${message}`)
  return findings
}

/** The target itself is asked: what it has under the name is what was put there. An engine was asked when it took it. */
async function prove(
  target: InstallTarget,
  names: readonly Reference[],
  { id }: PutResult,
  { onProgress }: InstallOptions,
): Promise<void> {
  if (target.engine) return
  for (const [n, name] of names.entries()) {
    onProgress?.({ type: 'stage', stage: 'prove', subject: familiarReference(name) })
    const held = await target.find(name)
    if (held?.id === id && (n > 0 || (await target.isWhole(name)))) continue
    throw new StowageError(
      'LOAD_NOT_PROVED',
      `${familiarReference(name)} was written to ${target}, but ${held ? `it is ${held.id} there` : 'it is not there'}`,
      { hint: 'Is somebody else writing there? Run the command again.' },
    )
  }
}

async function expectSum(path: string, expected: string, signal: AbortSignal | undefined): Promise<void> {
  const { digest } = await hashFile(path, { signal })
  if (digest === `sha256:${expected}`) return
  throw new StowageError(
    'DIGEST_MISMATCH',
    `${path}: its source says sha256 ${expected}, but the file is ${digest.slice('sha256:'.length)}`,
    { hint: 'It was changed or damaged: copy it again.' },
  )
}

function aboutEntry({
  name,
  version,
  architecture,
  content,
}: CatalogEntry): Pick<InstalledImage, 'from' | 'name' | 'version' | 'platform'> {
  const from =
    content.type === 'web' ? shownAddress(content.url) : content.type === 'file' ? content.path : content.location
  const text = formatVersion(version)
  return {
    from,
    name,
    version: text,
    platform: architecture === undefined ? undefined : `windows/${architecture}:${text}`,
  }
}
