/** Checks in one pass whether a Windows host will accept a layer, and lists the rules that it breaks. */
import type { WaitOptions } from '../../progress.js'
import { HIVE_HEAD } from '../../windows/registry-hive.js'
import { BASE_RULES, LAYER_RULES, type LayerGrade, type LayerRule } from './check-rules.js'
import { checkTree } from './check-tree.js'
import { type LayerFacts, type LayerSource, readLayer } from './read-layer.js'

export interface CheckLayerOptions extends WaitOptions {
  /** True (the default) for a base layer, with everything that one must contain; false for a layer based on others. */
  readonly base?: boolean | undefined
  /** Treat warnings as errors. */
  readonly strict?: boolean | undefined
}

/** A broken rule, and where it is broken. */
export interface LayerFinding {
  readonly code: LayerRule
  /** Whether a host refuses the layer, only its importer for CimFS does, or it takes the layer but something is wrong. */
  readonly grade: LayerGrade
  /** An error if the grade is `refused`, else a warning. */
  readonly severity: 'error' | 'warning'
  /** What Windows does or requires, in one sentence. */
  readonly explanation: string
  /** Number of cases. */
  readonly count: number
  /** The first ten cases. */
  readonly cases: readonly { readonly path: string | undefined; readonly message: string }[]
}

export interface LayerCheck extends LayerFacts {
  /** Whether a Windows host would accept the layer, according to the rules. */
  readonly ok: boolean
  /** Number of entries read. */
  readonly entries: number
  /** One for each broken rule: first what is refused, then what CimFS refuses, then what is doubtful. */
  readonly findings: readonly LayerFinding[]
}

/** Worst first. */
const GRADES: readonly LayerGrade[] = ['refused', 'cim', 'doubtful']

/** Maximum number of cases listed for a rule. */
const CASES = 10

/**
 * Checks the layer against the rules of docs/layer-check.md. A layer of another system gets a single finding, not one
 * for each file. Memory grows with the number of names, not with their contents. Throws LAYER_CORRUPT if the layer
 * cannot be read, UNSUPPORTED, ABORTED.
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

/** Collects reports as findings, one for each rule, ordered by grade. `base` includes the rules for base layers. */
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
    /** Reports a rule about the whole layer, and discards all other findings. */
    only(rule: LayerRule, message: string): void {
      found.clear()
      report.add(rule, undefined, message)
    },
  }
  function findings(): readonly LayerFinding[] {
    const codes = Object.keys(LAYER_RULES) as LayerRule[] // LayerRule is the type of its keys
    const all = codes.flatMap((code): LayerFinding[] => {
      const group = found.get(code)
      return group ? [{ code, ...LAYER_RULES[code], ...group }] : []
    })
    return all.sort((a, b) => GRADES.indexOf(a.grade) - GRADES.indexOf(b.grade))
  }
  return { report, findings }
}
