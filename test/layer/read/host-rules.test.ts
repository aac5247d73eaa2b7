import { readFileSync } from 'node:fs'
import t from 'tap'
import { LAYER_RULES } from '../../../src/layer/read/check-rules.js'
import { checkLayer, type LayerCheck } from '../../../src/layer/read/check.js'
import { NAME_FAULTS } from '../../support/faults/names.js'
import { RECORD_FAULTS } from '../../support/faults/records.js'
import type { Row } from '../../support/faults/row.js'
import { UPPER_FAULTS } from '../../support/faults/upper.js'
import { makeTar } from '../../support/layers.js'

// No Windows host and none of its importers runs here. Each row names the lines of hcsshim, go-winio or Go, or the
// section of Microsoft's specifications, that its verdict was read from; the test holds `layer check` to these verdicts.
const ROWS: readonly Row[] = [...NAME_FAULTS, ...RECORD_FAULTS, ...UPPER_FAULTS]

async function check({ entries, upper }: Row): Promise<LayerCheck> {
  const tar = makeTar(entries)
  async function* bytes(): AsyncGenerator<Uint8Array> {
    yield tar
  }
  return await checkLayer({ name: 'layer', bytes: bytes(), size: tar.length }, { base: !upper })
}

t.test('checkLayer() grades each single fault as the sources of the importers do', async t => {
  for (const row of ROWS) {
    const name = `${row.upper ? 'upper' : 'base'}: ${row.name}`
    const { ok, findings } = await check(row)
    const found = findings.map(({ code }) => code).sort()
    t.same(found, row.finds, `${name}: ${row.ordinary.source}`)
    t.equal(ok, row.ordinary.takes, `${name}: the ordinary importer ${row.ordinary.takes ? 'takes' : 'refuses'} it`)
    t.equal(
      findings.some(({ grade }) => grade === 'refused'),
      !row.ordinary.takes,
    )
    if (!row.ordinary.takes || row.cim.takes === undefined) continue
    t.equal(
      findings.some(({ grade }) => grade === 'cim'),
      !row.cim.takes,
      `${name}: the importer for CimFS ${row.cim.takes ? 'takes' : 'refuses'} it: ${row.cim.source}`,
    )
  }
})

t.test('the rows are many, each is another layer, and every rule has one', t => {
  t.ok(ROWS.length >= 150, `${ROWS.length} rows`)
  t.equal(new Set(ROWS.map(({ name, upper }) => `${upper} ${name}`)).size, ROWS.length, 'names')
  t.equal(new Set(ROWS.map(({ entries, upper }) => JSON.stringify([upper, entries]))).size, ROWS.length, 'layers')
  // check.test.ts has these, which need bytes that no entry of a row can have
  const told = new Set<string>([...ROWS.flatMap(({ finds }) => finds), 'NOT_UTF8', 'GLOBAL_HEADER'])
  t.same(
    Object.keys(LAYER_RULES).filter(code => !told.has(code)),
    [],
  )
  t.end()
})

t.test('docs/layer-check.md has every rule with its grade and explanation, and no other', t => {
  const text = readFileSync('docs/layer-check.md', 'utf8').replaceAll('\\|', '¦')
  const rows = [...text.matchAll(/^\| `([A-Z0-9_]+)` \| (refused|cim|doubtful) \| ([^|]+) \| [^|]+ \|$/gm)]
  t.same(
    rows.map(([, code, grade, explanation]) => [code, grade, explanation?.replaceAll('¦', '|')]),
    Object.entries(LAYER_RULES).map(([code, { grade, explanation }]) => [code, grade, explanation]),
  )
  for (const [code, { grade, severity }] of Object.entries(LAYER_RULES))
    t.equal(severity, grade === 'refused' ? 'error' : 'warning', code)
  t.end()
})
