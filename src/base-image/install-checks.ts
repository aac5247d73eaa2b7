/** The checks before a base OS image is installed, and after it. */
import { hashFile } from '../blob/hash-file.js'
import { StowageError } from '../errors.js'
import { checkWimLayer } from '../layer/make/check-wim.js'
import { chooseImage } from '../layer/make/from-wim.js'
import type { LayerFinding } from '../layer/read/check.js'
import { hexOf } from '../oci/digest.js'
import { BASE_IMAGE_PUBLISHER, formatFullName, type ImageIdentity } from '../oci/image-identity.js'
import { formatPlatform, parsePlatformSelector, type Platform } from '../oci/platform.js'
import { familiarReference, nameToGive, type Reference } from '../oci/reference.js'
import { platformOf } from '../transport/wim/platform.js'
import { wimImageName, openReferencingWim } from '../transport/wim/source.js'
import { UTILITY_VM } from '../windows/layer-paths.js'
import type { CatalogEntry } from './catalog.js'
import { judgeHost } from './host.js'
import type { InstalledImage, InstallOptions, InstallWimOptions } from './install-options.js'
import { InstallTarget, type PutResult } from './install-target.js'
import { compareImageVersions, formatVersion, isVersion, parseVersion } from './version.js'

/** An error that carries the findings of the layer check. */
export class RefusedLayer extends StowageError {
  readonly findings: readonly LayerFinding[]

  constructor(findings: readonly LayerFinding[], message: string, hint: string) {
    super('LAYER_UNSUPPORTED', message, { hint })
    this.findings = findings
  }
}

export function findingsOf(error: StowageError): Partial<InstalledImage> {
  return error instanceof RefusedLayer ? { findings: error.findings } : {}
}

/** Facts about a WIM, read before anything is made from it. */
export interface BaseImageFacts {
  readonly image: number
  readonly identity: ImageIdentity
  readonly platform: Platform
  readonly utilityVm: boolean
  readonly reference: Reference
  /** The content of its files, in bytes. */
  readonly size: number
}

/** Throws UNSUPPORTED if the XML of the image does not state its version, and what opening a WIM throws. */
export async function readWimFacts(
  file: string,
  { image: selector, name, layer, platforms = [], signal }: InstallWimOptions,
): Promise<BaseImageFacts> {
  await using wim = await openReferencingWim(file, layer?.references, signal)
  const image = chooseImage(wim, selector)
  const platform = platformOf(wim, image, platforms.map(parsePlatformSelector))
  const version = platform['os.version']
  if (version === undefined || !isVersion(version)) {
    throw new StowageError(
      'UNSUPPORTED',
      `${file}: image ${image.index} does not state its version (its XML has no WINDOWS/VERSION), so it cannot be identified as a base OS image`,
      {
        hint: `State it with --platform, such as --platform windows/${platform.architecture}:10.0.20348.169, or set it in the file: stowage wim info ${file} ${image.index} --image-property WINDOWS/VERSION/MAJOR=10, and likewise MINOR, BUILD and SPBUILD.`,
      },
    )
  }
  return {
    image: image.index,
    identity: { name: image.name, publisher: BASE_IMAGE_PUBLISHER, version },
    platform,
    utilityVm: wim.images().some(other => other.name === UTILITY_VM),
    reference: name === undefined ? wimImageName(wim, image, platform) : nameToGive(name),
    size: image.size,
  }
}

/** Throws unless the WIM has the version and architecture that its source lists, which decide where it runs. */
export function expectEntry({ identity, platform }: BaseImageFacts, entry: CatalogEntry): void {
  const listed = `${entry.name} ${formatVersion(entry.version)}`
  const hint =
    'Nothing was installed. To inspect it, or to install it under its own version, save it first: stowage save NAME --path FOLDER.'
  if (compareImageVersions(parseVersion(identity.version), entry.version) !== 0) {
    throw new StowageError(
      'INVALID_MANIFEST',
      `source ${entry.source} lists ${listed}, but its WIM is ${identity.name} ${identity.version}`,
      { hint },
    )
  }
  if (entry.architecture !== undefined && entry.architecture !== platform.architecture) {
    throw new StowageError(
      'PLATFORM_MISMATCH',
      `source ${entry.source} lists ${listed} for ${entry.architecture}, but its WIM is for ${platform.architecture}`,
      { hint },
    )
  }
}

export function namesFor(reference: Reference, target: InstallTarget, latest = false): readonly Reference[] {
  const name = target.nameHere(reference)
  return latest && name.tag !== 'latest' ? [name, { domain: name.domain, path: name.path, tag: 'latest' }] : [name]
}

/** Reports what the user should know about the host. Throws PLATFORM_MISMATCH if it cannot run or hold the image. */
export function checkHost(
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

/**
 * The ID of the image if the target already has it completely, so that there is nothing to do. Throws OUTPUT_EXISTS if
 * the target has another image of that name.
 */
export async function findInstalled(
  target: InstallTarget,
  names: readonly Reference[],
  { identity, platform }: Pick<BaseImageFacts, 'identity' | 'platform'>,
  options: InstallOptions,
): Promise<string | undefined> {
  const [first] = names
  if (options.force || !first) return undefined
  const existing = await target.find(first)
  if (!existing) return undefined
  if (!isSame(existing.identity, identity) || existing.platform.architecture !== platform.architecture)
    throw nameTaken(first, target, existing)
  if (!(await target.isWhole(first))) {
    options.onNote?.(`${familiarReference(first)} is present but incomplete: installed again`)
    return undefined
  }
  if (!options.whatIf) await addLatest(target, names, options)
  return existing.id
}

export async function addLatest(
  target: InstallTarget,
  [first, latest]: readonly Reference[],
  { whatIf = false }: InstallOptions,
): Promise<void> {
  if (!first || !latest || whatIf) return
  const [existing, other] = [await target.find(first), await target.find(latest)]
  if (existing && existing.id !== other?.id) await target.addName(first, latest)
}

export function isSame(a: ImageIdentity, b: ImageIdentity): boolean {
  return formatFullName(a).toLowerCase() === formatFullName(b).toLowerCase()
}

export function nameTaken(
  name: Reference | undefined,
  target: InstallTarget,
  { identity, platform }: { readonly identity: ImageIdentity; readonly platform: Platform },
): StowageError {
  const other = `${formatFullName(identity)} (${formatPlatform(platform)})`
  return new StowageError(
    'OUTPUT_EXISTS',
    `${name ? familiarReference(name) : 'the name'} in ${target.toString()} is another image, ${other}`,
    {
      hint: 'Use another name (--tag NAME), or replace that image with --force.',
    },
  )
}

/**
 * The findings of the layer check. Throws LAYER_UNSUPPORTED if a Windows host would reject the layer, unless
 * `skipCheck`.
 */
export async function preflight(
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
  const message = `a Windows host would reject ${file}: ${shown}`
  if (!skipCheck)
    throw new RefusedLayer(
      findings,
      message,
      'docs/layer-check.md explains each. Nothing was installed; use --skip-check to install it anyway.',
    )
  onNote?.(`warning: ${message}`)
  return findings
}

/**
 * Throws LOAD_NOT_PROVED unless the target has the image under its names. An engine has already been checked on
 * loading.
 */
export async function prove(
  target: InstallTarget,
  names: readonly Reference[],
  { id }: PutResult,
  { onProgress }: InstallOptions,
): Promise<void> {
  if (target.engine) return
  for (const [n, name] of names.entries()) {
    onProgress?.({ type: 'stage', stage: 'prove', subject: familiarReference(name) })
    const existing = await target.find(name)
    if (existing?.id === id && (n > 0 || (await target.isWhole(name)))) continue
    throw new StowageError(
      'LOAD_NOT_PROVED',
      `${familiarReference(name)} was written to ${target.toString()}, but ${existing ? `it is now ${existing.id}` : 'it is missing there'}`,
      { hint: 'Another program may be writing there. Run the command again.' },
    )
  }
}

export async function expectSum(path: string, expected: string, signal: AbortSignal | undefined): Promise<void> {
  const { digest } = await hashFile(path, { signal })
  if (digest === `sha256:${expected}`) return
  throw new StowageError(
    'DIGEST_MISMATCH',
    `${path}: its source says sha256 ${expected}, but the file is ${hexOf(digest)}`,
    { hint: 'The file was changed or damaged: copy it again.' },
  )
}
