/**
 * The names in a layer: the path of each dentry, the names that Windows does not allow, and the paths that have a
 * meaning to the importer of Windows. Source: hcsshim's documented behavior.
 */
import { StowageError } from '../../errors.js'
import { type Dentry } from '../../wim/dentry.js'
import { FILE_ATTRIBUTE_DIRECTORY } from '../../windows/file-attributes.js'
import { BOOT, BOOT_CONFIGURATION, CONFIG, HIVES, PATH_LIMIT } from '../../windows/layer-paths.js'
import { upcase } from '../../windows/upcase.js'
import { type Slices, sortInSlices } from './slices.js'
import type { LayerTree } from './wim-tree.js'

/**
 * Files whose entry must be the file itself, not a hard link: the importer of Windows rejects links at these paths of a
 * base layer.
 */
const PRIMARY_NAMES = new Set(
  [
    ...HIVES,
    `UtilityVM/Files/${CONFIG}/SYSTEM`,
    `UtilityVM/Files/${CONFIG}/SOFTWARE`,
    BOOT_CONFIGURATION,
    `UtilityVM/Files/${BOOT}/bootmgfw.efi`,
  ].map(path => path.toLowerCase()),
)
const PRIMARY_BASES = new Set([...PRIMARY_NAMES].map(path => path.slice(path.lastIndexOf('/') + 1)))

/** Paths that the importer compares case-sensitively. A WIM may spell them in any case. */
const SPELLINGS = new Map(
  [
    '',
    '/Microsoft',
    '/Microsoft/Boot',
    '/Microsoft/Boot/BCD',
    '/Microsoft/Boot/BCD.LOG',
    '/Microsoft/Boot/BCD.LOG1',
    '/Microsoft/Boot/BCD.LOG2',
  ].map(path => [`utilityvm/files/efi${path.toLowerCase()}`, `UtilityVM/Files/EFI${path}`]),
)

/** The paths of a tree. Only those of directories are cached, because there may be a million files. */
export class LayerNames {
  readonly #root: string
  readonly #directories = new Map<number, string>()

  private constructor(root: string) {
    this.#root = root
  }

  /**
   * Throws LAYER_UNSUPPORTED for names that the importer of Windows rejects or misinterprets, that a tar cannot hold,
   * or that two files share.
   */
  static async of(tree: LayerTree, slices: Slices): Promise<LayerNames> {
    const names = new LayerNames(tree.root)
    const check = new NameCheck()
    for (const dentry of tree.dentries) {
      const path = names.pathOf(dentry)
      if (path.length > PATH_LIMIT) {
        throw new StowageError(
          'LAYER_UNSUPPORTED',
          `${path.slice(0, 100)}…: the path is longer than the ${PATH_LIMIT} characters that a Windows host takes`,
        )
      }
      if ((dentry.attributes & FILE_ATTRIBUTE_DIRECTORY) !== 0) names.#directories.set(dentry.index, path)
      check.add(dentry, names)
      if (slices.due()) await slices.rest()
    }
    if (check.wrong.length === 0) return names
    throw new StowageError(
      'LAYER_UNSUPPORTED',
      `a layer cannot hold these names of ${tree.root}: ${listed(check.wrong)}`,
      {
        hint: 'Rename or remove them in the WIM, for example with stowage wim update.',
      },
    )
  }

  /** The path from the root of the layer, with slashes. */
  pathOf(dentry: Dentry): string {
    const known = this.#directories.get(dentry.index)
    if (known !== undefined) return known
    const plain =
      dentry.parent === undefined ? this.#root : `${this.#directories.get(dentry.parent) ?? ''}/${dentry.name}`
    return SPELLINGS.get(this.#root === 'Files' ? '' : plain.toLowerCase()) ?? plain
  }

  /** Whether the importer requires the file itself here, not a link. */
  isPrimary(dentry: Dentry): boolean {
    return PRIMARY_BASES.has(dentry.name.toLowerCase()) && PRIMARY_NAMES.has(this.pathOf(dentry).toLowerCase())
  }
}

/** The first items and the number of the others: `a, b and 3 more`. */
export function listed(items: readonly string[]): string {
  const rest = items.length - NAMED
  return items.slice(0, NAMED).join(', ') + (rest > 0 ? ` and ${rest} more` : '')
}

/** Number of paths that an error names. */
const NAMED = 10

/** Checks the names of a tree. The children of a directory must be added together. */
class NameCheck {
  readonly wrong: string[] = []
  #parent: number | undefined = undefined
  #siblings = new Map<string, string>()

  add(dentry: Dentry, names: LayerNames): void {
    const { name, parent } = dentry
    if (parent === undefined) {
      this.#streams(dentry, names)
      return
    }
    if (parent !== this.#parent) [this.#parent, this.#siblings] = [parent, new Map<string, string>()]
    const flaw = flawOf(name)
    if (flaw) this.wrong.push(`${JSON.stringify(names.pathOf(dentry))} (${flaw})`)
    this.#claim(this.#siblings, name, () => names.pathOf(dentry).slice(0, -name.length))
    this.#streams(dentry, names)
  }

  #streams(dentry: Dentry, names: LayerNames): void {
    const streams = dentry.streams
    if (streams.length === 0 || (streams.length === 1 && streams[0]?.name === '')) return
    const path = `${names.pathOf(dentry)}:`
    const seen = new Map<string, string>()
    for (const { name } of streams) {
      if (name === '') continue
      const flaw = flawOf(name)
      if (flaw) this.wrong.push(`${JSON.stringify(path + name)} (${flaw})`)
      this.#claim(seen, name, () => path)
    }
  }

  #claim(seen: Map<string, string>, name: string, before: () => string): void {
    const key = upcase(name)
    const other = seen.get(key)
    if (other !== undefined) {
      this.wrong.push(
        `${JSON.stringify(before() + name)} and ${JSON.stringify(before() + other)} (the same name on Windows)`,
      )
    }
    seen.set(key, name)
  }
}

function flawOf(name: string): string | undefined {
  if (name === '' || name === '.' || name === '..' || /[\u0000-\u001f"*/:<>?\\|]/.test(name))
    return 'not a valid name on Windows'
  if (name.startsWith('.wh.')) return 'marks a deleted file in a layer'
  return /\p{Surrogate}/u.test(name) ? 'has an unpaired surrogate, which UTF-8 cannot hold' : undefined
}

/**
 * The position of each dentry in the order of the tree: a directory comes before its contents, and names are sorted as
 * Windows compares them. It does not depend on the order in the WIM.
 */
export async function canonicalPlaces(dentries: readonly Dentry[], slices: Slices): Promise<Uint32Array> {
  const children = new Map<number, { readonly index: number; readonly key: string; readonly name: string }[]>()
  for (const { parent, index, name } of dentries) {
    if (slices.due()) await slices.rest()
    if (parent === undefined) continue
    const child = { index, key: upcase(name), name }
    const others = children.get(parent)
    if (others) others.push(child)
    else children.set(parent, [child])
  }
  const places = new Uint32Array(dentries.length)
  const stack = dentries.length > 0 ? [0] : []
  for (let place = 0, index = stack.pop(); index !== undefined; place += 1, index = stack.pop()) {
    places[index] = place
    const inside = children.get(index)
    children.delete(index)
    // Compare the names as well: in a Linux layer, two names may differ only in case
    const sorted = await sortInSlices(inside ?? [], (a, b) => compare(b.key, a.key) || compare(b.name, a.name), slices)
    for (const child of sorted) stack.push(child.index)
    if (slices.due()) await slices.rest()
  }
  return places
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
