/** `stowage wim info`: shows a WIM and its images, and changes the names and other properties of the images. */
import { writeFile } from 'node:fs/promises'
import { outputError, StowageError } from '../../errors.js'
import { readHeader } from '../../wim/header.js'
import type { BlobCounts } from '../../wim/missing.js'
import { encodeText } from '../../wim/text-file.js'
import type { WimFile } from '../../wim/wim-file.js'
import { printable } from '../render.js'
import type { Session } from '../session.js'
import { chooseWimImage, chooseOneImage, openWimArchive } from './archive.js'
import { flag, value, values as listOf } from '../command.js'
import { wimCommand, type WimValues } from './command.js'
import { archiveText, blobsDocument, headerText, imageDocument, imageText } from './info-text.js'
import { INTEGRITY, NO_CHECK, REF, writeOptions } from './options.js'
import { watch } from './progress.js'
import { resourceText } from './text.js'
import { parseProperty } from './values.js'

const OPTIONS = {
  ...INTEGRITY,
  ...NO_CHECK,
  ...REF,
  boot: flag('Make IMAGE bootable; 0 means none'),
  'image-property': listOf('NAME=VALUE to set in the XML of IMAGE; may be repeated'),
  header: flag('Show the header of the file, field by field'),
  blobs: flag('List every blob', { alias: 'lookup-table' }),
  xml: flag('Write the raw XML document (UTF-16LE) to stdout'),
  'extract-xml': value('Write the raw XML document (UTF-16LE) to this file', { takes: 'path' }),
} as const

type Values = WimValues<typeof OPTIONS>

export const info = wimCommand({
  name: 'info',
  operands: 'WIMFILE [IMAGE [NEW_NAME [NEW_DESC]]]',
  options: OPTIONS,
  examples: [
    ['info install.wim 1 "Server Core" "without a desktop"', 'Give image 1 a name and a description'],
    ['info boot.wim 2 --boot', 'Make image 2 the bootable one'],
  ],
  run: async (values, operands, session) => {
    const [, , name] = operands
    const changes = name !== undefined || values.boot || values['image-property'].length > 0
    if (changes) await change(values, operands, session)
    else await show(values, operands, session)
  },
})

async function show(values: Values, [path = '', selector]: readonly string[], session: Session): Promise<void> {
  const wim = await openWimArchive(path, values, session)
  const chosen = selector === undefined ? 'all' : await chooseWimImage(wim, selector)
  const numbers = chosen === 'all' ? wim.images().map(({ index }) => index) : [chosen]
  const { header, blobs, xml, 'extract-xml': xmlFile } = values
  const raw = xml || xmlFile !== undefined ? Buffer.from(`\ufeff${await wim.xml()}`, 'utf16le') : undefined
  if (xmlFile !== undefined && raw) {
    await writeFile(xmlFile, raw, { signal: session.signal }).catch((error: unknown) => {
      throw outputError(error, xmlFile)
    })
  }
  if (values.json) {
    const counts = await countBlobs(wim, session)
    const images = await Promise.all(numbers.map(number => imageDocument(wim, number, counts?.images[number - 1])))
    session.report(
      {
        schema: 'stowage.wim-info/v1',
        path,
        wim: { ...wim.info, ...blobsDocument(counts) },
        images,
        header: header ? await readHeader(path) : undefined,
        blobs: blobs ? await wim.resources() : undefined,
        xml: xml ? await wim.xml() : undefined,
      },
      '',
    )
    return
  }
  const print = async (text: string): Promise<void> =>
    session.print(encodeText(process.stdout.isTTY ? printable(text) : text))
  if (header) await print(headerText(await readHeader(path)))
  if (blobs) await print((await wim.resources()).map(resource => `${resourceText(resource)}\n`).join(''))
  if (xml && raw) await session.print(raw)
  if (header || blobs || raw) return
  const [document, counts] = [await wim.xml(), await countBlobs(wim, session)]
  if (chosen === 'all') await print(`${archiveText(path, wim.info, document, counts)}${title('Available Images:')}`)
  else await print(title(`Information for Image ${chosen}`))
  for (const number of numbers) await print(`${await imageText(wim, number, document, counts?.images[number - 1])}\n`)
}

/** What the images use and lack; undefined, with a note, if the metadata of one cannot be read. */
async function countBlobs(wim: WimFile, { signal, note }: Session): Promise<BlobCounts | undefined> {
  try {
    return await wim.countBlobs({ signal })
  } catch (error) {
    if (!(error instanceof StowageError) || error.code === 'ABORTED') throw error
    note(`warning: it is not known whether blobs are missing: ${error.message}`)
    return undefined
  }
}

function title(text: string): string {
  return `${text}\n${'-'.repeat(text.length)}\n`
}

async function change(
  values: Values,
  [path = '', selector, name, description]: readonly string[],
  session: Session,
): Promise<void> {
  const properties = values['image-property'].map(parseProperty)
  if (name !== undefined) properties.push({ name: 'NAME', value: name })
  if (description !== undefined) properties.push({ name: 'DESCRIPTION', value: description })
  await using wim = await openWimArchive(path, { check: values.check, writeAccess: true }, session)
  const none = selector === '0' && values.boot
  if (none && properties.length > 0) throw new StowageError('IMAGE_NOT_FOUND', 'there is no image 0 to change')
  const image = none ? 0 : await chooseOneImage(wim, selector)
  const options = writeOptions(values)
  const lines: string[] = []
  for (const property of properties) {
    if ((await wim.property(image, property.name)) === property.value) continue
    lines.push(`Setting the ${property.name} property of image ${image} to "${property.value}".`)
    await wim.setProperty(image, property.name, property.value)
  }
  if (values.boot && wim.info.bootIndex !== image) {
    lines.push(none ? 'Marking no image as bootable.' : `Marking image ${image} as bootable.`)
    await wim.setInfo({ bootIndex: image })
  }
  const changed = lines.length > 0 || (options.integrityTable ?? wim.info.integrityTable) !== wim.info.integrityTable
  if (changed) await wim.overwrite({ ...options, ...watch(session, path) })
  const text = changed ? lines : [`The file "${path}" was not modified because nothing needed to be done.`]
  session.report(
    {
      schema: 'stowage.wim-info-change/v1',
      path,
      changed,
      images: await Promise.all(none ? [] : [imageDocument(wim, image)]),
    },
    printable(text.map(line => `${line}\n`).join('')),
  )
}
