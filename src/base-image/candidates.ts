/**
 * Chooses which of the images found is saved or installed: one for each name, or an error if the choice is ambiguous.
 */
import { StowageError } from '../errors.js'
import { shownAddress } from '../http/web.js'
import type { CatalogEntry } from './catalog.js'
import { formatVersion } from './version.js'

export interface CandidateOptions {
  /** A GOARCH value: only images for it, and those without an architecture. */
  readonly architecture?: string | undefined
  /** The architecture of the host, used to choose if `architecture` is not given. */
  readonly preferred?: string | undefined
  /** Choose one image for each version of a name, because the user selected the versions individually. */
  readonly versions?: boolean | undefined
}

/**
 * One image for each name (with `versions`, for each name and version), in the order of `entries`. The same file or
 * image in two places counts once. Throws INVALID_ARGUMENT naming the candidates if there are several, and
 * IMAGE_NOT_FOUND if none is for `architecture`.
 */
export function chooseCandidates(
  entries: readonly CatalogEntry[],
  { architecture, preferred, versions = false }: CandidateOptions,
): readonly CatalogEntry[] {
  const groups = new Map<string, CatalogEntry[]>()
  for (const entry of entries) {
    const key = `${entry.name.replace(/\.wim$/i, '').toLowerCase()} ${versions ? formatVersion(entry.version) : ''}`
    groups.set(key, [...(groups.get(key) ?? []), entry])
  }
  return [...groups.values()].map(group => {
    const fitting =
      architecture === undefined
        ? group
        : group.filter(entry => entry.architecture === undefined || entry.architecture === architecture)
    if (fitting.length === 0) {
      throw new StowageError('IMAGE_NOT_FOUND', `${group[0]?.name} is not available for ${architecture}`, {
        hint: `Available: ${group.map(shown).join('; ')}.`,
      })
    }
    return onlyOf(narrowed(fitting, architecture ?? preferred))
  })
}

/** The images for the architecture `wanted`, else multi-platform images such as an index in a registry, else all. */
function narrowed(group: readonly CatalogEntry[], wanted: string | undefined): readonly CatalogEntry[] {
  const indexes = group.filter(({ architecture, content }) => architecture === undefined && content.type === 'image')
  const own = wanted === undefined ? [] : group.filter(({ architecture }) => architecture === wanted)
  return own.length > 0 ? own : indexes.length > 0 ? indexes : group
}

function onlyOf(group: readonly CatalogEntry[]): CatalogEntry {
  const [first, ...others] = group
  if (!first) throw new StowageError('IMAGE_NOT_FOUND', 'no matching image was found')
  const sum = sumOf(first)
  if (others.length === 0 || (sum !== undefined && others.every(other => sumOf(other) === sum))) return first
  const architectures = new Set(group.map(({ architecture }) => architecture))
  throw new StowageError(
    'INVALID_ARGUMENT',
    `${group.length} images match ${first.name}: ${group.map(shown).join('; ')}`,
    {
      hint:
        architectures.size > 1 && !architectures.has(undefined)
          ? 'Select one with --arch.'
          : 'Select one with --source, or name the WIM itself: stowage install --wim FILE.',
    },
  )
}

function sumOf({ content }: CatalogEntry): string | undefined {
  return content.type === 'image' ? content.digest : content.sha256
}

function shown({ version, architecture, source, content }: CatalogEntry): string {
  const where =
    content.type === 'web' ? shownAddress(content.url) : content.type === 'file' ? content.path : content.location
  return `${formatVersion(version)}${architecture === undefined ? '' : ` (${architecture})`} from ${source}, ${where}`
}
