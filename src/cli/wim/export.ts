/** `stowage wim export`: copies images to another WIM. */
import { stat } from 'node:fs/promises'
import { StowageError } from '../../errors.js'
import type { ExportOptions, ImageNumber, OutputOptions } from '../../wim/options.js'
import { createWim, type WimFile } from '../../wim/wim-file.js'
import type { Session } from '../session.js'
import { chooseWimImage, openWimArchive, refuseSameFile } from './archive.js'
import { flag } from '../command.js'
import { wimCommand, type WimValues } from './command.js'
import {
  ifSet,
  COMPRESSION,
  compressionRequest,
  defaultOutput,
  INTEGRITY,
  NO_CHECK,
  PIPABLE,
  REBUILD,
  REF,
  THREADS,
  UNSAFE_COMPACT,
  writeOptions,
} from './options.js'
import { reportWritten, writeNewWim } from './output.js'
import { watch } from './progress.js'

const OPTIONS = {
  boot: flag('Make the exported image bootable; with all, the one that is bootable in the source'),
  ...INTEGRITY,
  ...NO_CHECK,
  ...COMPRESSION,
  ...THREADS,
  ...REF,
  ...PIPABLE,
  ...REBUILD,
  ...UNSAFE_COMPACT,
  recompress: flag('Recompress even what already has the wanted compression'),
  wimboot: flag('Make the exported image ready for WIMBoot'),
} as const

export const exportImages = wimCommand({
  name: 'export',
  operands: 'SRC_WIMFILE SRC_IMAGE DEST_WIMFILE [DEST_IMAGE_NAME [DEST_IMAGE_DESC]]',
  options: OPTIONS,
  examples: [
    [
      'export install.esd 4 install.wim --compress=lzx',
      'One image of a solid WIM, for programs that cannot read those',
    ],
  ],
  run: async (values, [path = '', selector = '', destination = '', name, description], session) => {
    const source = await openWimArchive(path, values, session)
    const image = await chooseWimImage(source, selector)
    const boot = ifSet(values.boot)
    if (image === 'all' && name !== undefined) {
      throw new StowageError('INVALID_ARGUMENT', 'several images cannot be given the same name')
    }
    if (image === 'all' && boot && source.info.bootIndex === 0) {
      throw new StowageError('INVALID_ARGUMENT', `--boot: no image of ${path} is bootable`, {
        hint: 'Export only the image that should be bootable.',
      })
    }
    const options: ExportOptions = { boot, name, description, wimboot: ifSet(values.wimboot) }
    if (destination !== '-' && (await exists(destination))) {
      await refuseSameFile(destination, source.parts, 'the source')
      await exportToExisting(source, image, destination, options, values, session)
    } else {
      await exportToNew(source, image, destination, options, values, session)
    }
  },
})

type Values = WimValues<typeof OPTIONS>

async function exportToNew(
  source: WimFile,
  image: ImageNumber,
  path: string,
  options: ExportOptions,
  values: Values,
  session: Session,
): Promise<void> {
  if (values['unsafe-compact']) {
    throw new StowageError('INVALID_ARGUMENT', `--unsafe-compact is for an existing WIM, and ${path} does not exist`)
  }
  const request = compressionRequest(values)
  const output = defaultOutput(request, values.wimboot, source.info.compression)
  const wim = await createWim({ compression: output.compression })
  await wim.setOutput(withChunkSizeOf(source, output))
  await source.exportImage(image, wim, { ...options, ...watch(session, path) })
  await writeNewWim(wim, path, { ...writeOptions(values), ...request.write }, session)
  reportWritten(wim, 'stowage.wim-export/v1', path, imagesFrom(wim, 0), session)
}

/** Adds the chunk size of the source to `output` if the compression stays the same. */
function withChunkSizeOf({ info }: WimFile, output: OutputOptions): OutputOptions {
  const same = output.chunkSize === undefined && output.compression === info.compression && info.compression !== 'none'
  return same ? { ...output, chunkSize: info.chunkSize } : output
}

async function exportToExisting(
  source: WimFile,
  image: ImageNumber,
  path: string,
  options: ExportOptions,
  values: Values,
  session: Session,
): Promise<void> {
  const {
    output: { compression, ...output },
    write,
  } = compressionRequest(values)
  await using wim = await openWimArchive(path, { check: values.check, writeAccess: true }, session)
  if (compression !== undefined && compression !== wim.info.compression) {
    throw new StowageError(
      'INVALID_ARGUMENT',
      `${path} is compressed with ${wim.info.compression}, not ${compression}`,
      {
        hint: 'Omit --compress, or export to a new file.',
      },
    )
  }
  const before = wim.info.imageCount
  await wim.setOutput(output)
  await source.exportImage(image, wim, { ...options, ...watch(session, path) })
  const images = imagesFrom(wim, before)
  await wim.overwrite({ ...writeOptions(values), ...write, ...watch(session, path) })
  reportWritten(wim, 'stowage.wim-export/v1', path, images, session)
}

function imagesFrom({ info }: WimFile, before: number): number[] {
  return Array.from({ length: info.imageCount - before }, (_, n) => before + n + 1)
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
