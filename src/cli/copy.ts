/** `stowage copy`: one image from one place to another. */
import { DEFAULT_STORE } from './locations.js'
import { imageForms } from './locations.js'
import { sourceForms } from './locations.js'
import { command, required, value } from './command.js'
import { copy as copyBetween, type CopyResult } from '../verbs/copy.js'
import { familiarReference, formatReference } from '../oci/reference.js'
import { shortDigest } from './image-names.js'
import { IMAGE_OPTIONS, readImageOptions } from './image-options.js'
import { LAYER_OPTIONS, readLayerOptions } from './layer-options.js'
import { formatSize, lostText, printable, table } from './render.js'

export const copy = command({
  operands: {
    source: required(sourceForms()),
    destination: required(`${imageForms()}; ${DEFAULT_STORE}`),
  },
  options: {
    ...LAYER_OPTIONS,
    ...IMAGE_OPTIONS,
    tag: value('Name of the image at the destination', { alias: 't' }),
  },
  examples: [
    ['copy docker-daemon:shop:2.3 docker://registry.example/team/shop:2.3', 'From the engine to a registry'],
    ['copy bundle:site-a:nanoserver:1 wim:NanoServer.wim', 'Turn the layers of an image back into a WIM'],
    ['copy wim:NanoServer.wim oci: --compression zstd', 'A WIM as an image in the default store'],
  ],
  run: async ({ source, destination, tag, ...options }, { signal, onProgress, report, note }) => {
    const layer = { ...readLayerOptions(options), onWarning: (warning: string) => note(`warning: ${warning}`) }
    const copied = await copyBetween(source, destination, {
      ...readImageOptions(options),
      name: tag,
      layer,
      wim: { threads: layer.threads },
      onNotice: note,
      signal,
      onProgress,
    })
    report(copyDocument(copied), copyText(copied))
  },
})

export function copyDocument({ names, ...copied }: CopyResult): Readonly<Record<string, unknown>> {
  return { schema: 'stowage.copy/v1', ...copied, names: names.map(formatReference) }
}

export function copyText({ from, to, names, id, sent, skipped, platforms, leftOut, lost = [] }: CopyResult): string {
  const left = leftOut.map(line => `left out: ${line}\n`).join('')
  return printable(
    table(
      ['IMAGE', names.map(familiarReference).join(', ') || '-'],
      [
        ['from', from],
        ['to', to],
        ['id', shortDigest(id)],
        ['platforms', platforms.join(', ') || '-'],
        ['sent', `${formatSize(sent)}, ${formatSize(skipped)} left out`],
      ],
    ) +
      left +
      lostText(lost),
  )
}
