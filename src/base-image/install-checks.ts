/** What is checked before a base OS image is installed, and proved after it. */
import type { InstallOptions } from './install-options.js'
import type { InstallWimOptions } from './install-options.js'
import type { InstalledImage } from './install-options.js'
import { StowageError } from '../errors.js'
import type { LayerFinding } from '../layer/read/check.js'
import { checkWimLayer } from '../layer/make/check-wim.js'
import { chooseImage } from '../layer/make/from-wim.js'
import { BASE_IMAGE_PUBLISHER, formatFullName, type ImageIdentity } from '../oci/image-identity.js'
import { formatPlatform, type Platform } from '../oci/platform.js'
import { familiarReference, nameToGive, type Reference } from '../oci/reference.js'
import { wimImageName, openReferencingWim, platformOf } from '../transport/wim/source.js'
import type { CatalogEntry } from './catalog.js'
import { judgeHost } from './host.js'
import { InstallTarget, type PutResult } from './install-target.js'
import { compareImageVersions, formatVersion, isVersion, parseVersion } from './version.js'
import { UTILITY_VM } from '../windows/layer-paths.js'
import { hashFile } from '../blob/hash-file.js'

/** Carries what was found on the way to the error. */
export class RefusedLayer extends StowageError {
  readonly findings: readonly LayerFinding[]

  constructor(findings: readonly LayerFinding[], message: string, hint: string) {
    super('LAYER_UNSUPPORTED', message, { hint })
    this.findings = findings
  }
}

export function partOf(error: StowageError): Partial<InstalledImage> {
  return error instanceof RefusedLayer ? { findings: error.findings } : {}
}

/** What a WIM is, before anything is made of it. */
export interface BaseImageFacts {
  readonly image: number
  readonly identity: ImageIdentity
  readonly platform: Platform
  readonly utilityVm: boolean
  readonly reference: Reference
}

/** Throws UNSUPPORTED for an image whose XML does not say what it is, and what opening a WIM throws. */
export async function readWimFacts(
  file: string,
  { image: selector, name, layer, signal }: InstallWimOptions,
): Promise<BaseImageFacts> {
  await using wim = await openReferencingWim(file, layer?.references, signal)
  const image = chooseImage(wim, selector)
  const platform = platformOf(wim, image)
  const version = platform['os.version']
  if (version === undefined || !isVersion(version)) {
    throw new StowageError(
      'UNSUPPORTED',
      `${file}: image ${image.index} does not state its version (its XML has no WINDOWS/VERSION), so it cannot be identified as a base OS image`,
      {
        hint: `Set it: wimlib-imagex info FILE ${image.index} --image-property WINDOWS/VERSION/MAJOR=10, and likewise MINOR, BUILD and SPBUILD.`,
      },
    )
  }
  return {
    image: image.index,
    identity: { name: image.name, publisher: BASE_IMAGE_PUBLISHER, version },
    platform,
    utilityVm: wim.images().some(other => other.name === UTILITY_VM),
    reference: name === undefined ? wimImageName(wim, image) : nameToGive(name),
  }
}

/** What came must be what the source promised: version and processor decide where it runs. */
export function expectEntry({ identity, platform }: BaseImageFacts, entry: CatalogEntry): void {
  const promised = `${entry.name} ${formatVersion(entry.version)}`
  const hint =
    'Nothing was installed. To inspect it, or to install it under its own version, save it first: stowage save NAME --path FOLDER.'
  if (compareImageVersions(parseVersion(identity.version), entry.version) !== 0) {
    throw new StowageError(
      'INVALID_MANIFEST',
      `source ${entry.source} lists ${promised}, but its WIM is ${identity.name} ${identity.version}`,
      { hint },
    )
  }
  if (entry.architecture !== undefined && entry.architecture !== platform.architecture) {
    throw new StowageError(
      'PLATFORM_MISMATCH',
      `source ${entry.source} lists ${promised} for ${entry.architecture}, but its WIM is for ${platform.architecture}`,
      { hint },
    )
  }
}

export function namesFor(reference: Reference, target: InstallTarget, latest = false): readonly Reference[] {
  const name = target.nameHere(reference)
  return latest && name.tag !== 'latest' ? [name, { domain: name.domain, path: name.path, tag: 'latest' }] : [name]
}

/** Notes what people should know of the host; throws PLATFORM_MISMATCH for what cannot run there, or be there at all. */
export function tellHost(
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
export async function alreadyThere(
  target: InstallTarget,
  names: readonly Reference[],
  { identity, platform }: Pick<BaseImageFacts, 'identity' | 'platform'>,
  options: InstallOptions,
): Promise<string | undefined> {
  const [first] = names
  if (options.force || !first) return undefined
  const held = await target.find(first)
  if (!held) return undefined
  if (!isSame(held.identity, identity) || held.platform.architecture !== platform.architecture)
    throw nameTaken(first, target, held)
  if (!(await target.isWhole(first))) {
    options.onNote?.(`${familiarReference(first)} is present but incomplete: installed again`)
    return undefined
  }
  if (!options.whatIf) await addLatest(target, names, options)
  return held.id
}

export async function addLatest(
  target: InstallTarget,
  [first, latest]: readonly Reference[],
  { whatIf = false }: InstallOptions,
): Promise<void> {
  if (!first || !latest || whatIf) return
  const [held, other] = [await target.find(first), await target.find(latest)]
  if (held && held.id !== other?.id) await target.addName(first, latest)
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
      hint: 'Give this one another name (--tag NAME), or replace that one with --force.',
    },
  )
}

/** What breaks a rule, told; throws LAYER_UNSUPPORTED for what a Windows host would refuse, unless it is to be installed all the same. */
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
  const message = `a Windows host would refuse ${file}: ${shown}`
  if (!skipCheck)
    throw new RefusedLayer(
      findings,
      message,
      'docs/layer-check.md explains each. Nothing was installed; use --skip-check to install it anyway.',
    )
  onNote?.(`warning: ${message}`)
  return findings
}

/** The target itself is asked: what it has under the name is what was put there. An engine was asked when it took it. */
export async function prove(
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
      `${familiarReference(name)} was written to ${target.toString()}, but ${held ? `it is now ${held.id}` : 'it is missing there'}`,
      { hint: 'Another program may be writing there. Run the command again.' },
    )
  }
}

export async function expectSum(path: string, expected: string, signal: AbortSignal | undefined): Promise<void> {
  const { digest } = await hashFile(path, { signal })
  if (digest === `sha256:${expected}`) return
  throw new StowageError(
    'DIGEST_MISMATCH',
    `${path}: its source says sha256 ${expected}, but the file is ${digest.slice('sha256:'.length)}`,
    { hint: 'It was changed or damaged: copy it again.' },
  )
}
