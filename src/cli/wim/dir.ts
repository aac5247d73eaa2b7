/** `stowage wim dir`: lists the files of an image. */
import type { DirectoryEntry } from '../../wim/entry.js'
import type { EntriesOptions } from '../../wim/options.js'
import { encodeText } from '../../wim/text-file.js'
import type { WimFile } from '../../wim/wim-file.js'
import { jsonText, printable } from '../render.js'
import type { Session } from '../session.js'
import { chooseWimImage, openWimArchive } from './archive.js'
import { flag, value } from '../command.js'
import { wimCommand } from './command.js'
import { REF } from './options.js'
import { entryText } from './text.js'

export const dir = wimCommand({
  name: 'dir',
  operands: 'WIMFILE [IMAGE]',
  options: {
    ...REF,
    path: value('Start at this path instead of the root'),
    detailed: flag('Show all details of each file; --json always does'),
    'one-file-only': flag('List only the file or directory itself, not its contents'),
  },
  examples: [['dir install.wim 1 --path=/Windows --one-file-only --detailed', 'Details of one directory']],
  run: async (values, [path = '', selector], session) => {
    const wim = await openWimArchive(path, values, session)
    const chosen = await chooseWimImage(wim, selector)
    const images = chosen === 'all' ? wim.images().map(({ index }) => index) : [chosen]
    const options: EntriesOptions = {
      path: values.path,
      recursive: !values['one-file-only'],
      signal: session.signal,
    }
    if (values.json) await printDocument(wim, path, images, options, session)
    else await printText(wim, images, options, values.detailed, session)
  },
})

/** Prints entries as wimlib-imagex does. Names are printed unchanged, unless stdout is a terminal. */
async function printText(
  wim: WimFile,
  images: readonly number[],
  options: EntriesOptions,
  detailed: boolean,
  { print }: Session,
): Promise<void> {
  const line: (entry: DirectoryEntry) => string = detailed ? entryText : ({ path }) => `${path}\n`
  const safe = process.stdout.isTTY ? printable : (text: string) => text
  for (const image of images) {
    for await (const batch of wim.entryBatches(image, options)) await print(encodeText(safe(batch.map(line).join(''))))
  }
}

/** Prints one JSON document with a line for each file, as the files are read. */
async function printDocument(
  wim: WimFile,
  path: string,
  images: readonly number[],
  options: EntriesOptions,
  { print }: Session,
): Promise<void> {
  let before = `{"schema": "stowage.wim-dir/v1", "path": ${jsonText(path)}, "images": [`
  for (const image of images) {
    const { index, name } = wim.image(image)
    before += `\n{"index": ${index}, "name": ${jsonText(name)}, "entries": [\n`
    await print(before)
    for await (const piece of wim.entriesAsJson(image, options)) await print(piece)
    before = image === images.at(-1) ? '\n]}' : '\n]},'
  }
  await print(`${before}]}\n`)
}
