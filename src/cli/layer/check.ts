/** `stowage layer check`: checks whether a Windows host will accept a layer. */
import { command, flag, oneOrMore } from '../command.js'
import { checkLayer, type LayerCheck } from '../../layer/read/check.js'
import { openLayer } from '../../layer/read/read-layer.js'
import { EXIT_FAILED } from '../exit-code.js'
import { count, printable } from '../render.js'
import { layerNames, READABLE } from './names.js'

export const check = command({
  operands: {
    layers: oneOrMore(`Layers: tars, ${READABLE}; - is stdin`),
  },
  options: {
    'not-base': flag('Check it as an upper layer, which need not contain what a base layer must'),
    strict: flag('Treat warnings as errors'),
  },
  examples: [
    ['layer check layer.tar.gz', 'Exits with 0 if a host would accept it, with 1 if not'],
    ['layer from-wim a.wim -o l.tar.gz && stowage layer check l.tar.gz --strict', 'Make a layer, and check it'],
  ],
  run: async ({ layers, 'not-base': upper, strict, ...options }, { signal, onProgress, report, print }) => {
    const results: (LayerCheck & { readonly path: string })[] = []
    for (const path of layerNames(layers)) {
      const result = await checkLayer(await openLayer(path), { base: !upper, strict, signal, onProgress })
      results.push({ path, ...result })
      // Print each result at once: the next layer may be unreadable
      if (!options.json) await print(text(path, result))
    }
    const ok = results.every(result => result.ok)
    report({ schema: 'stowage.layer-check/v1', ok, layers: results }, '')
    if (!ok) process.exitCode = EXIT_FAILED
  },
})

function text(path: string, { ok, entries, findings }: LayerCheck): string {
  const lines = findings.map(({ code, severity, explanation, count: times, cases }) => {
    const caseLines = cases.map(({ path: at, message }) => {
      const line = `${at === undefined ? '' : `${at}: `}${message}`
      return `  ${line.replaceAll('\n', '\\n')}\n`
    })
    const rest = times > cases.length ? `  and ${times - cases.length} more\n` : ''
    return `${severity}  ${code}: ${explanation}\n${caseLines.join('')}${rest}`
  })
  const total = (severity: string): number => findings.filter(finding => finding.severity === severity).length
  const [errors, warnings] = [total('error'), total('warning')]
  const found = [
    ...(errors > 0 ? [count(errors, 'error')] : []),
    ...(warnings > 0 ? [count(warnings, 'warning')] : []),
  ].join(', ')
  const verdict = `${ok ? 'OK' : errors > 0 ? 'a Windows host would reject it' : 'not OK'}${found === '' ? '' : `, ${found}`}`
  return printable(`${lines.join('')}${path}: ${verdict} (${count(entries, 'entry', 'entries')} read)\n`)
}
