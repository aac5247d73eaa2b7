/**
 * `stowage layer diff`: compares two layers, with the exit codes of diff(1): 0 if they are the same, 1 if they differ.
 */
import { choices, command, required } from '../command.js'
import { DIFF_FIELDS, diffLayers, type LayerDiff } from '../../layer/read/diff.js'
import { openLayer } from '../../layer/read/read-layer.js'
import { EXIT_FAILED } from '../exit-code.js'
import { printable } from '../render.js'
import { layerNames, READABLE } from './names.js'

export const diff = command({
  operands: {
    a: required(`A layer: a tar, ${READABLE}; - is stdin`, 'path'),
    b: required('The layer to compare it with', 'path'),
  },
  options: {
    ignore: choices('Ignore this difference; may be repeated', DIFF_FIELDS),
  },
  examples: [
    ['layer diff old.tar.gz new.tar.zst', 'Exits with 0 if their contents are the same, with 1 if not'],
    ['layer diff a.tar b.tar --ignore times --ignore owner', 'Ignore times and owners'],
  ],
  run: async ({ a, b, ignore }, { signal, onProgress, report }) => {
    const [one = '', other = ''] = layerNames([a, b])
    const result = await diffLayers(await openLayer(one, { signal }), await openLayer(other, { signal }), {
      ignore,
      signal,
      onProgress,
    })
    const facts = { a: { path: a, ...result.a }, b: { path: b, ...result.b } }
    report({ schema: 'stowage.layer-diff/v1', ...result, ...facts, ignored: ignore }, text(result))
    if (!result.same) process.exitCode = EXIT_FAILED
  },
})

/** One line for each path that differs. */
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
