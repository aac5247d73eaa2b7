/** `stowage diff`: compares what two bundles, inventories or places have. */
import type { ImageDifference } from '../delta/places.js'
import { formatSize } from '../size-text.js'
import { type DiffResult, diffPlaces } from '../verbs/diff.js'
import { command, flag, required } from './command.js'
import { HOST_OPTION, readRegistryOptions, REGISTRY_OPTIONS } from './image-options.js'
import { shortDigest } from './image-names.js'
import { count, table } from './render.js'
import { familiar } from './store-options.js'

const FORMS = 'a bundle, an inventory, or a place as for "inventory"'

export const diff = command({
  operands: {
    from: required(`What is compared: ${FORMS}`, 'path'),
    to: required(`What it is compared with: ${FORMS}`, 'path'),
  },
  options: {
    all: flag('List images that are the same, too', { alias: 'a' }),
    host: HOST_OPTION,
    ...REGISTRY_OPTIONS,
  },
  examples: [
    ['diff site-a-march site-a-april', 'What the second bundle has that the first does not'],
    ['diff site-a.json site-a-april', 'What a site, by its inventory, does not have of a bundle'],
  ],
  run: async ({ from, to, all, host, ...options }, { signal, onProgress, report, notice }) => {
    const settings = { host, ...readRegistryOptions(options), signal, onNotice: notice, onProgress }
    const result = await diffPlaces(from, to, settings)
    report({ schema: 'stowage.diff/v1', ...result }, text(result, all))
  },
})

const SIGNS: Readonly<Record<ImageDifference['change'], string>> = {
  added: '+',
  removed: '-',
  changed: '~',
  same: '=',
  unknown: '?',
}

function text({ images, layers }: DiffResult, all: boolean): string {
  const shown = images.filter(({ change }) => all || change !== 'same')
  const rows = shown.map(({ name, change, before, after, newLayers, newSize }) => [
    SIGNS[change],
    familiar(name),
    before ? shortDigest(before) : '-',
    after ? shortDigest(after) : '-',
    newLayers === 0 ? '-' : `${count(newLayers, 'layer')}${newSize === undefined ? '' : `, ${formatSize(newSize)}`}`,
  ])
  const of = (change: ImageDifference['change']): number => images.filter(image => image.change === change).length
  const counts = [
    `${of('added')} added`,
    `${of('removed')} removed`,
    `${of('changed')} changed`,
    `${of('same')} the same`,
    ...(of('unknown') > 0 ? [`${of('unknown')} that cannot be compared`] : []),
  ]
  const sizes = `${layers.added} added (${formatSize(layers.addedSize)}), ${layers.removed} removed (${formatSize(layers.removedSize)}), ${layers.common} the same`
  const listed = rows.length === 0 ? '' : table(['', 'NAME', 'BEFORE', 'AFTER', 'NEW'], rows)
  return `${listed}Images: ${counts.join(', ')}\nLayers: ${sizes}\n`
}
