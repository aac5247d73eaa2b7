/** `stowage inventory`: lists what a place has, so that a bundle for it can leave that out. */
import { writeDurably } from '../blob/durable.js'
import { encodeInventory } from '../delta/inventory-file.js'
import { formsOf } from '../transport/location.js'
import { takeInventory } from '../verbs/inventory.js'
import { command, optional, value } from './command.js'
import { HOST_OPTION, readRegistryOptions, REGISTRY_OPTIONS } from './image-options.js'
import { USED_WITHOUT_ENGINE } from './locations.js'
import { count } from './render.js'

export const inventory = command({
  operands: {
    place: optional(
      `${formsOf(transport => transport.inventory)}; the Docker Engine by default, ${USED_WITHOUT_ENGINE}`,
      'store',
    ),
  },
  options: {
    output: value('Write it to this file instead of standard output', { alias: 'o', takes: 'path' }),
    host: HOST_OPTION,
    ...REGISTRY_OPTIONS,
  },
  examples: [
    ['inventory > site-a.json', 'What the Docker Engine has, for "pack --have site-a.json"'],
    ['inventory docker://registry.example:5000/mirror -o site-a.json', 'What a registry has below a prefix'],
  ],
  run: async ({ place, output, host, ...options }, { signal, onProgress, report, print, notice }) => {
    const settings = { host, ...readRegistryOptions(options), signal, onNotice: notice, onProgress }
    const document = await takeInventory(place, settings)
    const text = encodeInventory(document)
    if (output === undefined) {
      await print(text)
      return
    }
    await writeDurably(output, Buffer.from(text))
    const { images, kind } = document
    report(
      { schema: 'stowage.inventory-file/v1', path: output, place: document.place, kind, images: images.length },
      `Wrote ${output}: ${count(images.length, 'image')} of ${document.place}\n`,
    )
  },
})
