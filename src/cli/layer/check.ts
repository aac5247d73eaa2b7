/** `stowage layer check`: checks whether a Windows host will accept a layer. */
import { command, flag, oneOrMore } from '../command.js'
import { checkLayer, type LayerCheck } from '../../layer/read/check.js'
import type { LayerGrade } from '../../layer/read/check-rules.js'
import { openLayer } from '../../layer/read/read-layer.js'
import { EXIT_FAILED } from '../exit-code.js'
import { count, printable } from '../render.js'
import { layerNames, READABLE } from './names.js'

export const check = command({
  operands: {
    layers: oneOrMore(`Layers: tars, ${READABLE}; - is stdin`, 'path'),
  },
  options: {
    'not-base': flag('Check it as an upper layer, which need not contain what a base layer must'),
    strict: flag('Fail for every finding, also for what is doubtful or refused by the CimFS importer only'),
  },
  examples: [
    ['layer check layer.tar.gz', 'Exits with 0 if a host would accept it, with 1 if not'],
    ['layer from-wim a.wim -o l.tar.gz && stowage layer check l.tar.gz --strict', 'Make a layer, and check it'],
  ],
  run: async ({ layers, 'not-base': upper, strict, ...options }, { signal, onProgress, report, print }) => {
    const results: (LayerCheck & { readonly path: string })[] = []
    for (const path of layerNames(layers)) {
      const result = await checkLayer(await openLayer(path, { signal }), { base: !upper, strict, signal, onProgress })
      results.push({ path, ...result })
      // Print each result at once: the next layer may be unreadable
      if (!options.json) await print(text(path, result))
    }
    const ok = results.every(result => result.ok)
    report({ schema: 'stowage.layer-check/v1', ok, layers: results }, '')
    if (!ok) process.exitCode = EXIT_FAILED
  },
})

const GRADES: readonly (readonly [grade: LayerGrade, name: string])[] = [
  ['refused', 'refused'],
  ['cim', 'refused by CimFS'],
  ['doubtful', 'doubtful'],
]
const NAMES = new Map(GRADES)

function text(path: string, { ok, entries, findings }: LayerCheck): string {
  const lines = findings.map(({ code, grade, explanation, count: times, cases }) => {
    const caseLines = cases.map(({ path: at, message }) => {
      const line = `${at === undefined ? '' : `${at}: `}${message}`
      return `  ${line.replaceAll('\n', '\\n')}\n`
    })
    const rest = times > cases.length ? `  and ${times - cases.length} more\n` : ''
    return `${NAMES.get(grade)}  ${code}: ${explanation}\n${caseLines.join('')}${rest}`
  })
  const totals = GRADES.map(([grade, name]) => ({
    name,
    total: findings.filter(found => found.grade === grade).length,
  }))
  const found = totals.filter(({ total }) => total > 0).map(({ name, total }) => `, ${total} ${name}`)
  const refused = findings.some(({ grade }) => grade === 'refused')
  const verdict = ok ? 'OK' : refused ? 'a Windows host would reject it' : 'not OK'
  const read = `(${count(entries, 'entry', 'entries')} read)`
  return printable(`${lines.join('')}${path}: ${verdict}${found.join('')} ${read}\n`)
}
