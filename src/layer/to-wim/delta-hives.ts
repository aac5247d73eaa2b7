/** Merges the delta hives of Windows layers (`Hives/Software_Delta` …) into the registry hives of their base. */
import { StowageError } from '../../errors.js'
import { type HiveChanges, mergeHives, type NamedHive } from '../../windows/hive/merge-hives.js'
import type { ImageFile } from '../../wim/metadata-writer.js'
import { CONFIG } from '../../windows/layer-paths.js'
import { type LayerOrigin, readLayer } from '../read/read-layer.js'
import type { AppliedLayers, DeltaHive } from './applied-layers.js'
import type { Losses } from './losses.js'
import { ownContent } from './windows-file.js'

/** A registry hive, and what the delta hives changed in it. */
export interface HiveMerge {
  /** File name: `SOFTWARE`. */
  readonly hive: string
  /** Numbers of the layers whose delta hives were merged, from 1. */
  readonly layers: readonly number[]
  readonly changes: HiveChanges
}

const HINT =
  'Name the base layer first, or leave the registry as it is with stowage layer to-wim --without-hive-changes.'

/** Throws LAYER_UNSUPPORTED if a layer that is alone has delta hives: the hives that they change are in its base. */
export function refuseDeltaHives([first]: readonly DeltaHive[]): void {
  if (!first) return
  throw new StowageError('LAYER_UNSUPPORTED', `${first.path} changes the registry of a layer below, which is missing`, {
    hint: HINT,
  })
}

/**
 * Replaces the registry hives in the tree of `applied` by what a container would see. Reads the layers that have them
 * once more, and holds the hives in memory. A delta hive below a layer with the whole hive is a loss, as are all of them
 * if `layers` is empty. Throws LAYER_UNSUPPORTED if a hive is missing, LAYER_CORRUPT, ABORTED.
 */
export async function mergeDeltaHives(
  layers: readonly LayerOrigin[],
  applied: AppliedLayers,
  losses: Losses,
  signal: AbortSignal | undefined,
): Promise<readonly HiveMerge[]> {
  const { deltaHives } = applied
  if (layers.length === 0) for (const { path } of deltaHives) losses.add('changes to the registry', path)
  const names = layers.length === 0 ? [] : [...new Set(deltaHives.map(({ hive }) => hive))]
  const plans = names.map(hive => planOf(hive, applied, losses))
  const contents = await readFiles(
    layers,
    plans.flatMap(plan => [plan.base, ...plan.deltas]),
    signal,
  )
  const merges: HiveMerge[] = []
  for (const { hive, file, base, deltas } of plans) {
    const before = contents(base)
    let { bytes } = before
    const changes = { keysAdded: 0, keysDeleted: 0, keysChanged: 0, valuesSet: 0, valuesDeleted: 0 }
    for (const delta of deltas) {
      const merged = await mergeHives({ ...before, bytes }, contents(delta), signal)
      for (const key of Object.keys(changes) as (keyof HiveChanges)[]) changes[key] += merged.changes[key] // its own keys
      bytes = merged.bytes
    }
    if (bytes !== before.bytes) Object.assign(file, { data: ownContent(bytes) })
    merges.push({ hive, layers: deltas.map(({ layer }) => layer + 1), changes })
  }
  return merges
}

/** A file of a layer. */
interface Place {
  readonly path: string
  readonly layer: number
}

interface MergePlan {
  readonly hive: string
  /** The hive in the tree, and where its content is. */
  readonly file: ImageFile
  readonly base: Place
  readonly deltas: readonly Place[]
}

function planOf(hive: string, applied: AppliedLayers, losses: Losses): MergePlan {
  const path = `Files/${CONFIG}/${hive}`
  const deltas = applied.deltaHives.filter(delta => delta.hive === hive)
  const base = applied.contentAt(path)
  if (!base) {
    throw new StowageError('LAYER_UNSUPPORTED', `${deltas[0]?.path} changes ${path}, which no layer has`, {
      hint: HINT,
    })
  }
  for (const delta of deltas.filter(({ layer }) => layer < base.layer))
    losses.add('changes to the registry below a whole hive', delta.path)
  return {
    hive,
    file: base.file,
    base: { path, layer: base.layer },
    deltas: deltas.filter(({ layer }) => layer >= base.layer),
  }
}

/** Reads the files, each layer once. The result gives the content of each, with a name for errors. */
async function readFiles(
  layers: readonly LayerOrigin[],
  places: readonly Place[],
  signal: AbortSignal | undefined,
): Promise<(place: Place) => NamedHive> {
  const contents = new Map<string, Buffer>()
  const keyOf = ({ path, layer }: Place): string => `${layer} ${plain(path)}`
  for (const [number, layer] of layers.entries()) {
    const whole = places.filter(place => place.layer === number).map(({ path }) => plain(path))
    if (whole.length === 0) continue
    const wanted = new Set(whole)
    await readLayer(await layer.open(), { signal, whole }, entries => {
      for (const { type, path, head, size } of entries) {
        if (type !== 'file' || !wanted.has(plain(path))) continue
        if (head.length < size)
          throw new StowageError('LAYER_UNSUPPORTED', `${path} has ${size} bytes, more than a registry hive can have`)
        contents.set(keyOf({ path, layer: number }), Buffer.from(head))
      }
    })
  }
  return place => {
    const name = `${place.path} in ${layers[place.layer]?.name}`
    const bytes = contents.get(keyOf(place))
    if (bytes) return { name, bytes }
    throw new StowageError('LAYER_UNSUPPORTED', `${name} is a hard link, which a registry hive cannot be`)
  }
}

function plain(path: string): string {
  return path.replace(/^\.\//, '').toLowerCase()
}
