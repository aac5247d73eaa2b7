/** `stowage layer diff`: what differs between two layers, as diff(1) tells it: exit code 0 for nothing, 1 for something. */
import type { CommandModule } from 'yargs'
import { DIFF_FIELDS, type DiffField, diffLayers, type LayerDiff } from '../../layer/read/diff.js'
import { openLayer } from '../../layer/read/read-layer.js'
import { EXIT_FAILED } from '../exit-code.js'
import { printable } from '../render.js'
import { type GlobalOptions, withSession } from '../session.js'
import { layerNames, READABLE } from './names.js'

interface Options extends GlobalOptions {
  readonly a: string
  readonly b: string
  readonly ignore: readonly DiffField[]
}

export const diff: CommandModule<GlobalOptions, Options> = {
  command: 'diff <a> <b>',
  describe: 'Show how two layers differ, regardless of order and compression',
  builder: yargs =>
    yargs
      .positional('a', {
        type: 'string',
        demandOption: true,
        describe: `A layer: a tar, ${READABLE}; - is stdin`,
      })
      .positional('b', { type: 'string', demandOption: true, describe: 'The layer to compare it with' })
      .option('ignore', {
        choices: DIFF_FIELDS,
        array: true,
        default: [] as DiffField[],
        requiresArg: true,
        describe: 'Ignore this difference; may be repeated',
      })
      .example('$0 layer diff old.tar.gz new.tar.zst', 'Exits with 0 if their contents are the same, with 1 if not')
      .example('$0 layer diff a.tar b.tar --ignore times --ignore owner', 'Ignore times and owners'),
  handler: async ({ a, b, ignore, ...options }) => {
    await withSession(options, async ({ signal, onProgress, report }) => {
      const [one = '', other = ''] = layerNames([a, b])
      const result = await diffLayers(await openLayer(one), await openLayer(other), { ignore, signal, onProgress })
      const facts = { a: { path: a, ...result.a }, b: { path: b, ...result.b } }
      report({ schema: 'stowage.layer-diff/v1', ...result, ...facts, ignored: ignore }, text(result))
      if (!result.same) process.exitCode = EXIT_FAILED
    })
  },
}

/** Nothing where nothing differs. */
function text({ added, removed, changed }: LayerDiff): string {
  const lines = [
    ...removed.map(path => ({ path, line: `- ${path}` })),
    ...added.map(path => ({ path, line: `+ ${path}` })),
    ...changed.map(({ path, fields }) => ({
      path,
      line: `! ${path} (${fields.map(({ field }) => field).join(', ')})`,
    })),
  ]
  lines.sort((x, y) => (x.path < y.path ? -1 : x.path > y.path ? 1 : 0))
  return printable(lines.map(({ line }) => `${line.replaceAll('\n', '\\n')}\n`).join(''))
}
