/** `stowage layer check`: whether a Windows host will take a layer, rule by rule. */
import type { CommandModule } from 'yargs'
import { checkLayer, type LayerCheck } from '../../layer/read/check.js'
import { openLayer } from '../../layer/read/read-layer.js'
import { EXIT_FAILED } from '../exit-code.js'
import { count, printable } from '../render.js'
import { type GlobalOptions, withSession } from '../session.js'
import { layerNames, READABLE } from './names.js'

interface Options extends GlobalOptions {
  readonly layers: readonly string[]
  readonly 'not-base': boolean
  readonly strict: boolean
}

export const check: CommandModule<GlobalOptions, Options> = {
  command: 'check <layers..>',
  describe: 'Check in advance whether a Windows host will accept a layer',
  builder: yargs =>
    yargs
      .positional('layers', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: `Layers: tars, ${READABLE}; - is stdin`,
      })
      .option('not-base', {
        type: 'boolean',
        default: false,
        describe: 'Check it as an upper layer, which need not contain what a base layer must',
      })
      .option('strict', { type: 'boolean', default: false, describe: 'Treat warnings as errors' })
      .example('$0 layer check layer.tar.gz', 'Exits with 0 if a host would accept it, with 1 if not')
      .example('$0 layer from-wim a.wim -o l.tar.gz && $0 layer check l.tar.gz --strict', 'Make a layer, and check it'),
  handler: async ({ layers, 'not-base': upper, strict, ...options }) => {
    await withSession(options, async ({ signal, onProgress, report, print }) => {
      const results: (LayerCheck & { readonly path: string })[] = []
      for (const path of layerNames(layers)) {
        const result = await checkLayer(await openLayer(path), { base: !upper, strict, signal, onProgress })
        results.push({ path, ...result })
        // At once: the next layer may be one that cannot be read
        if (!options.json) await print(text(path, result))
      }
      const ok = results.every(result => result.ok)
      report({ schema: 'stowage.layer-check/v1', ok, layers: results }, '')
      if (!ok) process.exitCode = EXIT_FAILED
    })
  },
}

function text(path: string, { ok, entries, findings }: LayerCheck): string {
  const lines = findings.map(({ code, severity, explanation, count: times, cases }) => {
    const told = cases.map(({ path: at, message }) => {
      const line = `${at === undefined ? '' : `${at}: `}${message}`
      return `  ${line.replaceAll('\n', '\\n')}\n`
    })
    const rest = times > cases.length ? `  and ${times - cases.length} more\n` : ''
    return `${severity}  ${code}: ${explanation}\n${told.join('')}${rest}`
  })
  const total = (severity: string): number => findings.filter(finding => finding.severity === severity).length
  const [errors, warnings] = [total('error'), total('warning')]
  const found = [
    ...(errors > 0 ? [count(errors, 'error')] : []),
    ...(warnings > 0 ? [count(warnings, 'warning')] : []),
  ].join(', ')
  const verdict = `${ok ? 'OK' : errors > 0 ? 'a Windows host would not take it' : 'not OK'}${found === '' ? '' : `, ${found}`}`
  return printable(`${lines.join('')}${path}: ${verdict} (${count(entries, 'entry', 'entries')} read)\n`)
}
