/** Whether a Windows host will take a layer: every rule it breaks, in one pass over it. */
import type { WaitOptions } from '../../progress.js'
import { HIVE_HEAD } from '../../windows/registry-hive.js'
import { BASE_RULES, LAYER_RULES, type LayerRule } from './check-rules.js'
import { checkTree } from './check-tree.js'
import { type LayerFacts, type LayerSource, readLayer } from './read-layer.js'

export interface CheckLayerOptions extends WaitOptions {
  /** Left out or true: a base layer, with all that one must bring. False: one that is based on others. */
  readonly base?: boolean | undefined
  /** Warnings count as errors. */
  readonly strict?: boolean | undefined
}

/** A rule that is broken, and where. */
export interface LayerFinding {
  readonly code: LayerRule
  readonly severity: 'error' | 'warning'
  /** What Windows does about it, one sentence. */
  readonly explanation: string
  /** How often. */
  readonly count: number
  /** The first ten times. */
  readonly cases: readonly { readonly path: string | undefined; readonly message: string }[]
}

export interface LayerCheck extends LayerFacts {
  /** A Windows host would take it, as far as the rules go. */
  readonly ok: boolean
  /** Entries read. */
  readonly entries: number
  /** Errors first, each rule once. */
  readonly findings: readonly LayerFinding[]
}

/** Cases told of a rule. */
const CASES = 10

/**
 * Checks the layer against the rules of docs/layer-check.md. A layer of another system gets one finding, not one for each
 * file. Memory grows with the number of names, not with contents. Throws LAYER_CORRUPT if it cannot be read, UNSUPPORTED,
 * ABORTED.
 */
export async function checkLayer(
  source: LayerSource,
  { base = true, strict = false, ...wait }: CheckLayerOptions = {},
): Promise<LayerCheck> {
  const { report, findings } = gatherFindings(base)
  const tree = checkTree(base, report.add)
  let entries = 0
  const facts = await readLayer(source, { ...wait, headSize: HIVE_HEAD }, batch => {
    for (const entry of batch) tree.add(entry)
    entries += batch.length
  })
  tree.end()
  if (facts.globalHeaders > 0) report.add('GLOBAL_HEADER', undefined, `the layer has ${facts.globalHeaders}`)
  if (entries > 0 && !tree.windows) report.only('NOT_WINDOWS', `none of its ${entries} entries has Windows records`)
  const found = findings()
  return { ...facts, ok: !found.some(({ severity }) => strict || severity === 'error'), entries, findings: found }
}

/** Gathers what is reported: each rule once, errors first. `base`: with the rules of base layers. */
export function gatherFindings(base: boolean) {
  const found = new Map<LayerRule, { count: number; readonly cases: { path: string | undefined; message: string }[] }>()
  const report = {
    add(rule: LayerRule, path: string | undefined, message: string): void {
      if (!base && BASE_RULES.has(rule)) return
      const group = found.get(rule) ?? { count: 0, cases: [] }
      found.set(rule, group)
      group.count += 1
      if (group.cases.length < CASES) group.cases.push({ path, message })
    },
    /** Of the layer as a whole: nothing else matters then. */
    only(rule: LayerRule, message: string): void {
      found.clear()
      report.add(rule, undefined, message)
    },
  }
  function findings(): readonly LayerFinding[] {
    const codes = Object.keys(LAYER_RULES) as LayerRule[] // its keys are what LayerRule is made of
    const all = codes.flatMap((code): LayerFinding[] => {
      const group = found.get(code)
      return group ? [{ code, ...LAYER_RULES[code], ...group }] : []
    })
    return all.sort((a, b) => Number(b.severity === 'error') - Number(a.severity === 'error'))
  }
  return { report, findings }
}
