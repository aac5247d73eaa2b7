/** Installs one base OS image from a WIM or from a source, or copies it if it is a container image. */
import { resolve } from 'node:path'
import type { CatalogEntry } from './catalog.js'
import {
  addLatest,
  checkHost,
  expectEntry,
  expectSum,
  findInstalled,
  isSame,
  namesFor,
  nameTaken,
  preflight,
  prove,
  readWimFacts,
} from './install-checks.js'
import {
  type InstalledImage,
  type InstallImagesOptions,
  type InstallOptions,
  type InstallWimOptions,
  UNKNOWN,
} from './install-options.js'
import { formatVersion } from './version.js'
import { roomAt } from '../archive/space.js'
import { accessOf } from '../transfer/options.js'
import { parseLocation, transportOf } from '../transport/location.js'
import { StowageError } from '../errors.js'
import { BASE_IMAGE_PUBLISHER, formatFullName, identityOf } from '../oci/image-identity.js'
import { formatPlatform } from '../oci/platform.js'
import { formatReference, nameMadeOf, nameToGive, parseReference } from '../oci/reference.js'
import { shownAddress } from '../http/web.js'
import { inspect } from '../verbs/inspect.js'
import { InstallTarget } from './install-target.js'
import { saveImage } from './save.js'
import { withWim } from './use-wim.js'

export async function installWim(
  file: string,
  target: InstallTarget,
  options: InstallWimOptions,
  expected?: CatalogEntry,
): Promise<InstalledImage> {
  const { signal, layer, whatIf = false } = options
  const facts = await readWimFacts(file, options)
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
  checkHost(
    target,
    {
      name: `${identity.name} ${identity.version}`,
      architecture: platform.architecture,
      version: identity.version,
      utilityVm: facts.utilityVm,
    },
    options,
  )
  const installed = await findInstalled(target, names, { identity, platform }, options)
  if (installed !== undefined) return { ...about, id: installed, result: 'exists' }
  const findings = await preflight(file, facts.image, options)
  if (whatIf) {
    const room =
      target.disk === undefined ? undefined : await roomAt(target.disk, { sizes: [facts.size], estimate: true })
    return { ...about, findings, result: 'what-if', ...(room ? { room } : {}) }
  }
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

export async function installEntry(
  entry: CatalogEntry,
  target: InstallTarget,
  options: InstallImagesOptions,
): Promise<InstalledImage> {
  const { content } = entry
  if (content.type === 'image') return await copyBaseImage(entry, content.location, target, options)
  if (content.type === 'file' && options.path === undefined) {
    if (content.sha256 !== undefined && !options.whatIf) await expectSum(content.path, content.sha256, options.signal)
    return await installWim(content.path, target, options, entry)
  }
  // Check what the entry says before fetching anything
  const version = formatVersion(entry.version)
  checkHost(
    target,
    { name: `${entry.name} ${version}`, architecture: entry.architecture, version, utilityVm: undefined },
    options,
  )
  if (options.whatIf) return { ...UNKNOWN, ...aboutEntry(entry), result: 'what-if' }
  const installed = await findByEntry(entry, target, options)
  if (installed) return installed
  const reported = new Set<string>()
  const onNote = (sentence: string): void => {
    if (!reported.has(sentence)) options.onNote?.(sentence)
    reported.add(sentence)
  }
  const install = async ({ path }: { readonly path: string }): Promise<InstalledImage> =>
    await installWim(path, target, { ...options, onNote }, entry)
  if (options.path !== undefined) return await install(await saveImage(entry, options.path, options))
  return await withWim({ ...entry, content }, { beside: target.disk }, options, install)
}

/**
 * The image if the target already has it under the name that the entry implies, so that nothing needs to be fetched.
 */
async function findByEntry(
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

/** Copies a container image unchanged, by default under its own name. */
async function copyBaseImage(
  entry: CatalogEntry,
  location: string,
  target: InstallTarget,
  options: InstallOptions,
): Promise<InstalledImage> {
  const {
    images: [image],
  } = await inspect(location, accessOf(options))
  const found = image?.platforms.filter(({ platform: { os } }) => os === 'windows') ?? []
  const [details] = found
  const [platforms, platform] = [found.map(one => one.platform), details?.platform]
  const own = image?.names.map(parseReference) ?? []
  const place = parseLocation(location)
  const inPlace = transportOf(place).destination?.named?.(place).name
  const [name] = own.length > 0 ? own : inPlace ? [inPlace] : []
  if (!image || !details || !platform || !name)
    throw new StowageError('UNSUPPORTED', `${location} is not a Windows image with a name`, {
      hint: 'Inspect it: stowage inspect LOCATION.',
    })
  const version = formatVersion(entry.version)
  const architecture = platforms.length === 1 ? platform.architecture : undefined
  checkHost(
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
    throw nameTaken(first, target, held)
  const put = await target.put(location, names)
  await prove(target, names, put, options)
  return { ...about, ...put, result: put.sent === 0 ? 'exists' : 'installed' }
}

export function aboutEntry({
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
